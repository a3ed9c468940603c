"""Seeded schedules of trouble: which faults a sandbox makes and when, in simulated time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import SimulatedTime

# Every kind of trouble that passes. A call that takes 40 s is given up by any client.
PASSING: tuple[dict[str, Any], ...] = (
    *({"status": status} for status in (423, 500, 502, 503, 504)),
    {"status": 429, "retry_after": 1},
    {"status": 429, "retry_after": 20},
    {"status": 503, "retry_after": 45},
    {"status": 403, "html": True},
    {"status": 404, "html": True},
    {"drop_connection": True},
    {"latency_s": 3.0},
    {"latency_s": 40.0},
)
LASTING: tuple[dict[str, Any], ...] = (
    *({"status": status} for status in (400, 403, 500, 503)),
    {"drop_connection": True},
    {"latency_s": 40.0},
)
PLACES = ("subscriptions", "purchases", "entitlements", "products", "customers", "")


@dataclass
class FaultSchedule:
    """The trouble of one seed, for a sync of the customers ``ids``. ``bad`` are those without any answer."""

    seed: int
    ids: Sequence[str]
    bad: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        draw = self._draw = Random(self.seed)
        self.slice_s = draw.choice((5, 20, 90))
        self.latency_s = draw.choice((0.0, 0.1, 0.4, 0.8, 1.5))
        self.budget = draw.choice((60, 120, 480))
        self.used_by_others = draw.choice((0, 0, self.budget // 4, self.budget - 10))
        self.dies = draw.choice((0.0, 0.0, 0.2))
        """The probability that a worker dies before it commits a step."""
        count = len(self.ids) * draw.choice((0, 0, 1, 5)) // 100
        first = draw.randrange(len(self.ids))
        together = [self.ids[(first + n) % len(self.ids)] for n in range(count)]
        self.bad = set(together if draw.random() < 0.5 else draw.sample(list(self.ids), count))

    def begin(
        self,
        sandbox: Sandbox,
        clock: SimulatedTime,
        *,
        delete: Callable[[str], object],
        store_key: Callable[[str], object],
    ) -> None:
        """Let the trouble begin. ``delete(id)`` deletes a user of ours; ``store_key(key)`` stores another key."""
        draw, now = self._draw, clock()
        for id in self.bad:
            sandbox.add_fault(times=None, path=f"/{id}/subscriptions", **draw.choice(LASTING))
        # A single outage of the whole service is longer: a sync gives up after 24 calls without an answer.
        for times in (*(draw.choice((1, 1, 2, 3)) for _ in range(draw.randint(0, 8))), draw.choice((0, 15))):
            fault = {"times": times, "path": self._place(), **draw.choice(PASSING)}
            clock.at(now + draw.uniform(0, 90), partial(sandbox.add_fault, **fault))
        for id in draw.sample(list(self.ids), draw.choice((0, 0, 3))):
            self.deleted.add(id)
            clock.at(now + draw.uniform(0, 40), partial(delete, id))
        if draw.random() < 0.3:
            self._rotate(sandbox, clock, store_key, at=now + draw.uniform(0, 40), gap_s=draw.choice((0, 0, 10)))

    def ends_before_commit(self) -> bool:
        """Return whether the worker dies now."""
        return self._draw.random() < self.dies

    def _place(self) -> str:
        return self._draw.choice((*PLACES, f"/{self._draw.choice(self.ids)}/"))

    def _rotate(
        self,
        sandbox: Sandbox,
        clock: SimulatedTime,
        store_key: Callable[[str], object],
        *,
        at: float,
        gap_s: float,
    ) -> None:
        """Let RevenueCat take another key, which is stored here ``gap_s`` seconds later."""
        key = f"sk_{self.seed}"
        clock.at(at, lambda: setattr(sandbox, "api_key", key))
        clock.at(at + gap_s, lambda: store_key(key))

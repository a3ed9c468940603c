"""Decides when the next user's calls to RevenueCat may begin, and how many run side by side."""

import math
from typing import Any

from nightshift_jobs.revenuecat_sync.revenuecat.budget import NEVER, WINDOW_S, Budget

CUSTOMERS, CONFIGURATION = "customer information", "project configuration"
# The rate limits per key that RevenueCat documents. Its response headers override them. https://www.revenuecat.com/docs/api-v2
CALLS_PER_WINDOW = {CUSTOMERS: 480, CONFIGURATION: 60}
# After so many seconds without an answer, one user goes alone: its headers show what other clients use.
SILENCE_S = 5
# Seconds until the next look while other clients use up the limit.
LOOK_S = 20
# Latency is assumed until it is measured. Calls in flight that use the whole limit, with a margin, and the factor by
# which a burst is faster, so that the rest of the minute is waited for outside the Lambda.
LATENCY_S, MARGIN, BURST, MOST_IN_A_BURST, MOST = 0.8, 1.25, 4, 32, 64
# Refusals in a row block for 1 s, then for 4 s, and so on up to the whole window, or as long as the refusal asks for.
LONGEST_HOLD_S = WINDOW_S + 1
# A new slice takes about so long until its first call.
STARTS_IN_S = 0.5
# A burst may be held up for so long by calls that have not left the window: each second of waiting costs throughput.
HELD_UP_S = 8


class Governor:
    """Keeps the budgets of one key. ``saved`` is what the last slice returned of it."""

    def __init__(self, saved: dict[str, Any] | None = None):
        saved = saved or {}
        self._budgets = {
            name: Budget(limit, saved.get("budgets", {}).get(name)) for name, limit in CALLS_PER_WINDOW.items()
        }
        self._held_until: float = saved.get("held_until", 0)
        self._refusals: int = saved.get("refusals", 0)
        self.latency_s: float = saved.get("latency_s", LATENCY_S)
        self._is_measured = "latency_s" in saved
        # Whether there was room before the first of the refusals in a row.
        self.had_room = False

    def saved(self, now: float) -> dict[str, Any]:
        return {
            "budgets": {name: budget.saved(now) for name, budget in self._budgets.items()},
            "held_until": round(self._held_until, 2),
            "refusals": self._refusals,
            **({"latency_s": round(self.latency_s, 3)} if self._is_measured else {}),
        }

    @property
    def is_refused(self) -> bool:
        """Return whether the last answer was a 429."""
        return self._refusals > 0

    def at_once(self) -> int:
        """Return the number of calls that may run side by side."""
        needed = self._budgets[CUSTOMERS].limit / WINDOW_S * self.latency_s * MARGIN
        return min(MOST, math.ceil(max(2, needed, min(MOST_IN_A_BURST, BURST * needed))))

    def calls_a_minute(self, now: float) -> int:
        return self._budgets[CUSTOMERS].allowance(now)

    def wait_s(self, now: float, calls: int, *, in_flight: int) -> float:
        """Return the seconds until a user with so many calls may begin; NEVER: not before a call ends."""
        budget = self._budgets[CUSTOMERS]
        held_s = self._held_until - now
        if held_s > 0:
            return held_s
        wait_s = budget.wait_s(now, calls, latency_s=self.latency_s)
        if budget.heard_at is not None and now - budget.heard_at < SILENCE_S:
            return wait_s if wait_s < NEVER else self._wait_beside_others_s(budget, now, calls)
        if in_flight:
            return NEVER
        if wait_s == NEVER:
            return self._wait_beside_others_s(budget, now, calls)
        # A user that goes alone may use the reserve. It begins early: the others begin when its answer is there.
        return max(0.0, wait_s - self.latency_s, min(wait_s, budget.wait_for_a_look_s(now, 1)))

    def sleep_s(self, now: float, wait_s: float) -> int:
        """Return the whole seconds to wait outside the Lambda, so that a user can go alone at the end of a wait.

        Alone, wait until a burst is hardly held up: otherwise bursts become longer and longer, and are paid for.
        """
        budget = self._budgets[CUSTOMERS]
        if wait_s > WINDOW_S / 4 and not budget.has_company(now):
            wait_s = max(wait_s, budget.wait_for_a_burst_s(now, self.at_once() / max(0.01, self.latency_s)) - HELD_UP_S)
        return max(1, int(wait_s - self.latency_s - STARTS_IN_S))

    def wait_for_a_call_s(self, now: float, name: str) -> float:
        """Return the seconds until a call of a begun user may start. What other clients leave was looked at before."""
        return max(self._held_until - now, self._budgets[name].wait_for_own_s(now))

    def reserve(self, calls: int) -> None:
        """Set calls aside for a user that begins. Release those that are not made with a negative number."""
        self._budgets[CUSTOMERS].reserved += calls

    def start(self, now: float, name: str) -> None:
        self._budgets[name].start(now)

    def finish(
        self, now: float, name: str, started_at: float, *, usage: int | None, limit: int | None, answered: bool
    ) -> None:
        """Learn from the end of a call. ``usage`` and ``limit`` are what its headers say about the last minute."""
        budget = self._budgets[name]
        if usage is not None:
            self._refusals = 0
            budget.hear(now, started_at, usage=usage, limit=budget.limit if limit is None else limit)
        elif answered:
            budget.heard_at = now
        if answered and name == CUSTOMERS:
            took_s = max(0.0, now - started_at)
            self.latency_s = self.latency_s * 0.9 + took_s * 0.1 if self._is_measured else took_s
            self._is_measured = True

    def forget_latency(self) -> None:
        """Measure the latency again: if no user fits into a slice at that latency, no call would ever correct it."""
        self.latency_s, self._is_measured = min(self.latency_s, LATENCY_S), False

    def refuse(self, now: float, name: str, asked_s: float | None) -> float:
        """Learn from a 429. Block all calls for as long as it asks for, and return those seconds.

        It asks for the time until one call is free, which another client takes as well: wait until there is room.
        """
        budget = self._budgets[name]
        if not self.is_refused:
            self.had_room = budget.has_room(now)
        budget.hear_refusal(now)
        room_s = budget.wait_for_room_s(now)
        growing_s = 4.0**self._refusals if self._refusals or asked_s is None else 0
        wait_s = min(LONGEST_HOLD_S, max(asked_s or 0, growing_s, room_s if room_s < NEVER else 0))
        self._refusals = min(self._refusals + 1, 3)
        self._held_until = max(self._held_until, now + wait_s)
        return self._held_until - now

    def _wait_beside_others_s(self, budget: Budget, now: float, calls: int) -> float:
        """Other clients use more than is left to them. Use half of what is free; if that is too little, look again."""
        wait_s = budget.wait_for_a_crumb_s(now, calls)
        if wait_s < NEVER:
            return wait_s
        return max(0.0, (budget.heard_at or 0) + LOOK_S - now)

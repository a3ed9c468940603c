"""Budgets over sliding windows, the log of calls, and whether clients respect the rate limit."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

WINDOW_S = 60
# Times are floats. A client that waits exactly Retry-After seconds must not be too early because of rounding.
ROUNDING_S = 1e-6
# A call within this time after a 429 was sent before the client received the 429.
ON_ITS_WAY_S = 0.05


class Budget:
    """A budget of ``limit`` calls in any ``WINDOW_S`` seconds. Refused calls do not count. Times are in seconds."""

    def __init__(self, limit: int):
        self.limit = limit
        self._spent_at: deque[float] = deque()

    def spend(self, now: float, *, used_by_others: int = 0) -> int | None:
        """Return the usage including this call, or None if the budget does not allow the call."""
        while self._spent_at and _is_over(self._spent_at[0], now):
            self._spent_at.popleft()
        if len(self._spent_at) + used_by_others >= self.limit:
            return None
        self._spent_at.append(now)
        return len(self._spent_at) + used_by_others

    def retry_after_s(self, now: float, *, used_by_others: int = 0) -> int:
        """Return the whole seconds until enough of our calls have left the window; all of it if others fill it."""
        too_many = len(self._spent_at) + used_by_others - self.limit + 1
        if too_many > len(self._spent_at):
            return WINDOW_S
        return math.ceil(self._spent_at[too_many - 1] + WINDOW_S - now - ROUNDING_S / 2)


@dataclass(slots=True, kw_only=True)
class Call:
    """One call to a known endpoint. ``at`` and ``answered_at`` are in seconds of the sandbox's clock.

    ``group`` is the budget that is charged, ``endpoint`` the route, ``customer_id`` the id as in the request.
    ``status`` is None before the answer, and if the connection was dropped; ``answered_at`` is None before the answer.
    """

    at: float
    group: str
    endpoint: str
    customer_id: str | None
    status: int | None = None
    answered_at: float | None = None
    retry_after_s: int | None = None


def _is_over(at: float, now: float) -> bool:
    """Return whether a call made ``at`` has left the window."""
    return at + WINDOW_S <= now + ROUNDING_S


def busiest_window(calls: Iterable[Call]) -> dict[str, int]:
    """Return the highest number of calls, including refused ones, within any ``WINDOW_S`` seconds, by group."""
    windows: dict[str, deque[float]] = {}
    busiest: Counter[str] = Counter()
    for call in sorted(calls, key=lambda call: call.at):
        window = windows.setdefault(call.group, deque())
        window.append(call.at)
        while _is_over(window[0], call.at):
            window.popleft()
        busiest[call.group] = max(busiest[call.group], len(window))
    return dict(busiest)


def impolite_calls(calls: Iterable[Call]) -> int:
    """Return the number of calls after a 429 of their group was sent and before its ``Retry-After`` had passed."""
    arrivals: dict[str, list[float]] = {}
    refusals = []
    for call in sorted(calls, key=lambda call: call.at):
        arrivals.setdefault(call.group, []).append(call.at)
        if call.status == 429 and call.answered_at is not None and call.retry_after_s is not None:
            refusals.append((call.group, call.answered_at + ON_ITS_WAY_S, call.answered_at + call.retry_after_s))
    impolite: set[tuple[str, int]] = set()
    for group, begin, end in refusals:
        came = arrivals[group]
        first, last = bisect_right(came, begin), bisect_left(came, end - ROUNDING_S)
        impolite |= {(group, n) for n in range(first, last)}
    return len(impolite)


def summary(calls: list[Call]) -> dict[str, Any]:
    """Return the statistics that ``GET /_sandbox/stats`` shows."""
    return {
        "calls": dict(Counter(call.group for call in calls)),
        "endpoints": dict(Counter(call.endpoint for call in calls)),
        "statuses": dict(Counter(str(call.status or "unanswered") for call in calls)),
        "busiest_minute": busiest_window(calls),
        "rate_limited": sum(call.status == 429 for call in calls),
        "impolite": impolite_calls(calls),
    }

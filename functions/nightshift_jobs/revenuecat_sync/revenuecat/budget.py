"""A budget of calls: how much of RevenueCat's rate limit is used, by us and by other clients with the key."""

from collections import deque
from typing import Any

WINDOW_S = 60
# RevenueCat counts a call when it arrives, at the latest this long after its start (a new connection takes a while).
ARRIVES_S = 0.5
COUNTS_S = WINDOW_S + ARRIVES_S
# Own calls are kept longer than they count: the answer to a call may be older than its headers.
KEPT_S = WINDOW_S + 2
# Starts closer together than this are kept as one number, and so many numbers are saved.
BUCKET_S, SAVED = 0.25, 100
# So many calls beyond our own mean that another client uses the key. That is remembered, because it comes back.
COMPANY_FROM, COMPANY_S = 3, 900
# The part of the limit that is left to other clients. Alone it is for a call that looks whether there are any, so a few
# calls are enough however high the limit is.
LEFT_ALONE, MOST_LEFT_ALONE, LEFT_TO_COMPANY = 120, 8, 16
# While a client that was seen is away, more is left: it comes back between two rounds, before headers show it.
LEFT_WHILE_AWAY = 8
# Beside other clients, calls are spread over the minute, in rounds of at least so many calls and seconds.
CALLS_A_ROUND, SHORTEST_ROUND_S = 105, 15
NEVER = float("inf")


class Budget:
    """The calls of the last minute against a limit. All times in seconds since 1970.

    ``reserved`` are calls that a begun user will still make. Save it with ``saved``, so that the next slice continues
    with the same knowledge.
    """

    def __init__(self, limit: int, saved: dict[str, Any] | None = None):
        saved = saved or {}
        self.limit: int = saved.get("limit", limit)
        self.reserved = 0
        self._own = deque((float(at), int(count)) for at, count in saved.get("own", []))
        self._others: int = saved.get("others", 0)
        self.heard_at: float | None = saved.get("heard_at")
        self._company_until: float = saved.get("company_until", 0)

    def saved(self, now: float) -> dict[str, Any]:
        """Return the state as JSON, with few numbers: merged starts count a little longer, never less."""
        self._forget(now)
        own = [[round(at, 2), count] for at, count in self._own]
        while len(own) > SAVED:
            first = min(range(len(own) - 1), key=lambda n: own[n + 1][0] - own[n][0])
            own[first : first + 2] = [[own[first + 1][0], own[first][1] + own[first + 1][1]]]
        return {
            "limit": self.limit,
            "own": own,
            "others": self._others,
            "heard_at": self.heard_at and round(self.heard_at, 2),
            "company_until": round(self._company_until),
        }

    def has_company(self, now: float) -> bool:
        return now < self._company_until

    def allowance(self, now: float) -> int:
        """Return the number of calls a minute that are ours, at least one."""
        others = self._known_others(now)
        if not self.has_company(now):
            left = min(self.limit // LEFT_ALONE, MOST_LEFT_ALONE)
        else:
            left = self.limit // (LEFT_WHILE_AWAY if others < COMPANY_FROM else LEFT_TO_COMPANY)
        return max(1, self.limit - max(1, left) - others)

    def start(self, now: float) -> None:
        """Count a call that starts now."""
        if self._own and now - self._own[-1][0] < BUCKET_S:
            self._own[-1] = (self._own[-1][0], self._own[-1][1] + 1)
        else:
            self._own.append((now, 1))

    def hear(self, now: float, started_at: float, *, usage: int, limit: int) -> None:
        """Learn from the headers of the answer to a call that started at ``started_at``."""
        self.limit = max(1, limit)
        # The usage when the call arrived includes at most these calls of ours.
        most = self._started(started_at - KEPT_S, now)
        if usage - most >= COMPANY_FROM:
            self._company_until = now + COMPANY_S
        exact = self._started(started_at - WINDOW_S, started_at)
        self._others = max(0, usage - (exact if self.has_company(now) else most))
        self.heard_at = now

    def hear_refusal(self, now: float) -> None:
        """Learn from a 429: the window is full, so the calls that are not ours are other clients'."""
        self._company_until = now + COMPANY_S
        self._others = max(0, self.limit - self._started(now - WINDOW_S, now))
        self.heard_at = now

    def has_room(self, now: float) -> bool:
        """Return whether as many calls as are left to other clients fit below the limit."""
        return self.wait_for_room_s(now) <= 0

    def wait_for_room_s(self, now: float) -> float:
        """Return the seconds until as many calls as are left to other clients fit below the limit, or NEVER."""
        return self._time_until(
            now, self.limit // LEFT_TO_COMPANY, window_s=COUNTS_S, allowed=self.limit - self._known_others(now)
        )

    def wait_s(self, now: float, calls: int, *, latency_s: float) -> float:
        """Return the seconds until ``calls`` more fit into our allowance; NEVER if other clients use too much of it.

        The calls start one after the other: the first now, the last when those before it were answered.
        """
        self._forget(now)
        allowance, last = self.allowance(now), now + latency_s * (calls - 1)
        waits = [
            self._time_until(now, 1, window_s=COUNTS_S, allowed=allowance),
            self._time_until(last, self.reserved + calls, window_s=COUNTS_S, allowed=allowance),
        ]
        if self.has_company(now):
            rounds = max(1, min(WINDOW_S // SHORTEST_ROUND_S, allowance // CALLS_A_ROUND))
            round_s, share = WINDOW_S / rounds, max(calls, allowance // rounds)
            waits.append(self._time_until(last, self.reserved + calls, window_s=round_s, allowed=share))
        return max(waits)

    def wait_for_a_burst_s(self, now: float, calls_a_second: float) -> float:
        """Return the seconds until calls at this rate are never held up, though our calls leave the window in turn."""
        self._forget(now)
        inside = [(at, count) for at, count in self._own if at + COUNTS_S > now]
        free = self.allowance(now) - sum(count for _, count in inside)
        wait_s = 0.0
        for at, count in inside:
            wait_s = max(wait_s, at + COUNTS_S - now - max(0, free) / calls_a_second)
            free += count
        return wait_s

    def wait_for_own_s(self, now: float) -> float:
        """Return the seconds until a call fits below the limit beside our own calls."""
        self._forget(now)
        return self._time_until(now, 1, window_s=COUNTS_S, allowed=self.limit)

    def wait_for_a_look_s(self, now: float, calls: int) -> float:
        """Return the seconds until ``calls`` more fit below the limit itself."""
        self._forget(now)
        return self._time_until(now, calls, window_s=COUNTS_S, allowed=self.limit - self._known_others(now))

    def wait_for_a_crumb_s(self, now: float, calls: int) -> float:
        """Return the same, but use only half of what other clients leave, or what one user needs."""
        self._forget(now)
        free = self.limit - self._known_others(now)
        allowed = min(free, max(calls, free // 2))
        return self._time_until(now, self.reserved + calls, window_s=COUNTS_S, allowed=allowed)

    def _known_others(self, now: float) -> int:
        return self._others if self.heard_at is not None and now < self.heard_at + WINDOW_S else 0

    def _time_until(self, now: float, calls: int, *, window_s: float, allowed: int) -> float:
        """Return the seconds until enough of our calls have left a window for ``calls`` more."""
        inside = [(at, count) for at, count in self._own if at + window_s > now]
        too_many = sum(count for _, count in inside) + calls - allowed
        if too_many <= 0:
            return 0
        for at, count in inside:
            too_many -= count
            if too_many <= 0:
                return at + window_s - now
        return NEVER

    def _started(self, after: float, until: float) -> int:
        return sum(count for at, count in self._own if after < at <= until)

    def _forget(self, now: float) -> None:
        # A clock that was set back must not block calls for long.
        while self._own and not now - KEPT_S - ARRIVES_S < self._own[0][0] <= now + ARRIVES_S:
            self._own.popleft()

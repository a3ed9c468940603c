"""Decides when the next call to RevenueCat may start: one governor for all threads that share a key."""

import threading
from collections import deque
from collections.abc import Callable

from nightshift_jobs.revenuecat_sync.api_errors import RateLimited

# The rate limits per key that RevenueCat documents. Its response headers override them. https://www.revenuecat.com/docs/api-v2
CALLS_PER_WINDOW = {"customer information": 480, "project configuration": 60}
WINDOW_S = 60
# Seconds between calls while other clients use up the limit: each call shows the remaining budget.
PROBE_S = 5
UNTIL_A_CALL_ENDS = float("inf")
# Clocks have a resolution: never sleep for less than this.
SHORTEST_SLEEP_S = 0.01


class Governor:
    """Delays calls so that no budget is exceeded, and no call starts during a back-off that RevenueCat asked for.

    ``clock`` and ``sleep`` in seconds. All methods may be called from any thread.
    """

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], None]):
        self._clock, self._sleep = clock, sleep
        self._changed = threading.Condition()
        self._held_until = clock()
        self._budgets = {name: _Budget(limit) for name, limit in CALLS_PER_WINDOW.items()}

    def start(self, name: str, *, patience_s: float) -> int:
        """Sleep until a call of this budget may start. Return its ticket for ``finish``.

        Raises RateLimited if that would take longer than ``patience_s``.
        """
        give_up_at = self._clock() + patience_s
        while True:
            with self._changed:
                now = self._clock()
                wait_s = max(self._held_until - now, self._budgets[name].wait_s(now))
                if wait_s <= 0:
                    return self._budgets[name].spend()
                if wait_s == UNTIL_A_CALL_ENDS:
                    self._changed.wait()
                    continue
            if now + wait_s > give_up_at:
                raise RateLimited("RevenueCat's rate limit was used up", f"no call left for {name}", wait_s=wait_s)
            self._sleep(max(wait_s, SHORTEST_SLEEP_S))

    def finish(self, name: str, ticket: int, *, usage: int | None = None, limit: int | None = None) -> None:
        """End a started call. ``usage`` and ``limit`` are what its headers say about the last 60 s, if any."""
        with self._changed:
            self._budgets[name].finish(self._clock(), ticket, usage=usage, limit=limit)
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Block all calls for ``seconds``."""
        with self._changed:
            self._held_until = max(self._held_until, self._clock() + seconds)


class _Budget:
    """A limit of calls in any window: our own, and those of other clients, which the headers count beyond ours.

    Our call counts from its start until one window after its end: RevenueCat counted it at some time in between.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._under_way = 0
        self._ended: deque[float] = deque()
        self._others = 0
        self._heard_at: float | None = None

    def wait_s(self, now: float) -> float:
        """Return the seconds until a call may start (0 or less: now), or UNTIL_A_CALL_ENDS to wait for its headers."""
        while self._ended and self._ended[0] + WINDOW_S <= now:
            self._ended.popleft()
        used = self._others + self._own()
        heard_at = self._heard_at
        known = heard_at is not None and now < heard_at + WINDOW_S
        # Keep a reserve for other clients' calls that no header has shown yet, and for probing.
        if known and used < self.limit - self.limit // 50:
            return 0
        if self._under_way:
            return UNTIL_A_CALL_ENDS
        if heard_at is None or not known:
            return 0
        ends = [heard_at + WINDOW_S]
        if self._ended:
            ends.append(self._ended[0] + WINDOW_S)
        if self._others and used < self.limit - 1:
            ends.append(heard_at + PROBE_S)
        return min(ends) - now

    def spend(self) -> int:
        """Count a call. Return the number of our calls in the window, including this one."""
        self._under_way += 1
        return self._own()

    def finish(self, now: float, ticket: int, *, usage: int | None, limit: int | None) -> None:
        self._under_way -= 1
        self._ended.append(now)
        self._heard_at = now
        if limit is not None:
            self.limit = max(1, limit)
        if usage is not None:
            # Our calls that overtook this one count as other clients' calls until the next header: the safe error.
            self._others = max(0, usage - ticket)

    def _own(self) -> int:
        return self._under_way + len(self._ended)

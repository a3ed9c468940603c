"""When the next call to RevenueCat may start: one governor for all threads that share a key."""

import threading
from collections import deque
from collections.abc import Callable

from revenuecat.errors import RateLimited

# The budgets per key that RevenueCat documents; its headers correct them. https://www.revenuecat.com/docs/api-v2
CALLS_PER_WINDOW = {"customer information": 480, "project configuration": 60}
# RevenueCat counts over 60 s from when a call arrives, we from when it starts: the second covers the way there.
WINDOW_S = 61
# How far apart calls start while nobody knows what is left, and while others seem to use what we would.
SPACING_S, PROBE_S = 1, 5
# Clocks have steps: never ask for a sleep that one cannot show.
SHORTEST_SLEEP_S = 0.01


class Governor:
    """Holds calls back so that no budget is overdrawn and nobody calls while told not to.

    ``clock`` and ``sleep`` in seconds. All methods may be called from any thread.
    """

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], None]):
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._held_until = clock()
        self._budgets = {name: _Budget(limit) for name, limit in CALLS_PER_WINDOW.items()}

    def start(self, name: str, *, patience_s: float) -> int:
        """Sleep until a call of this budget may start; returns its ticket for ``heard``.

        Raises RateLimited when that would take longer than ``patience_s``.
        """
        give_up_at = self._clock() + patience_s
        while True:
            with self._lock:
                now = self._clock()
                wait_s = max(self._held_until - now, self._budgets[name].wait_s(now))
                if wait_s <= 0:
                    return self._budgets[name].spend(now)
            if now + wait_s > give_up_at:
                raise RateLimited("RevenueCat's rate limit was used up", f"no call left for {name}", wait_s=wait_s)
            self._sleep(max(wait_s, SHORTEST_SLEEP_S))

    def heard(self, name: str, ticket: int, *, usage: int | None, limit: int | None) -> None:
        """A call succeeded; ``usage`` and ``limit`` are what its headers say of the last 60 s, where they do."""
        with self._lock:
            self._budgets[name].heard(self._clock(), ticket, usage=usage, limit=limit)

    def hold(self, seconds: float) -> None:
        """Let no call start before ``seconds`` have passed."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)


class _Budget:
    """So many calls in any window: our own are known, those of others show in what the headers count beyond them."""

    def __init__(self, limit: int):
        self.limit = limit
        self._own: deque[float] = deque()
        self._others = 0
        self._heard_at: float | None = None

    def wait_s(self, now: float) -> float:
        """Seconds until a call may start, 0 or less for now."""
        while self._own and self._own[0] <= now - WINDOW_S:
            self._own.popleft()
        last = self._own[-1] if self._own else now - WINDOW_S
        if self._heard_at is None:
            return last + SPACING_S - now
        others = self._others if now < self._heard_at + WINDOW_S else 0
        used = others + len(self._own)
        # The reserve is for others' calls that no header has shown us yet, and for looking again.
        if used < self.limit - self.limit // 50:
            return 0
        ends = [self._own[0] + WINDOW_S] if self._own else []
        if others:
            ends.append(self._heard_at + WINDOW_S)
            if used < self.limit - 1:
                ends.append(last + PROBE_S)
        return min(ends) - now

    def spend(self, now: float) -> int:
        """Count a call; returns how many of ours are in the window with it."""
        self._own.append(now)
        return len(self._own)

    def heard(self, now: float, ticket: int, *, usage: int | None, limit: int | None) -> None:
        self._heard_at = now
        if limit is not None:
            self.limit = max(1, limit)
        if usage is not None:
            # Calls of ours that overtook this one count as others' until the next header: too careful, never too bold.
            self._others = max(0, usage - ticket)

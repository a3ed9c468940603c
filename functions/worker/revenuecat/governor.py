"""When the next call to RevenueCat may start: one governor for all threads that share a key."""

import threading
from collections import deque
from collections.abc import Callable

from revenuecat.errors import RateLimited

# The budgets per key that RevenueCat documents; its headers correct them. https://www.revenuecat.com/docs/api-v2
CALLS_PER_WINDOW = {"customer information": 480, "project configuration": 60}
WINDOW_S = 60
# While others use what we would, calls go this far apart: each shows what is left.
PROBE_S = 5
UNTIL_A_CALL_ENDS = float("inf")
# Clocks have steps: never ask for a sleep that one cannot show.
SHORTEST_SLEEP_S = 0.01


class Governor:
    """Holds calls back so that no budget is overdrawn and nobody calls while told not to.

    ``clock`` and ``sleep`` in seconds. All methods may be called from any thread.
    """

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], None]):
        self._clock, self._sleep = clock, sleep
        self._changed = threading.Condition()
        self._held_until = clock()
        self._budgets = {name: _Budget(limit) for name, limit in CALLS_PER_WINDOW.items()}

    def start(self, name: str, *, patience_s: float) -> int:
        """Sleep until a call of this budget may start; returns its ticket for ``finish``.

        Raises RateLimited when that would take longer than ``patience_s``.
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
        """Every started call ends here. ``usage`` and ``limit`` are what its headers say of the last 60 s, if any."""
        with self._changed:
            self._budgets[name].finish(self._clock(), ticket, usage=usage, limit=limit)
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Let no call start before ``seconds`` have passed."""
        with self._changed:
            self._held_until = max(self._held_until, self._clock() + seconds)


class _Budget:
    """So many calls in any window: our own are known, those of others show in what the headers count beyond them.

    A call of ours counts from its start until a window after its end: RevenueCat saw it somewhere in between.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._under_way = 0
        self._ended: deque[float] = deque()
        self._others = 0
        self._heard_at: float | None = None

    def wait_s(self, now: float) -> float:
        """Seconds until a call may start, 0 or less for now; or UNTIL_A_CALL_ENDS, which will tell more."""
        while self._ended and self._ended[0] + WINDOW_S <= now:
            self._ended.popleft()
        used = self._others + self._own()
        heard_at = self._heard_at
        known = heard_at is not None and now < heard_at + WINDOW_S
        # The reserve is for others' calls that no header has shown us yet, and for looking again.
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
        """Count a call; returns how many of ours are in the window with it."""
        self._under_way += 1
        return self._own()

    def finish(self, now: float, ticket: int, *, usage: int | None, limit: int | None) -> None:
        self._under_way -= 1
        self._ended.append(now)
        self._heard_at = now
        if limit is not None:
            self.limit = max(1, limit)
        if usage is not None:
            # Calls of ours that overtook this one count as others' until the next header: too careful, never too bold.
            self._others = max(0, usage - ticket)

    def _own(self) -> int:
        return self._under_way + len(self._ended)

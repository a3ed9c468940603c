"""Looks at users side by side, as fast as the governor allows, and hands the looks over in the users' order."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from nightshift.base.errors import JobError
from nightshift_jobs.revenuecat_sync.looks import Look
from nightshift_jobs.revenuecat_sync.revenuecat.answers import LATE
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Denied,
    Forbidden,
    Missing,
    OutOfTime,
    Postponed,
    RateLimited,
    Unavailable,
)
from nightshift_jobs.revenuecat_sync.revenuecat.budget import NEVER
from nightshift_jobs.revenuecat_sync.revenuecat.flight import RESERVE_S, Flight, Task
from nightshift_jobs.revenuecat_sync.revenuecat.governor import Governor

# So many different users in a row without an answer mean that RevenueCat is down, unless it answers about a known one.
DOWN_AFTER = 8
# A call without an answer in time is paid for, so it counts as so many users.
LATE_COUNTS = 3
# A wait that is longer leaves the Lambda: a new slice costs about as much.
LEAVE_S = 2
# Clocks have a resolution: never wait for less than this.
SHORTEST_WAIT_S = 0.01
# A commit takes four statements, so it waits for so many users, but not for longer than this.
USERS_A_COMMIT, COMMIT_AFTER_S, COMMIT_AT_LATEST_S = 40, 5, 15
# The first commit of a run comes sooner, because a person who has just started it watches.
FIRST_COMMIT_AFTER_S, USERS_IN_FIRST_COMMIT = 1, 10
# A slice begins so many users, however short it is.
USERS_A_SLICE = 25
# The duration of a user's calls, in latencies.
CALLS_A_USER = 3.3


class Item(NamedTuple):
    """A user to look at. ``user`` is a row of next_app_users.sql, or None if the user is gone.

    ``after`` is the walk's position behind this user; None: unchanged.
    """

    id: str
    user: dict[str, Any] | None
    after: Any = None

    @property
    def is_looked_at(self) -> bool:
        user = self.user
        return user is not None and not user["is_anonymous"] and not user["user_id"].startswith("$RCAnonymousID:")


# The look; None for a user who is not synced; or an error about this user.
Outcome = Look | Exception | None


class Stop(NamedTuple):
    """Why the crew stopped: "due" (for a commit), "done" (no users left), "wait", "ending" (of the slice), "down",
    "denied". ``trouble`` is its reason, and ``wait_s`` the seconds to wait."""

    why: str
    wait_s: float = 0
    trouble: Exception | None = None


@dataclass
class _Begun:
    item: Item
    outcome: Outcome = None
    is_over: bool = False


class Crew:
    """``more()`` returns the next users, or none at the end; ``look(user)`` is the task about one of them.

    ``remaining_s()`` and ``slice_left_s()`` are those of the run. ``failed_before``: the last slice met an outage.
    ``is_first``: no user of this run is committed yet.
    """

    def __init__(
        self,
        flight: Flight,
        governor: Governor,
        *,
        more: Callable[[], list[Item]],
        look: Callable[[dict[str, Any]], Task],
        clock: Callable[[], float],
        remaining_s: Callable[[], float],
        slice_left_s: Callable[[], float],
        failed_before: bool,
        is_first: bool,
    ):
        self._flight, self._governor = flight, governor
        self._more, self._look, self._clock = more, look, clock
        self._remaining_s, self._slice_left_s = remaining_s, slice_left_s
        self._waiting: deque[Item] = deque()
        self._begun: deque[_Begun] = deque()
        self._is_last = False
        self._looks_begun = 0
        # While RevenueCat is down, one user shows it.
        self.failed_in_a_row = DOWN_AFTER - 1 if failed_before else 0
        self.denied: Denied | None = None
        self.trouble: Unavailable | None = None
        self._committed_at = clock()
        self._is_first = is_first

    def work(self, *, stops_early: bool) -> Stop:
        """Look at users until there is something to do. ``stops_early``: begin no further users."""
        while True:
            now = self._clock()
            stop = self._begin(now, stops_early)
            flying = self._flight.in_flight
            if not flying:
                if self.denied:
                    return Stop("denied", trouble=self.denied)
                if self.failed_in_a_row >= DOWN_AFTER:
                    return Stop("down", trouble=self.trouble)
                if stop.why != "wait" or stop.wait_s > LEAVE_S:
                    return stop
            if self._is_due(now):
                return Stop("due")
            pause_s = self._committed_at + COMMIT_AT_LATEST_S - now
            if pause_s <= 0:
                pause_s = COMMIT_AT_LATEST_S
            for begun, outcome in self._flight.landed(min(pause_s, stop.wait_s) if stop.why == "wait" else pause_s):
                self._land(begun, outcome)

    def take(self) -> list[tuple[Item, Outcome]]:
        """Return the users that are done and have no unfinished user before them, in order."""
        taken = []
        while self._begun and self._begun[0].is_over:
            begun = self._begun.popleft()
            taken.append((begun.item, begun.outcome))
        self._committed_at = self._clock()
        self._is_first = self._is_first and not taken
        return taken

    @property
    def is_flying(self) -> bool:
        return bool(self._begun)

    def turn_to_others(self) -> None:
        """Forget the users that were not begun: ``more`` now returns others. Nothing may be in flight."""
        self._waiting.clear()
        self._is_last = False

    def _begin(self, now: float, stops_early: bool) -> Stop:
        """Begin as many users as may begin now. Return why the next one may not."""
        while True:
            if not self._waiting and not self._is_last and not (stops_early or self._is_troubled):
                try:
                    more = self._more()
                except RateLimited as exc:
                    return Stop("wait", max(SHORTEST_WAIT_S, exc.wait_s), exc)
                except OutOfTime:
                    return Stop("ending")
                except Unavailable as exc:
                    return Stop("wait", exc.wait_s + LEAVE_S, exc)
                except Denied as exc:
                    self.denied = exc
                    continue
                # Two pages of RevenueCat's list may name the same customer.
                uncommitted = {each.item.id for each in self._begun if each.item.id}
                self._waiting.extend(item for item in more if item.id not in uncommitted)
                self._is_last = not more
            while self._waiting and not self._waiting[0].is_looked_at:
                self._begun.append(_Begun(self._waiting.popleft(), is_over=True))
            if stops_early or self._is_troubled:
                return Stop("due")
            if not self._waiting:
                # A page that names no user may be due for a commit, like the users that were begun before.
                return Stop("done") if self._is_last else Stop("wait", SHORTEST_WAIT_S)
            if self._is_ending():
                return Stop("ending")
            in_flight = self._flight.in_flight
            if in_flight >= self._governor.at_once():
                return Stop("wait", NEVER)
            calls = 3 if (user := self._waiting[0].user) and user["asks_attribution"] else 2
            wait_s = self._governor.wait_s(now, calls, in_flight=in_flight)
            if wait_s > 0:
                return Stop("wait", max(SHORTEST_WAIT_S, wait_s))
            begun = _Begun(self._waiting.popleft())
            self._begun.append(begun)
            self._looks_begun += 1
            self._flight.begin(begun, self._look(begun.item.user or {}), calls=calls)

    @property
    def _is_troubled(self) -> bool:
        return self.denied is not None or self.failed_in_a_row >= DOWN_AFTER

    def _is_ending(self) -> bool:
        user_s = CALLS_A_USER * self._governor.latency_s
        has_begun = self._looks_begun >= USERS_A_SLICE
        return self._remaining_s() - RESERVE_S < user_s or (has_begun and self._slice_left_s() < user_s)

    def _is_due(self, now: float) -> bool:
        ready = sum(1 for begun in self._begun if begun.is_over)
        waited_s = now - self._committed_at
        is_next = bool(self._begun) and self._begun[0].is_over
        after_s, users = COMMIT_AFTER_S, USERS_A_COMMIT
        if self._is_first:
            after_s, users = FIRST_COMMIT_AFTER_S, USERS_IN_FIRST_COMMIT
        return is_next and (waited_s >= COMMIT_AT_LATEST_S or (waited_s >= after_s and ready >= users))

    def _land(self, begun: _Begun, outcome: Outcome) -> None:
        begun.outcome, begun.is_over = outcome, True
        match outcome:
            case Denied():
                self.denied = outcome
            case Postponed():
                pass
            case Forbidden() | Unavailable():
                self.failed_in_a_row += LATE_COUNTS if outcome.detail == LATE else 1
                self.trouble = outcome
            case Look() | Missing():
                self.failed_in_a_row = 0
            case JobError():
                raise outcome

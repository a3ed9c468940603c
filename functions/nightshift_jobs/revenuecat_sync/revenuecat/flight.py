"""Tasks side by side, each a chain of calls: what one call answers decides the task's next call."""

import heapq
import itertools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

from nightshift.base.errors import NightshiftError
from nightshift_jobs.revenuecat_sync.revenuecat.answers import LATE, Answer, body_of, usage_of
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Forbidden,
    OutOfTime,
    RateLimited,
    Rejected,
    Unavailable,
)
from nightshift_jobs.revenuecat_sync.revenuecat.governor import CUSTOMERS, Governor
from nightshift_jobs.revenuecat_sync.revenuecat.http_calls import Calls

# How often a call is tried, how long its task may sleep before it is tried again, and how long an answer may take.
TRIES, PATIENCE_S, CALL_S = 3, 5, 10
# An answer that is later than this after its call's time is not waited for: name servers have times of their own.
GRACE_S = 2
# Reserved of the slice for writing fetched rows, and the shortest remaining time in which a call is made.
RESERVE_S, SHORTEST_CALL_S = 3, 1

# Errors of reading a body that RevenueCat has never sent so far.
UNKNOWN_SHAPE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


class Call(NamedTuple):
    """A GET. ``budget`` is charged for it; ``of_a_customer``: it is about one customer."""

    url: str
    budget: str = CUSTOMERS
    of_a_customer: bool = True


# A task yields its calls, gets their bodies, and returns its value. Errors are raised at the yield.
Task = Generator[Call, dict[str, Any], Any]


@dataclass
class _Flying:
    key: Any
    task: Task
    reserved: int
    call: Call
    tries_left: int = TRIES
    started_at: float = 0
    ends_at: float = 0


class Flight:
    """Flies tasks. ``remaining_s()`` bounds every call; ``clock()`` in seconds since 1970; ``secret`` is the key."""

    def __init__(
        self,
        calls: Calls,
        governor: Governor,
        *,
        secret: str,
        clock: Callable[[], float],
        remaining_s: Callable[[], float],
    ):
        self._calls, self._governor, self._secret = calls, governor, secret
        self._clock, self._remaining_s = clock, remaining_s
        self._numbers = itertools.count()
        self._in_the_air: dict[int, _Flying] = {}
        self._resting: list[tuple[float, int, _Flying]] = []
        self._landed: list[tuple[Any, Any]] = []

    @property
    def in_flight(self) -> int:
        """Return the number of tasks that have not landed."""
        return len(self._in_the_air) + len(self._resting)

    def close(self) -> None:
        self._calls.close()

    def begin(self, key: Any, task: Task, *, calls: int = 0) -> None:
        """Begin a task for which so many calls are reserved. ``landed`` returns its value or its error with ``key``."""
        self._governor.reserve(calls)
        self._step(_Flying(key, task, calls, Call("")), None)

    def landed(self, wait_s: float) -> list[tuple[Any, Any]]:
        """Return the tasks that have ended, as (key, value or error). Wait ``wait_s`` for the first of them."""
        until = self._clock() + wait_s
        while not self._landed and (self._in_the_air or self._resting or wait_s > 0):
            now = self._clock()
            while self._resting and self._resting[0][0] <= now:
                self._start(heapq.heappop(self._resting)[2])
            if self._landed or now >= until:
                break
            wakes = [
                until,
                *(at for at, *_ in self._resting[:1]),
                *(each.ends_at for each in self._in_the_air.values()),
            ]
            if arrived := self._calls.next(min(wakes) - now):
                self._arrive(*arrived)
            else:
                self._give_up_late_calls()
        landed, self._landed = self._landed, []
        return landed

    def run(self, task: Task) -> Any:
        """Fly one task to its end and return its value. Other tasks land meanwhile. Raises the task's error."""
        mark = object()
        self.begin(mark, task)
        others = []
        while True:
            for key, value in self.landed(CALL_S):
                if key is not mark:
                    others.append((key, value))
                    continue
                self._landed = others + self._landed
                if isinstance(value, Exception):
                    raise value
                return value

    def _step(self, flying: _Flying, body: dict[str, Any] | Exception | None) -> None:
        """Continue the task with a body or an error, up to its next call or its end."""
        try:
            if isinstance(body, Exception):
                call = flying.task.throw(body)
            else:
                call = next(flying.task) if body is None else flying.task.send(body)
        except StopIteration as done:
            self._land(flying, done.value)
        except NightshiftError as exc:
            self._land(flying, exc)
        except UNKNOWN_SHAPE as exc:
            self._land(flying, Rejected(f"RevenueCat's rows have an unknown shape: {exc!r}"))
        else:
            flying.call, flying.tries_left = call, TRIES
            self._start(flying)

    def _start(self, flying: _Flying) -> None:
        """Start the task's call, or let it rest until it may start."""
        now = self._clock()
        left_s = self._remaining_s() - RESERVE_S
        if left_s < SHORTEST_CALL_S:
            return self._step(flying, OutOfTime())
        is_reserved = flying.reserved > 0
        if is_reserved:
            self._governor.reserve(-1)
            flying.reserved -= 1
        wait_s = self._governor.wait_for_a_call_s(now, flying.call.budget)
        if wait_s > 0:
            if is_reserved:
                self._governor.reserve(1)
                flying.reserved += 1
            trouble = RateLimited(
                "RevenueCat's rate limit was used up", f"no call left for {flying.call.budget}", wait_s=wait_s
            )
            return self._rest(flying, trouble)
        number = next(self._numbers)
        timeout_s = min(CALL_S, left_s)
        flying.started_at, flying.ends_at, flying.tries_left = now, now + timeout_s + GRACE_S, flying.tries_left - 1
        self._governor.start(now, flying.call.budget)
        self._in_the_air[number] = flying
        self._calls.send(number, flying.call.url, timeout_s=timeout_s)
        return None

    def _give_up_late_calls(self) -> None:
        now = self._clock()
        for number in [number for number, flying in self._in_the_air.items() if flying.ends_at <= now]:
            self._arrive(number, Answer(0, failure=LATE))

    def _arrive(self, number: int, answer: Answer) -> None:
        flying = self._in_the_air.pop(number, None)
        if flying is None:
            return
        now, call = self._clock(), flying.call
        usage, limit = usage_of(answer)
        self._governor.finish(
            now, call.budget, flying.started_at, usage=usage, limit=limit, answered=not answer.failure
        )
        try:
            body = body_of(answer, key=self._secret, of_a_customer=call.of_a_customer, now=now)
        except RateLimited as exc:
            exc.wait_s = self._governor.refuse(now, call.budget, exc.asked_s)
            exc.had_room = self._governor.had_room
            self._rest(flying, exc)
        except Unavailable as exc:
            # A server that hangs is paid for once.
            flying.tries_left = 0 if answer.failure == LATE else flying.tries_left
            self._rest(flying, exc)
        except NightshiftError as exc:
            self._step(flying, exc)
        else:
            self._step(flying, body)

    def _rest(self, flying: _Flying, trouble: Unavailable) -> None:
        """Try the call again after a while, unless that takes too long or was done too often."""
        patience_s = min(PATIENCE_S, self._remaining_s() - RESERVE_S)
        if trouble.wait_s > patience_s or not flying.tries_left or isinstance(trouble, Forbidden):
            return self._step(flying, trouble)
        heapq.heappush(self._resting, (self._clock() + trouble.wait_s, next(self._numbers), flying))
        return None

    def _land(self, flying: _Flying, value: Any) -> None:
        self._governor.reserve(-flying.reserved)
        self._landed.append((flying.key, value))

"""The sandbox without HTTP, in simulated time: hours of calls take seconds, and each run of a seed is the same."""

import heapq
import itertools
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from local.revenuecat.replies import Reply
from local.revenuecat.sandbox import Sandbox
from nightshift_jobs.revenuecat_sync.revenuecat.answers import LATE, Answer

BASE_URL = "http://revenuecat.invalid/v2"


class SimulatedTime:
    """A clock in seconds since 1970 that only moves when it is told to. Things happen ``at`` their times, in order."""

    def __init__(self, now: float = 1_800_000_000.0):
        self._now = now
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def __call__(self) -> float:
        return self._now

    def at(self, when: float, happens: Callable[[], object]) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), happens))

    def pass_until(self, when: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that is due up to ``when``, or to the first moment at which ``until()`` is true."""
        while not until():
            if not self._due or self._due[0][0] > when:
                self._now = max(self._now, when)
                return
            due, _, happens = heapq.heappop(self._due)
            self._now = max(self._now, due)
            happens()

    def sleep(self, seconds: float) -> None:
        self.pass_until(self._now + seconds)


class SimulatedCalls:
    """``nightshift_jobs.revenuecat_sync.revenuecat.http_calls.Calls`` to a sandbox, whose clock is ``time`` as well."""

    def __init__(self, sandbox: Sandbox, time: SimulatedTime, key: str):
        self._sandbox, self._time, self._key = sandbox, time, key
        self._arrived: list[tuple[int, Answer]] = []
        self._is_closed = False

    def send(self, number: int, url: str, *, timeout_s: float) -> None:
        now, delays = self._time(), list[float]()
        answer = self._answer(url, delays.append)
        delay_s = sum(delays)
        if delay_s > timeout_s:
            delay_s, answer = timeout_s, Answer(0, failure=LATE)
            self._sandbox.calls[-1].status = None
        self._time.at(now + delay_s, lambda: self._arrived.append((number, answer)))

    def next(self, wait_s: float) -> tuple[int, Answer] | None:
        assert not self._is_closed
        self._time.pass_until(self._time() + max(0.0, wait_s), until=lambda: bool(self._arrived))
        return self._arrived.pop(0) if self._arrived else None

    def close(self) -> None:
        self._is_closed = True

    def _answer(self, url: str, wait: Callable[[float], object]) -> Answer:
        parts = urlsplit(url)
        target = parts.path.removeprefix(urlsplit(BASE_URL).path) + (f"?{parts.query}" if parts.query else "")
        reply = self._sandbox.answer(target, base_url=BASE_URL, authorization=f"Bearer {self._key}", wait=wait)
        return Answer(0, failure="the connection failed") if reply is None else answer_of(reply)


def answer_of(reply: Reply) -> Answer:
    """Return the reply as the sync's HTTP client would."""
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return Answer(reply.status, headers, reply.content, HTTPStatus(reply.status).phrase)

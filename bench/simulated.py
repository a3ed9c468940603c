"""Shared parts of the sync's benchmarks in simulated time, with the real executor and a real Postgres.

RevenueCat is in process. Only calls, waits and the start of a slice take time, so hours pass in seconds, and each run
of a seed is the same.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from statistics import mean
from typing import Any

from bench.parts import settings_of
from bench.syncs import INSERT_RUN, database_with_users
from local.postgres import Postgres
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import BASE_URL, SimulatedCalls, SimulatedTime
from local.revenuecat.traffic import Call
from nightshift.aws import queue
from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.runs import executor
from nightshift_jobs.revenuecat_sync import place
from nightshift_jobs.revenuecat_sync.job import revenuecat_sync

# The paid seconds in which a new slice claims its run, reads the key and opens its connection.
START_S = 0.3
# The worker's timeout, in seconds.
INVOCATION_S = 120
WINDOW_S = 60
KEY = "sk_sandbox"


@dataclass
class Measured:
    """A run's figures. Times in simulated seconds; ``calls`` are its own calls to customer information."""

    users: int
    row: dict[str, Any]
    seconds: float = 0
    paid_s: float = 0
    slices: int = 0
    statements: int = 0
    commits: int = 0
    calls: list[Call] = field(default_factory=list)
    limit: int = 480

    @property
    def calls_a_user(self) -> float:
        return len(self.calls) / self.users

    @property
    def share(self) -> float:
        """Return the share of the limit: a window, by the mean time between a call and the call one limit later."""
        starts = [call.at for call in self.calls if call.status != 429]
        laps = [later - earlier for earlier, later in zip(starts, starts[self.limit :], strict=False)]
        return WINDOW_S / mean(laps) if laps else float("nan")

    @property
    def refused(self) -> int:
        return sum(call.status == 429 for call in self.calls)

    def line(self) -> str:
        """Return the figures of a completed run. Another one has none to claim."""
        if self.row["status"] != "completed":
            raise SystemExit(f"The sync has {self.row['status']}: {self.row['error']}")
        paid, statements = self.paid_s / self.users, self.statements / self.users
        return (
            f"{self.calls_a_user:.2f} calls a user, "
            f"{self.share:.1%} of the limit, "
            f"{self.refused} x 429, {paid:.3f} paid s a user, {statements:.3f} statements a user, "
            f"{self.slices} slices, {self.seconds / 60:.1f} min"
        )


@contextmanager
def simulated(server: Postgres, name: str, *, users: int) -> Iterator[tuple[Database, Settings]]:
    """Yield a new database with a project of so many users: a superuser's connection, and the worker's settings."""
    owner = database_with_users(server, name, users=users)
    settings = settings_of(server, name, "nightshift_worker")
    os.environ |= {"DATABASE_HOST": settings.database_host, "DATABASE_USER": settings.database_user}
    os.environ["REVENUECAT_URL"] = BASE_URL
    settings_module.settings.cache_clear()
    place.decrypt_secret = lambda ciphertext, *, project_id: ciphertext.decode()
    yield owner, replace(settings, slice_reserve_s=30)
    owner.close()


def run_sync(
    owner: Database,
    settings: Settings,
    sandbox: Sandbox,
    clock: SimulatedTime,
    *,
    job: Callable[..., Any] = revenuecat_sync,
    insert: str = INSERT_RUN,
    between: Callable[[], object] = lambda: None,
) -> Measured:
    """Work a new run to its end. ``between`` is called between slices. Calls of other clients are not counted."""
    [[run_id]] = owner.run_script(insert)
    own: list[Call] = []

    def calls(key: str) -> "CountedCalls":
        return CountedCalls(sandbox, clock, key, own)

    handler = partial(job, clock=clock, calls=calls)
    handler.__module__ = job.__module__  # type: ignore[attr-defined]
    db, began = Database(settings), clock()
    kept, JobType.handler = JobType.handler, lambda self: handler
    sent = [queue.Message(run_id, 0, "bench")]
    queue.send = sent.append
    measured = Measured(0, {}, limit=sandbox.budget)
    try:
        while sent:
            message = sent.pop()
            clock.sleep(message.delay_s)
            owner.run_script(f"UPDATE job_runs SET due_at = clock_timestamp() WHERE id = '{run_id}'")
            between()
            starts, ends = clock(), clock() + INVOCATION_S
            clock.sleep(START_S)
            executor.work(
                run_id, message.slice, db=db, settings=settings, remaining_s=lambda ends=ends: ends - clock(),
                request_id=f"slice-{measured.slices}",
            )  # fmt: skip
            measured.slices, measured.paid_s = measured.slices + 1, measured.paid_s + clock() - starts
            if not sent:  # a wait of more than 15 minutes is sent by the sweep
                sent += _long_wait(owner, run_id, clock)
    finally:
        JobType.handler = kept
    measured.seconds, measured.statements, measured.calls = clock() - began, db.statements, own
    db.close()
    [[row]] = owner.run_script(f"SELECT to_jsonb(job_runs) FROM job_runs WHERE id = '{run_id}'")
    [[measured.users]] = owner.run_script("SELECT count(*) FROM app_users")
    measured.row = row
    return measured


def _long_wait(owner: Database, run_id: str, clock: SimulatedTime) -> list[queue.Message]:
    live = owner.run_script(
        "SELECT slice, extract(epoch FROM due_at - clock_timestamp())::float FROM job_runs"
        f" WHERE id = '{run_id}' AND completed_at IS NULL"
    )
    return [queue.Message(run_id, number, "bench", max(0.0, float(seconds))) for number, seconds in live]


class CountedCalls(SimulatedCalls):
    """Calls that also note themselves, so that those of other clients with the key are not counted."""

    def __init__(self, sandbox: Sandbox, time: SimulatedTime, key: str, own: list[Call]):
        super().__init__(sandbox, time, key)
        self._own = own

    def send(self, number: int, url: str, *, timeout_s: float) -> None:
        before = len(self._sandbox.calls)
        super().send(number, url, timeout_s=timeout_s)
        self._own += [call for call in self._sandbox.calls[before:] if call.group == "customer_information"]


@dataclass
class Company:
    """Another client with the key: ``a_minute`` calls, evenly, while ``is_there(seconds since the start)``."""

    sandbox: Sandbox
    clock: SimulatedTime
    a_minute: float
    is_there: Callable[[float], bool] = lambda seconds: True
    calls: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self._began, self._numbers = self.clock(), count()
        self._next()

    @property
    def share_refused(self) -> float:
        return self.refused / max(1, self.calls)

    def _next(self) -> None:
        self.clock.at(self._began + next(self._numbers) * 60 / self.a_minute, self._call)

    def _call(self) -> None:
        if self.is_there(self.clock() - self._began):
            self.calls += 1
            target = f"/projects/{self.sandbox.project_id}/customers/user_000001/subscriptions"
            reply = self.sandbox.answer(
                target, base_url=BASE_URL, authorization=f"Bearer {KEY}", wait=lambda seconds: None
            )
            self.refused += reply is not None and reply.status == 429
        self._next()


# The plain approach to compare with: four calls a user, one after the other, inside one long-lived process.
PLAIN_CALLS = ("", "/active_entitlements", "/subscriptions", "/purchases")


@dataclass
class Plain:
    """Calls, refused calls, the seconds, all of which are paid, and the users of whom a call failed."""

    calls: int = 0
    refused: int = 0
    seconds: float = 0
    missed: set[str] = field(default_factory=set)


def plain_sync(sandbox: Sandbox, clock: SimulatedTime, ids: Sequence[str]) -> Plain:
    """Read each customer. After a 429, sleep as long as it says and try again."""
    plain, began = Plain(), clock()
    for user_id in ids:
        for call in PLAIN_CALLS:
            while True:
                plain.calls += 1
                target = f"/projects/{sandbox.project_id}/customers/{user_id}{call}"
                reply = sandbox.answer(
                    target, base_url=BASE_URL, authorization=f"Bearer {KEY}", wait=lambda seconds: clock.sleep(seconds)
                )
                if reply is None or reply.status not in (200, 404, 429):
                    plain.missed.add(user_id)
                if reply is None or reply.status != 429:
                    break
                plain.refused += 1
                clock.sleep(int(reply.headers["Retry-After"]))
    plain.seconds = clock() - began
    return plain

"""Workers that die or freeze at a chosen moment, and a queue that loses, duplicates and delays messages.

A separate process works each message (forked from a warm server, like a new Lambda environment), with real Postgres.
The queue is in this process, so that it can misbehave on purpose.
"""

import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any

import pytest

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base.errors import DatabaseGone
from nightshift.base.settings import Settings
from nightshift.database import queries
from nightshift.testing.rows import sweep

FORKS = multiprocessing.get_context("forkserver")

# The remaining time that every worker sees.
REMAINING_S = 60.0
# Leases last until Chaos ends them, because a worker on a busy machine may need any time for its slice.
LEASE_S = 86_400.0
# A frozen worker goes on after this long, long after the server has ended its transaction.
FROZEN_S = 2.0
AT_ONCE = 4
SWEEP_EVERY_S = 0.2


def start_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the server that forks the workers, with all modules imported."""
    job = "nightshift_jobs.revenuecat_sync"
    FORKS.set_forkserver_preload(["tests.support.chaos_worker", f"{job}.params", f"{job}.job"])
    # Until Python 3.13 the server ignores sys.path, and then silently preloads nothing.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    forkserver.ensure_running()


LIVE = """SELECT id::text, slice, cursor::text, coalesce(lease_expires_at > clock_timestamp(), false) FROM job_runs
          WHERE status IN ('pending', 'running') ORDER BY id"""
END_LEASE = "UPDATE job_runs SET lease_expires_at = clock_timestamp() WHERE id = '{}' AND slice = {}"


class Stuck(Exception):
    """Runs do not end"""


@dataclass(frozen=True)
class Fate:
    """The fate of one invocation: ``action`` at its ``boundary``-th commit or send, or after ``seconds``."""

    action: str = ""  # "kill", "freeze" or none
    boundary: int | None = None
    seconds: float | None = None
    one_step: bool = True
    """Whether the slice has time for only one step, or for all steps."""


@dataclass(frozen=True)
class Delivery:
    """The queue's treatment of one message."""

    lost: bool = False
    copies: int = 1
    late_s: float = 0


@dataclass
class Worker:
    slice: tuple[str, int]
    process: Any
    pipe: Connection
    fate: Fate
    started: float
    frozen_at: float | None = None


@dataclass
class Chaos:
    """Work messages until every run has ended. ``fate`` and ``delivery`` decide, given (run id, slice, nth time)."""

    settings: Settings
    fate: Callable[[str, int, int], Fate] = lambda *_: Fate()
    delivery: Callable[[str, int, int], Delivery] = lambda *_: Delivery()
    still_sweeps: int = 1500
    """So many sweeps in a row that change nothing mean that something hangs: no lease or resend is that late."""
    deliveries_per_run: int = 200
    """So many messages for each run mean that the runs go in circles. A run needs about ten."""
    messages: list[tuple[float, str, int]] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    seen: dict[tuple[str, int], int] = field(default_factory=dict)
    sent: dict[tuple[str, int], int] = field(default_factory=dict)
    happened: dict[str, int] = field(default_factory=dict)
    struck: set[tuple[str, bool, int]] = field(default_factory=set)
    """Every (action, one_step, boundary) that happened."""

    def send(self, message: Message) -> None:
        key = (message.run_id, message.slice)
        nth = self.sent[key] = self.sent.get(key, 0) + 1
        how = self.delivery(*key, nth)
        if how.lost:
            return self._note("lost")
        for copy in range(how.copies):
            due = time.monotonic() + message.delay_s + how.late_s * (copy + 1)
            self.messages.append((due, *key))
        if how.copies > 1:
            self._note("doubled")
        return None

    def until_ended(self, db: queries.Database, *, between: Callable[[], None] = lambda: None) -> None:
        """Work until every run has ended. Raise Stuck with the live runs if they hang or go in circles."""
        swept, before, still = 0.0, None, 0
        try:
            while True:
                now = time.monotonic()
                if now - swept > SWEEP_EVERY_S:
                    swept, live = now, None
                    try:
                        between()
                        self._send_swept(db)
                        live = db.run_script(LIVE)
                        self._end_leases(db, [(run_id, number) for run_id, number, _, is_leased in live if is_leased])
                    except DatabaseGone:
                        self._note("no database")
                    if live == [] and not self.workers:
                        return
                    state = (live, dict(self.seen), [worker.process.pid for worker in self.workers])
                    before, still = state, still + 1 if state == before else 0
                    runs = {run_id for run_id, _ in self.seen}
                    if still >= self.still_sweeps or sum(self.seen.values()) > self.deliveries_per_run * len(runs):
                        raise Stuck(f"{still} sweeps changed nothing, {self._told(live)}")
                self._deliver(now)
                self._watch()
        finally:
            for worker in self.workers:
                self._end(worker)

    def _told(self, live: list[list[Any]] | None) -> str:
        delivered, waiting, at_work = sum(self.seen.values()), len(self.messages), len(self.workers)
        return (
            f"{delivered} messages were delivered, {waiting} wait, {at_work} workers are there; "
            f"live runs (id, slice, cursor, whether leased): {live}"
        )

    def _send_swept(self, db: queries.Database) -> None:
        """Sweep, and send what the sweep sends, except copies of messages that still wait.

        On a busy machine messages wait longer than the sweep does. Every sweep would then add copies faster than the
        workers take messages, and the queue would only grow.
        """
        waiting = {(run_id, number) for _, run_id, number in self.messages}
        for message in self._swept(db):
            if (message.run_id, message.slice) not in waiting:
                self.send(message)

    def _end_leases(self, db: queries.Database, leased: list[tuple[str, int]]) -> None:
        """Let the time of each lease be over whose holder is dead or frozen."""
        at_work = {worker.slice for worker in self.workers if worker.frozen_at is None}
        for run_id, number in leased:
            if (run_id, number) not in at_work:
                db.run_script(END_LEASE.format(run_id, number))

    def _swept(self, db: queries.Database) -> list[Message]:
        messages: list[Message] = []
        real, queue.send_all = queue.send_all, lambda batch: messages.extend(batch) or 0
        try:
            sweep(db=db, settings=self.settings)
        finally:
            queue.send_all = real
        return messages

    def _deliver(self, now: float) -> None:
        due = [message for message in self.messages if message[0] <= now]
        for message in due[: max(0, AT_ONCE - len([w for w in self.workers if w.frozen_at is None]))]:
            self.messages.remove(message)
            _, run_id, number = message
            nth = self.seen[run_id, number] = self.seen.get((run_id, number), 0) + 1
            fate = self.fate(run_id, number, nth)
            here, there = FORKS.Pipe()
            from tests.support.chaos_worker import invoke

            process = FORKS.Process(target=invoke, args=(there, self.settings, run_id, number, fate))
            process.start()
            there.close()
            self.workers.append(Worker((run_id, number), process, here, fate, now))

    def _watch(self) -> None:
        """Wait briefly for news of a worker, then apply fates whose time has come."""
        select.select([w.pipe for w in self.workers], [], [], 0.02)
        now = time.monotonic()
        for worker in list(self.workers):
            try:
                while worker.pipe.poll():
                    kind, *rest = worker.pipe.recv()
                    if kind == "send":
                        self.send(Message(*rest))
                    else:
                        self._note(kind)
                        self.struck.add((kind, worker.fate.one_step, *rest))
                        worker.frozen_at = now if kind == "freeze" else None
            except EOFError:
                self._end(worker)
                self.workers.remove(worker)
                continue
            at = worker.fate.seconds
            if at is not None and worker.frozen_at is None and now - worker.started >= at:
                worker.fate = Fate()
                self._note("struck")
                os.kill(worker.process.pid, signal.SIGKILL)
            if worker.frozen_at is not None and now - worker.frozen_at > FROZEN_S:
                worker.frozen_at = None
                os.kill(worker.process.pid, signal.SIGCONT)

    def _end(self, worker: Worker) -> None:
        worker.pipe.close()
        if worker.process.is_alive() and worker.frozen_at is not None:
            os.kill(worker.process.pid, signal.SIGCONT)
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()

    def _note(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

"""Make two sessions of the database meet: one holds the locks of its statement while the other runs its own.

``meet`` first stops both sessions before their statements, so that each function has done its earlier reads. Then the
``first`` session runs its statement in a transaction and keeps the transaction open. The other runs its statement until
it waits for the first session or has returned. Only then does the first session commit, or die.

    def test_a_cancel_waits_for_an_ending(meet, run):
        met = meet(Act(finishes, at="end_run"), Act(cancels, at="cancel_run"), first=0)
        assert met.waited and isinstance(met.other, Refused)

Nothing sleeps, and the result does not depend on timing: the database tells which session waits for which.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest

from nightshift.base.errors import NightshiftError
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, Row

# No passing test reaches these limits. A hanging test must fail.
NO_LIMITS = {"lock_timeout": "60s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s"}


class Died(BaseException):
    """The process is gone: ``except Exception`` does not catch this, and uncommitted changes are lost."""


@dataclass(frozen=True)
class Act:
    """``do`` is called with a session. At the query ``at`` it meets the other session."""

    do: Callable[[Database], Any]
    at: str


@dataclass(frozen=True)
class Met:
    """The values that both returned or raised (only our errors), and whether the second waited for the first."""

    one: Any
    other: Any
    waited: bool


@dataclass
class _Side:
    """A session's progress, and how far it may continue."""

    at: str
    is_first: bool
    dies: bool
    arrived: "Future[None]" = field(default_factory=Future)
    """It is about to run its statement."""
    holds: "Future[int]" = field(default_factory=Future)
    """It ran its statement and has not committed. The result is its session's process id."""
    may_run: Event = field(default_factory=Event)
    may_end: Event = field(default_factory=Event)
    may_go_on: Event = field(default_factory=Event)
    """The other session has finished all its work."""
    is_dead: bool = False

    def let_go(self) -> None:
        for gate in (self.may_run, self.may_end, self.may_go_on):
            gate.set()


class _Session(Database):
    """A connection of one of the two sessions, with the connections that are created from it."""

    def __init__(self, config: Settings, side: _Side, **startup_params: str):
        super().__init__(config, **NO_LIMITS | startup_params)
        self._side = side

    def sibling(self, **changes: Any) -> "_Session":
        other = super().sibling(**changes)
        return _Session(other._config, self._side, **other._startup_params)

    def query(self, name: str, /, *, again_if_gone: bool = False, **params: Any) -> list[Row]:
        side = self._side
        if side.is_dead:
            raise Died
        if name != side.at or side.arrived.done():
            return super().query(name, again_if_gone=again_if_gone, **params)
        side.arrived.set_result(None)
        side.may_run.wait()
        if not side.is_first:
            return super().query(name, again_if_gone=again_if_gone, **params)
        is_alone = not self.in_transaction
        if is_alone:
            self.begin()
        rows = super().query(name, **params)
        side.holds.set_result(self.run_script("SELECT pg_backend_pid()")[0][0])
        side.may_end.wait()
        if side.dies:
            side.is_dead = True
            self.close()
            raise Died
        if is_alone:
            self.commit()
        return rows

    def commit(self) -> None:
        super().commit()
        if self._side.holds.done():
            self._side.may_go_on.wait()


@pytest.fixture
def meet(config: Settings, owner: Database) -> Callable[..., Met]:
    """``meet(one, other, first=0, dies=False)``: start ``other`` when ``one`` has come to its statement."""

    def meet(one: Act, other: Act, *, first: int = 0, dies: bool = False) -> Met:
        acts = (one, other)
        sides = [_Side(act.at, is_first=number == first, dies=dies) for number, act in enumerate(acts)]
        leader, follower = sides[first], sides[1 - first]
        with ThreadPoolExecutor(2) as threads, ExitStack() as stack:
            running: list[Future[Any]] = []
            for act, side in zip(acts, sides, strict=True):
                session = stack.enter_context(closing(_Session(config, side)))
                stack.callback(side.let_go)
                running.append(threads.submit(act.do, session))
                _until(side.arrived, running[-1], f"The act came to its end without {act.at}")
            leader.may_run.set()
            pid = _until(leader.holds, running[first], "The first ended in the midst of its statement")
            follower.may_run.set()
            waited = _waits(running[1 - first], pid, owner)
            leader.may_end.set()
            while dies and owner.run_script(f"SELECT FROM pg_stat_activity WHERE pid = {pid}"):
                pass  # until the server notices that its client is gone
            wait([running[1 - first]])
            leader.may_go_on.set()
            return Met(_outcome(running[0]), _outcome(running[1]), waited)

    return meet


def _until(reached: "Future[Any]", running: "Future[Any]", complaint: str) -> Any:
    wait([reached, running], return_when=FIRST_COMPLETED)
    if not reached.done():
        raise AssertionError(complaint) from running.exception()
    return reached.result()


def _waits(second: "Future[Any]", pid: int, owner: Database) -> bool:
    """Return whether the second session comes to wait for session ``pid``; False as soon as it has returned."""
    waits = f"SELECT FROM pg_stat_activity WHERE datname = current_database() AND {pid} = ANY (pg_blocking_pids(pid))"
    while not second.done():
        if owner.run_script(waits):
            return True
        wait([second], timeout=0.005)
    return False


def _outcome(running: "Future[Any]") -> Any:
    error = running.exception()
    if error and not isinstance(error, NightshiftError | Died):
        raise error
    return error or running.result()


ORDERS = [
    pytest.param(first, dies, id=f"{who} {'dies' if dies else 'first'}")
    for first, who in enumerate(("one", "other"))
    for dies in (False, True)
]
"""Values of ``first`` and ``dies``: each session comes first, and each dies before it commits."""

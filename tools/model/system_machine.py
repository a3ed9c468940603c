"""The system machine: a slice of a system job, its step on one connection, and its DDL on another (run_alone).

nightshift_worker makes the claim; nightshift_maintenance makes the step's writes and their fence. DDL has no WHERE
clause for the slice, so its session must end before the lease. Times are ticks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step


@dataclass(frozen=True)
class Rules:
    fence_with_step: bool = True
    """The fence is the last statement of the transaction with the step's writes, on the same connection."""
    alone_fenced: bool = True
    """stay_within_lease checks that the slice is still the run's current one."""
    alone_timeout: bool = True
    """The server ends the DDL after the time that stay_within_lease has set."""
    alone_idle: bool = True
    """The server ends the session of a worker that froze before it sent the DDL."""
    alone_kept_back: bool = True
    """The time limit of the DDL excludes the time for which the session may be idle."""
    alone_at_least: bool = True
    """The DDL does not begin when too little of the lease is left."""
    alone_cancel: bool = True
    """The DDL does not begin after a cancel request."""


IDLE, RESERVE = 3, 1

WORKS, WRITTEN, FENCED, ASKED, ENDED = "works", "has written", "has fenced", "may run its DDL", "is over"


class Session(NamedTuple):
    """The server's session for the DDL: how long it may still be idle and, once the DDL runs, how long it may take."""

    idle: int = 0
    limit: int = 0
    runs: bool = False


class State(NamedTuple):
    lease: int
    """The lease of this worker or, after the number was raised, of the next one."""
    at: str = WORKS
    session: Session | None = None
    is_frozen: bool = False
    is_raised: bool = False
    is_cancelled: bool = False
    written: int = 0
    """Steps whose writes are committed."""
    cursor: int = 0
    freezes: int = 1
    cancels: int = 1
    did_ddl: bool = False


@dataclass(frozen=True)
class SystemMachine:
    rules: Rules = Rules()
    lease: int = 6
    freezes: int = 1

    def starts(self) -> list[Step[State]]:
        """``claim_slice.sql``, and open the job's own connection."""
        return [Step("claim", State(self.lease, freezes=self.freezes))]

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        yield from self.pass_time(state)
        yield from self.raise_number(state)
        if state.session and state.session.runs:
            yield self.finish_ddl(state)
        if faults and state.cancels and not state.is_raised:
            yield Step("CANCEL", state._replace(is_cancelled=True, cancels=0))
        if state.at == ENDED:
            return
        if state.is_frozen:
            yield Step("THAW", state._replace(is_frozen=False))
            return
        yield from self.step(state)
        yield from self.run_alone(state)
        if faults and state.freezes:
            yield Step("FREEZE", state._replace(is_frozen=True, freezes=state.freezes - 1))
            yield Step("CRASH", state._replace(at=ENDED, freezes=state.freezes - 1))

    def owes(self, state: State) -> bool:
        return not state.is_raised and state.cursor == 0

    def calm(self, state: State) -> State:
        return state._replace(freezes=0, cancels=0)

    def pass_time(self, state: State) -> Iterator[Step[State]]:
        """Let one tick pass. An awake worker ends before its lease expires; the server counts independently."""
        is_awake = state.at != ENDED and not state.is_frozen and not state.is_raised
        if state.lease == 0 or (state.lease == 1 and is_awake):
            return
        session = state.session
        if session and session.runs and self.rules.alone_timeout:
            session = session._replace(limit=session.limit - 1) if session.limit > 1 else None
        elif session and not session.runs and self.rules.alone_idle:
            session = session._replace(idle=session.idle - 1) if session.idle > 1 else None
        yield Step("tick", state._replace(lease=state.lease - 1, session=session), "tick")

    def raise_number(self, state: State) -> Iterator[Step[State]]:
        """``expire_leases.sql``, and the next worker's claim, which continues from the cursor."""
        if state.lease or state.is_raised:
            return
        broken = ""
        if state.written != state.cursor:
            broken = "step twice: its writes are committed without its cursor"
        yield Step("sweep: next number", state._replace(is_raised=True, lease=self.lease), "sweep", broken)

    def step(self, state: State) -> Iterator[Step[State]]:
        """Make the step's writes, ``save_progress.sql`` and the commit on ``nightshift_maintenance``'s connection."""
        if state.at == WORKS and state.cursor == 0:
            yield Step("the step writes", state._replace(at=WRITTEN), "worker")
        elif state.at == WRITTEN and state.is_raised:
            yield Step("yield: no row, slice lost", state._replace(at=ENDED), "worker")
        elif state.at == WRITTEN and self.rules.fence_with_step:
            yield Step("yield COMMIT", state._replace(at=ENDED, written=1, cursor=1), "worker")
        elif state.at == WRITTEN:
            yield Step("COMMIT of the step's connection", state._replace(at=FENCED, written=1), "worker")
        elif state.at == FENCED and not state.is_raised:
            yield Step("yield over the other connection", state._replace(at=ENDED, cursor=1), "worker")

    def run_alone(self, state: State) -> Iterator[Step[State]]:
        """``stay_within_lease.sql`` and the DDL, on a third connection in autocommit mode."""
        if state.at == WORKS and not state.did_ddl:
            if state.is_cancelled and self.rules.alone_cancel:
                yield Step("run_alone: cancelled", state._replace(at=ENDED), "worker")
                return
            if state.is_raised and self.rules.alone_fenced:
                yield Step("run_alone: no row, slice lost", state._replace(at=ENDED), "worker")
                return
            limit = state.lease - RESERVE - (IDLE if self.rules.alone_kept_back else 0)
            if limit < 1 and self.rules.alone_at_least:
                yield Step("run_alone: too little is left", state._replace(did_ddl=True))
                return
            asked = state._replace(at=ASKED, session=Session(IDLE, max(limit, 1)), did_ddl=True)
            broken = "cancel not honoured: DDL begins after it" if state.is_cancelled else ""
            yield Step("run_alone: stays within the lease", asked, broken=broken)
        elif state.at == ASKED and state.session is None:
            yield Step("DDL: the session is gone", state._replace(at=ENDED), "worker")
        elif state.at == ASKED and state.session and not state.session.runs:
            yield Step("DDL begins", state._replace(session=state.session._replace(runs=True)), "worker")

    def finish_ddl(self, state: State) -> Step[State]:
        """Finish the DDL on the server, even if the worker that sent it is dead or frozen."""
        broken = "DDL under the successor: it takes effect after the number was raised" if state.is_raised else ""
        at = WORKS if state.at == ASKED and not state.is_frozen else state.at
        return Step("DDL takes effect", state._replace(session=None, at=at), "server", broken)


OF_EACH = SystemMachine()

CASES = Cases(
    rules=Rules,
    holds={"a freeze and a cancel": OF_EACH},
    proofs={"a long lease": SystemMachine(lease=9, freezes=3)},
    knockouts=(
        Knockout(("fence_with_step",), "step twice", 11, OF_EACH),
        Knockout(("alone_fenced",), "DDL under the successor", 13, OF_EACH),
        Knockout(("alone_timeout",), "DDL under the successor", 12, OF_EACH),
        Knockout(("alone_idle",), "DDL under the successor", 12, OF_EACH),
        Knockout(("alone_kept_back",), "DDL under the successor", 12, OF_EACH),
        Knockout(("alone_at_least",), "DDL under the successor", 13, OF_EACH),
        Knockout(("alone_cancel",), "cancel not honoured", 3, OF_EACH),
    ),
)

"""The run machine's state: one run's row, its messages, the workers that hold or want it, and the remaining faults.

Slice numbers are relative to the row's: 0 is the current one, -1 an older one, 1 the next. Times are ticks that count
down and stop at 0: a lease of 0 has expired, and None means no lease.
"""

from dataclasses import dataclass
from typing import NamedTuple

PENDING, RUNNING = "pending", "running"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
LIVE = (PENDING, RUNNING)

OLD, CURRENT, NEXT = -1, 0, 1


@dataclass(frozen=True)
class Rules:
    """The conditions of docs/protocol.md. Leaving out any of them breaks a promise."""

    fence_live: bool = True
    """The worker's statements: WHERE live."""
    fence_slice: bool = True
    """The worker's statements: WHERE slice = n."""
    claim_no_lease: bool = True
    """The claim requires that the row has no lease; it does not take over an expired one."""
    claim_due: bool = True
    claim_time_left: bool = True
    claim_sets_end_once: bool = True
    """Only the first claim sets the end of the run's allowed duration."""
    claim_clears_resend: bool = True
    hold_no_lease: bool = True
    """The hold of a slice without a place requires that the row has no lease."""
    hold_live: bool = True
    hold_resend: bool = True
    """The hold sets the resend time anew, after the later due time."""
    call_held: bool = True
    """The call to a free place takes only a run whose due time is still to come, and that has no lease."""
    call_live: bool = True
    early_sent_on: bool = True
    """A message that arrives before its time is sent on, not dropped."""
    end_slice_resend: bool = True
    end_slice_no_cancel: bool = True
    end_slice_sends_last: bool = True
    """The next message is sent after the commit."""
    end_run_no_cancel: bool = True
    end_clears_resend: bool = True
    moved_cursor_alone: bool = True
    """Only a yield that moved the cursor resets the count of lost slices."""
    statement_clock: bool = True
    """The statement uses clock_timestamp(), not now()."""
    unknown_commit_abandons: bool = True
    cancel_in_one: bool = True
    """The cancel is one statement."""
    cleanup_in_step: bool = True
    """The cleanup cancels inside its step's transaction."""
    expiry_over: bool = True
    """The expiry requires an expired lease."""
    expiry_raises: bool = True
    expiry_resend: bool = True
    expiry_cancel_first: bool = True
    expiry_locked_row: bool = True
    """The sweep decides and acts in one statement on the locked row."""
    lost_ceiling: bool = True
    resend_live: bool = True
    resend_no_lease: bool = True
    overlong_ends: bool = True
    overlong_live: bool = True
    overlong_no_lease: bool = True
    idle_timeout: bool = True
    """The database ends idle transactions."""


class Faults(NamedTuple):
    """The remaining number of each fault. A busy database and a job's exception end a slice in the same way."""

    lost: int = 0
    doubled: int = 0
    crashes: int = 0
    cancels: int = 0
    early: int = 0
    exceptions: int = 0
    cleanups: int = 0
    holds: int = 0
    """How often a claim finds no place."""


@dataclass(frozen=True)
class Sizes:
    """``job`` has one letter for each step: s is a yield, w a Wait, l a Wait whose cursor alternates, p a yield that
    does not move the cursor and kills its worker, k a yield whose cursor alternates and that kills its worker.
    """

    job: str = "sws"
    lease: int = 2
    resend: int = 2
    resend_most: int = 4
    wait: int = 2
    hold: int = 2
    longest_delay: int = 3
    lost_limit: int = 2
    lost_ceiling: int = 0
    """0 means that it is not modelled."""
    duration: int = 0
    """0 means that it is not modelled."""
    workers: int = 2
    copies: int = 3
    """The most equal messages that a state keeps; further copies are dropped."""
    reduced: bool = True
    """Drop messages that no claim can ever take."""
    checked: bool = True
    """The CHECK constraint live_is_leased_or_resent exists."""


class Row(NamedTuple):
    status: str = PENDING
    lease: int | None = None
    due: int = 0
    resend: int | None = None
    resends: int = 0
    cancel: bool = False
    lost: int = 0
    lost_in_total: int = 0
    cursor: int = 0
    ends_by: int | None = None
    real_wait: int = 0
    """The rest of the wait that the job requested; ``due`` should be equal."""
    is_held: bool = False
    """Its present slice was held for want of a place; it may be claimed since."""


class Message(NamedTuple):
    number: int
    delay: int


# A worker's position. Workers in LOCKING have changed the row without committing, so they hold its lock.
CLAIMING, EARLY, WORKING, OPENED, SENT_FIRST, SENDING = "claim", "early", "work", "opened", "sent first", "send"
NO_PLACE = "no place"
YIELDING, HANDING_OVER, ENDING, CLEANING = "yield", "slice end", "ending", "cleanup"
ASKING, SWEEPING = "2nd statement of the cancel", "sweep"
LOCKING = (YIELDING, HANDING_OVER, ENDING, CLEANING)
HOLDING = (WORKING, OPENED, SENT_FIRST, YIELDING, HANDING_OVER, ENDING)


class Worker(NamedTuple):
    at: str
    number: int = CURRENT
    cursor: int = 0
    """The steps that this worker believes to be committed."""
    is_frozen: bool = False
    asked: bool = False
    """It knows of the cancel request, or its last statement was refused: it ends the run as cancelled."""
    stepped: bool = False
    """It has committed a step; only then can it run out of time."""
    target: int = 0
    """The cursor of a slice end; the delay of a message."""
    wait: int = 0
    due: int = 0
    """The rest of the wait, counted from the clock that the statement reads."""
    real: int = 0
    """The rest of the wait, counted from the statement itself."""
    outcome: str = ""


class State(NamedTuple):
    row: Row
    queue: tuple[Message, ...]
    workers: tuple[Worker, ...]
    left: Faults


def earlier(ticks: int) -> int:
    return ticks - 1 if ticks > 0 else ticks


def earlier_if_set(ticks: int | None) -> int | None:
    return ticks if ticks is None else earlier(ticks)


def older(number: int) -> int:
    """Return a relative number after the row's own number was raised."""
    return max(number - 1, OLD)

"""The run machine's state: one run's row, its messages, the workers that hold or want it, and the faults that are left.

Slice numbers are kept relative to the row's: 0 is its own, -1 an older one, 1 the next. Times are ticks that count down
and stop at 0: a lease of 0 is over, one of None is not there.
"""

from dataclasses import dataclass
from typing import NamedTuple

PENDING, RUNNING = "pending", "running"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
LIVE = (PENDING, RUNNING)

OLD, CURRENT, NEXT = -1, 0, 1


@dataclass(frozen=True)
class Rules:
    """The conditions of docs/protocol.md. Each can be left out, and then a promise is broken."""

    fence_live: bool = True
    """The worker's statements: WHERE live."""
    fence_slice: bool = True
    """The worker's statements: WHERE slice = n."""
    claim_no_lease: bool = True
    """The claim asks for no lease: one that is over is not claimed over."""
    claim_due: bool = True
    claim_time_left: bool = True
    claim_sets_end_once: bool = True
    """The first claim sets until when the run may last, no later one."""
    claim_clears_resend: bool = True
    early_sent_on: bool = True
    """A message that comes before its time is sent on, not dropped."""
    end_slice_resend: bool = True
    end_slice_no_cancel: bool = True
    end_slice_sends_last: bool = True
    """The next message is sent after the commit."""
    end_run_no_cancel: bool = True
    end_clears_resend: bool = True
    moved_cursor_alone: bool = True
    """Only a yield that moved the cursor sets the count of lost slices back."""
    statement_clock: bool = True
    """clock_timestamp(), not now()."""
    unknown_commit_abandons: bool = True
    cancel_in_one: bool = True
    """The cancel is one statement."""
    cleanup_in_step: bool = True
    """The cleanup cancels inside its step's transaction."""
    expiry_over: bool = True
    """The expiry asks for a lease that is over."""
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
    """The database ends transactions that are idle."""


class Faults(NamedTuple):
    """How many of each are still to come. A busy database and a job's exception end a slice alike."""

    lost: int = 0
    doubled: int = 0
    crashes: int = 0
    cancels: int = 0
    early: int = 0
    exceptions: int = 0
    cleanups: int = 0


@dataclass(frozen=True)
class Sizes:
    """``job``, one letter a step: s a yield, w a Wait, l a Wait to a cursor that goes to and fro, p a yield that moves
    nothing and kills its worker, k one that goes to and fro and kills its worker.
    """

    job: str = "sws"
    lease: int = 2
    resend: int = 2
    resend_most: int = 4
    wait: int = 2
    longest_delay: int = 3
    lost_limit: int = 2
    lost_ceiling: int = 0
    """0: not modelled."""
    duration: int = 0
    """0: not modelled."""
    workers: int = 2
    copies: int = 3
    """Equal messages beyond so many are not told apart."""
    reduced: bool = True
    """Forget messages that no claim can ever take."""
    checked: bool = True
    """The CHECK constraint live_is_leased_or_resent is there."""


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
    """What is left of the wait that the job asked for; ``due`` ought to say the same."""


class Message(NamedTuple):
    number: int
    delay: int


# Where a worker stands. Those in LOCKING have changed the row and not committed: they hold its lock.
CLAIMING, EARLY, WORKING, OPENED, SENT_FIRST, SENDING = "claim", "early", "work", "opened", "sent first", "send"
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
    """It has been told of the cancel request, or the statement before was refused: it ends the run as cancelled."""
    stepped: bool = False
    """It has committed a step: only then its time may be short."""
    target: int = 0
    """The cursor of a slice end; the delay of a message."""
    wait: int = 0
    due: int = 0
    """What is left of the wait, counted from the clock that the statement reads."""
    real: int = 0
    """What is left of the wait, counted from the statement."""
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
    """Return what a number is, relative to the row's, when the row's was raised."""
    return max(number - 1, OLD)

"""Places: a job type may declare that only some of its runs work at once (``at_once``); each of these holds a place.

A slice takes its place in the transaction of its claim. A slice without a place is held: it is due later, and its
message is sent on. A slice that ends or waits frees its place for the run that was held longest, and calls it. A run
whose slice ran out of time keeps its place for the next slice. A dead worker's place is free when its lease is over.
"""

from collections.abc import Callable, Sequence
from typing import Any

from nightshift.aws.queue import Message
from nightshift.base.errors import NightshiftError, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs.slices import ClaimedSlice

# A held run looks for a place again after as long as it has waited already, within these bounds (seconds). It is called
# as soon as a place is free; looking is for places whose workers died.
LOOK_AT_LEAST_S, LOOK_AT_MOST_S = 10, 300
# The part by which waits differ, so that held runs do not look at the same time.
JITTER = 0.25
# For how long a place is kept for the run that was called (seconds): its message may be lost.
KEPT_S = 60

Claim = Callable[[], ClaimedSlice | None]


class NoPlace(NightshiftError):
    """All places of the job type are taken"""


class _NotClaimed(Exception):
    """The slice was not claimed, so its place is given back"""


def claim_with_place(
    found: ClaimedSlice, job_type: JobType, claim: Claim, *, lease_s: float, db: Database
) -> ClaimedSlice | None:
    """Take a place and claim the slice by ``claim``, or neither. Return what ``claim`` returned. Raises NoPlace."""
    claimed = None
    try:
        with db.transaction():
            _take(found, job_type, lease_s=lease_s, db=db)
            claimed = claim()
            if claimed is None or claimed.early_s > 0:
                raise _NotClaimed
    except _NotClaimed:
        pass
    return claimed


def hold(found: ClaimedSlice, job_type: JobType, *, db: Database, settings: Settings) -> Message | None:
    """Let the slice wait for a place. Return its message, to be sent on; None if it is not to be held any longer."""
    # A run's id is random.
    spread = 1 + JITTER * (found.id.int % 1000 / 500 - 1)
    wait_s = min(LOOK_AT_MOST_S, max(LOOK_AT_LEAST_S, found.held_s)) * spread
    others = "another run" if job_type.at_once == 1 else f"{job_type.at_once} other runs"
    held = db.query(
        "hold_slice",
        run_id=found.id,
        slice=found.slice,
        wait_s=wait_s,
        waiting_for=f"{others} of {job_type.name}",
        resend_delay_s=settings.resend_delay_s,
    )
    logger.info("The slice waits for a place", action="slice_held", waits_s=round(wait_s))
    return Message.of(found.id, found.slice, found.team_id, wait_s) if held else None


def free(*, run_id: str, slice: int | None, db: Database, settings: Settings) -> Sequence[Message]:
    """Free the place of a slice that is over, or with None that of a run that has ended, if it still has one.

    Return the message of the run that is called to it. Never raises: the place is free when its lease would be over.
    """
    try:
        called = db.query(
            "free_place",
            caps=caps(),
            run_id=run_id,
            slice=slice,
            kept_s=KEPT_S,
            resend_delay_s=settings.resend_delay_s,
        )
    except Exception as exc:
        logger.warning(f"A place could not be freed: {sentence(exc)}", action="place_not_freed")
        return []
    return [Message.of(row["id"], row["slice"], row["team_id"]) for row in called]


def caps() -> dict[str, int]:
    """Return how many runs work at once, by job type; types without a cap are left out."""
    return {name: job_type.at_once for name, job_type in JOB_TYPES.items() if job_type.at_once}


def _take(found: ClaimedSlice, job_type: JobType, *, lease_s: float, db: Database) -> None:
    cap: dict[str, Any] = {"job_type": job_type.name, "at_once": job_type.at_once}
    wanted = cap | {"run_id": found.id, "slice": found.slice, "lease_s": lease_s}
    if not (db.query("take_place", **wanted) or (db.query("make_places", **cap) and db.query("take_place", **wanted))):
        raise NoPlace

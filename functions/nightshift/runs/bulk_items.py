"""Work the items of bulk actions in batches.

An item's outcome commits together with the run that it starts or cancels. So a batch that a crash interrupts is done
again from its first item, and no item is done twice.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import metrics
from nightshift.base.errors import Refused
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, Row
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify import outbox
from nightshift.runs.run_params import check_stored_params

# Items of one action that are cancelled within a minute.
CANCELS_PER_MINUTE = 5_000


class OpenItem(NamedTuple):
    """An item that this session has locked (lock_bulk_items.sql), with the parameters of its run."""

    id: UUID
    action: str
    job_type: str
    project_id: str
    params: dict[str, Any]


def shares(settings: Settings) -> dict[str, int]:
    """Return how many runs a team's actions cancel, and start, within a minute (the parameters of open_bulk_items).

    They take half of the runs that the team may start, so that its people can start runs meanwhile.
    """
    return {"cancels": CANCELS_PER_MINUTE, "reruns": max(1, settings.runs_per_minute // 2)}


def work_first(action_id: str, *, at_most: int, db: Database, settings: Settings) -> None:
    """Work the first items of this action."""
    share: dict[str, Any] = dict(shares(settings))
    found = db.query("open_bulk_items", action_id=action_id, at_most=at_most, passed_over=[], **share)
    work([row["key"] for row in found], db=db, settings=settings)
    db.query("end_bulk_actions")


def work(item_ids: Sequence[str], *, db: Database, settings: Settings) -> Counter[str]:
    """Cancel or run again the runs of these items, in one transaction. Return the counts of their outcomes.

    Items that another session works at the moment, or has done, are left out. A message that cannot be sent is left to
    the sweep.
    """
    with db.transaction():
        items = db.query_as(OpenItem, "lock_bulk_items", keys=list(item_ids))
        cancels = [str(item.id) for item in items if item.action == "cancel"]
        reruns = [_rerun_of(item) for item in items if item.action == "rerun"]
        cancelled = db.query("cancel_bulk_items", keys=cancels) if cancels else []
        started = (
            db.query("rerun_bulk_items", due={"items": reruns}, resend_delay_s=settings.resend_delay_s)
            if reruns
            else []
        )
    _tell_of_cancelled([row for row in cancelled if row["outcome"] == "cancelled"], db=db, settings=settings)
    _send_started([row for row in started if row["outcome"] == "started"])
    return Counter(row["outcome"] for row in cancelled + started)


def _rerun_of(item: OpenItem) -> dict[str, Any]:
    """Return what rerun_bulk_items.sql stores. The refusal is a reason for which the run cannot be run again."""
    job_type, params, refusal = JOB_TYPES.get(item.job_type), dict[str, Any](), None
    if job_type is None or job_type.scope == "system":
        refusal = f"this release has no job type {item.job_type}"
    else:
        try:
            params = check_stored_params(job_type, item.params, project_id=item.project_id)["params"]
        except Refused as exc:
            refusal = str(exc)
    return {
        "id": str(item.id),
        "run_id": str(uuid.uuid4()),
        "params": params,
        "provider": job_type and job_type.provider,
        "refusal": refusal,
    }


def _tell_of_cancelled(rows: list[Row], *, db: Database, settings: Settings) -> None:
    for row in rows:
        metrics.count_ending("cancelled", job_type=row["job_type"])
    if rows:
        outbox.dispatch([str(row["run_id"]) for row in rows], db=db, settings=settings)


def _send_started(rows: list[Row]) -> None:
    queue.send_all(Message.of(row["run_id"], 0, row["team_id"]) for row in rows)
    for row in rows:
        logger.info("Run created", action="run_created", run_id=row["run_id"], job_type=row["job_type"])

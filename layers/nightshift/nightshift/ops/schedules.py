"""What runs when: each schedule with the slots to come and what became of the last ones."""

from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Annotated, Any

from pydantic import Field

from nightshift.catalogue import CATALOGUE
from nightshift.cron import from_five_fields
from nightshift.database import Database
from nightshift.runs import timestamp
from nightshift.settings import Settings

NEXT_SLOTS = 3


def list_schedules(
    *, slots: Annotated[int, Field(ge=1, le=50)] = 3, db: Database, settings: Settings
) -> dict[str, Any]:
    """``{"schedules": [{"job_type", "cron", "active_since", "next", "last"}]}``; all but the first null without one."""
    rows = db.query("list_schedules", again_if_gone=True, slots=slots)
    found = {job_type: list(group) for job_type, group in groupby(rows, key=lambda row: row["job_type"])}
    unscheduled = [name for name, known in CATALOGUE.items() if known.scope == "system" and name not in found]
    return {
        "schedules": [
            {
                "job_type": job_type,
                "cron": past[0]["cron"],
                "active_since": timestamp(past[0]["active_since"]),
                "next": [timestamp(slot) for slot in next_slots(past[0]["cron"], after=past[0]["now"])],
                "last": [
                    {
                        "slot": timestamp(row["slot"]),
                        "outcome": row["outcome"],
                        "run_id": row["run_id"] and str(row["run_id"]),
                        "status": row["status"],
                        "error": row["error"],
                    }
                    for row in past
                    if row["slot"]
                ],
            }
            for job_type, past in found.items()
        ]
        + [{"job_type": name, "cron": None, "active_since": None, "next": [], "last": []} for name in unscheduled]
    }


def next_slots(cron: str, *, after: datetime, count: int = NEXT_SLOTS) -> list[datetime]:
    """The first ``count`` slots of a five-field cron in UTC later than ``after``."""
    return list(islice(from_five_fields(cron).slots_after(after.astimezone(UTC)), count))

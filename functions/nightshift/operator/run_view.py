"""The command that shows any run, a team's or the system's: its state, its slices, and why a worker was lost."""

from typing import Any

from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.operator.log_lines import last_words
from nightshift.operator.run_commands import find_run, mail_as_json
from nightshift.runs import reading
from nightshift.runs.timeline import timeline

SLICES_SHOWN = 200


def view(*, run_id: str, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"job_run", "timeline", "slices", "mails"}`` of any run. The timeline says why it is not progressing.

    ``job_run`` has the names of ``team`` and ``project`` in addition to the ids. The timeline holds the newest slices,
    with Lambda's messages about lost ones; ``slices`` is the total number of slices.
    """
    run = find_run(run_id, db=db)
    told = timeline(run, db=db, settings=settings, at_most=SLICES_SHOWN)
    if any(entry["outcome"] == "lost" for entry in told["timeline"]):
        said = last_words(run, db=db, settings=settings)
        for entry in told["timeline"]:
            if entry["outcome"] == "lost" and entry["request_id"] in said:
                entry["reason"] = f"{entry['reason']}. {said[entry['request_id']]}"
    return {
        "job_run": reading.as_json(run) | (db.one("whose_run", run_id=run["id"]) or {}),
        "timeline": told,
        "slices": told["slices_left_out"] + len(told["timeline"]),
        "mails": [mail_as_json(mail) for mail in db.query("list_mails", run_id=run["id"])],
    }

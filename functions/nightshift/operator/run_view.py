"""The command that shows any run, a team's or the system's: its state, its slices, and why a worker was lost."""

from collections.abc import Mapping
from typing import Any

from nightshift.base.settings import Settings
from nightshift.database.log_row import last_lines
from nightshift.database.queries import Database
from nightshift.notify.stopped import stopped
from nightshift.operator.log_lines import last_words
from nightshift.operator.run_commands import MailRow, find_run
from nightshift.runs.timeline import SliceRow, left_out, newest_slices, told

SLICES_SHOWN = 200
LOG_LINES_SHOWN = 20


def view(*, run_id: str, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"job_run", "timeline", "slices", "log_lines", "mails"}`` of any run. The timeline says why it is not
    progressing.

    ``job_run`` has the names of ``team`` and ``project`` in addition to the ids. The timeline holds the newest slices,
    with Lambda's messages about lost ones; ``slices`` is the total number of slices, and ``log_lines`` are the last
    lines that the job logged and the database stores. Each mail also has ``stopped``, which says why mails to its
    address are stopped, if they are.
    """
    state = find_run(run_id, db=db)
    slices = newest_slices(state.run.id, at_most=SLICES_SHOWN, db=db)
    if any(slice.outcome == "lost" for slice in slices):
        said = last_words(state, db=db, settings=settings)
        slices = [_with_last_words(slice, said) for slice in slices]
    return {
        "job_run": state.run.as_json() | (db.one("whose_run", run_id=state.run.id) or {}),
        "timeline": told(state, slices, settings=settings),
        "slices": left_out(slices) + len(slices),
        "log_lines": last_lines(state.run.id, at_most=LOG_LINES_SHOWN, db=db),
        "mails": [
            mail.as_json() | {"stopped": mail.recipient and stopped(mail.recipient, db=db)}
            for mail in db.query_as(MailRow, "list_mails", run_id=state.run.id)
        ],
    }


def _with_last_words(slice: SliceRow, said: Mapping[str, str]) -> SliceRow:
    """Add Lambda's message about the invocation to the reason of a lost slice."""
    if slice.outcome != "lost" or slice.request_id not in said:
        return slice
    return slice._replace(reason=f"{slice.reason}. {said[slice.request_id]}")

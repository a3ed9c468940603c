"""Rows before and after a statement, compared exactly, with the clock at noon."""

import itertools
import json
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

NOON = datetime(2031, 3, 1, 12, tzinfo=UTC)

_serial = itertools.count()


def at(seconds: float) -> str:
    """Return the time this many seconds after noon, as Postgres writes it in JSON."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def days(number: float) -> float:
    return number * 86_400


PENDING = {"status": "pending", "due_at": at(-60), "resend_at": at(60)}
WAITING = {**PENDING, "status": "running", "started_at": at(-600), "ends_by": at(6000), "slice": 2}
SLICE = {"request_id": "r", "slice_started_at": at(-30)}
LEASED = {**WAITING, **SLICE, "lease_expires_at": at(60), "resend_at": None}
SENT = {"status": "sent", "send_at": None, "ended_at": at(-1)}
ENDED = {**WAITING, "status": "cancelled", "completed_at": at(-10), "resend_at": None}


def insert(owner, table, **columns):
    """Insert a row with these columns and defaults for the others."""
    names = ", ".join(columns)
    values = json.dumps(columns).replace("'", "''")
    owner.run_script(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_record(NULL::{table}, '{values}')"
    )


def run(owner, state=PENDING, **columns):
    """Insert a system job's run in this state and return its id."""
    run_id = str(uuid.uuid4())
    own = {"id": run_id, "job_type": f"type_{next(_serial)}", "triggered_by": "schedule"}
    insert(owner, "job_runs", **{**own, **state, **columns})
    return run_id


def slice_over(owner, run_id, number=0, **columns):
    """Insert a slice of the run that is over and did not end it."""
    given = {"request_id": "r", "started_at": at(-90), "ended_at": at(-60), "outcome": "continued", **columns}
    insert(owner, "job_slices", run_id=run_id, slice=number, **given)


def rows(owner, table, key="id"):
    """Return every row of the table, by its key."""
    found = owner.run_script(f"SELECT to_jsonb({table}) FROM {table}")
    return {str(row[key]): {name: _value(name, value) for name, value in row.items()} for (row,) in found}


def _value(name, value):
    is_time = value and name.endswith(("_at", "_by", "_until", "slot", "since")) and isinstance(value, str)
    return datetime.fromisoformat(value).isoformat() if is_time and value[:2] == "20" else value


def notice(owner, **columns):
    """Insert an outbox row and return its id. Without a run it is an alert."""
    content = {} if "run_id" in columns else {"content": {"subject": "s", "lines": []}}
    before = rows(owner, "job_outbox")
    insert(owner, "job_outbox", **{**content, **columns})
    [outbox_id] = rows(owner, "job_outbox").keys() - before.keys()
    return outbox_id


@contextmanager
def the_real_time(owner):
    """Yield a check that a time, which a column's default wrote, is of the statements in between."""
    read = "SELECT date_trunc('milliseconds', clock_timestamp())"
    [[first]], times = owner.run_script(read), []
    yield lambda time: first <= datetime.fromisoformat(time) <= times[0] + timedelta(milliseconds=1)
    times.extend(owner.run_script(read)[0])


class Changes:
    """Changes by the statements in between. ``changes()`` returns each changed row with its changed columns."""

    def __init__(self, owner, table, key="id"):
        self._read = lambda: rows(owner, table, key)
        self._before = self._read()

    def __call__(self):
        after = self._read()
        assert after.keys() >= self._before.keys()
        changed = {
            key: {name: value for name, value in row.items() if value != self._before.get(key, {}).get(name)}
            for key, row in after.items()
        }
        return {key: columns for key, columns in changed.items() if columns}

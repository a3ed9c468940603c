"""Rows as a statement finds them and as it leaves them, exactly, where the clock stands at noon."""

import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta

NOON = datetime(2031, 3, 1, 12, tzinfo=UTC)

_serial = itertools.count()


def at(seconds: float) -> str:
    """So many seconds after noon, as Postgres writes a time in JSON."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def days(number: float) -> float:
    return number * 86_400


PENDING = {"status": "pending", "due_at": at(-60), "resend_at": at(60)}
WAITING = {**PENDING, "status": "running", "started_at": at(-600), "ends_by": at(6000), "slice": 2}
LEASED = {**WAITING, "lease_expires_at": at(60), "resend_at": None}
SENT = {"status": "sent", "send_at": None, "ended_at": at(-1)}
ENDED = {**WAITING, "status": "cancelled", "completed_at": at(-10), "resend_at": None}


def insert(owner, table, **columns):
    """A row with these columns; the others have their defaults."""
    names = ", ".join(columns)
    values = json.dumps(columns).replace("'", "''")
    owner.run_script(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_record(NULL::{table}, '{values}')"
    )


def run(owner, state=PENDING, **columns):
    """The id of a run of the system in this state."""
    run_id = str(uuid.uuid4())
    own = {"id": run_id, "job_type": f"type_{next(_serial)}", "triggered_by": "schedule"}
    insert(owner, "job_runs", **{**own, **state, **columns})
    return run_id


def rows(owner, table, key="id"):
    """Every row of the table, by its key."""
    found = owner.run_script(f"SELECT to_jsonb({table}) FROM {table}")
    return {str(row[key]): {name: _value(name, value) for name, value in row.items()} for (row,) in found}


def _value(name, value):
    is_time = value and name.endswith(("_at", "_by", "_until", "slot", "since")) and isinstance(value, str)
    return datetime.fromisoformat(value).isoformat() if is_time and value[:2] == "20" else value


def notice(owner, **columns):
    """The id of a row of the outbox: an alert, where it is of no run."""
    content = {} if "run_id" in columns else {"content": {"subject": "s", "lines": []}}
    before = rows(owner, "job_outbox")
    insert(owner, "job_outbox", **{**content, **columns})
    [outbox_id] = rows(owner, "job_outbox").keys() - before.keys()
    return outbox_id


class Changes:
    """What the statements in between have changed: ``changes()`` by row, and of each its changed columns."""

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

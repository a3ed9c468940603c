"""What the functions logged about a run, read from CloudWatch Logs."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from nightshift.aws import client
from nightshift.database import Database, Row
from nightshift.logs import log_groups, logs_url, window
from nightshift.ops.runs import find_run
from nightshift.settings import Settings
from nightshift.wording import timestamp

# CloudWatch reads a log group from its beginning, some megabytes a call (seconds; the function has a minute).
BUDGET_S = 30
# Lambda answers with 6 MB at most, and a line may have 256 KB.
MOST_BYTES = 4_000_000
LONGEST = 8_000
# Beside message, level and time: what a line says in fields of its own.
DULL = {
    "level",
    "message",
    "timestamp",
    "location",
    "service",
    "run_id",
    "cold_start",
    "correlation_id",
    "xray_trace_id",
}


def run_logs(
    *,
    run_id: str,
    at_most: Annotated[int, Field(ge=1, le=1000)] = 200,
    db: Database,
    settings: Settings,
) -> dict[str, Any]:
    """``{"lines": [{"at", "level", "message", "fields"}], "complete", "url"}``: the last ``at_most``, oldest first.

    Not ``complete`` where time ran out before every group was read to its end, or where the lines are too much for one
    answer. CloudWatch takes some seconds to show a line.
    """
    run = find_run(run_id, db=db)
    deadline = time.monotonic() + BUDGET_S
    events: list[dict[str, Any]] = []
    complete = True
    for group in log_groups(settings):
        for page in _pages(group, run):
            events = sorted(events + page, key=lambda event: event["timestamp"])[-at_most:]
            if time.monotonic() > deadline:
                complete = False
                break
    lines = _newest([_line(event) for event in events])
    complete = complete and len(lines) == len(events)
    return {"lines": lines, "complete": complete, "url": logs_url(run, settings=settings)}


def _pages(group: str, run: Row) -> Iterator[list[dict[str, Any]]]:
    begin, end = window(run)
    wanted = {
        "logGroupName": group,
        "startTime": int(begin.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000),
        "filterPattern": f'"{run["id"]}"',
    }
    token: dict[str, str] = {}
    while True:
        answer = client("logs").filter_log_events(**wanted, **token)
        yield answer["events"]
        if "nextToken" not in answer:
            return
        token = {"nextToken": answer["nextToken"]}


def _newest(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many of the last ones as one answer holds."""
    left = MOST_BYTES
    for number, line in enumerate(reversed(lines)):
        left -= len(json.dumps(line))
        if left < 0:
            return lines[len(lines) - number :]
    return lines


def _cut(value: Any) -> Any:
    """A value that a person can read: what is longer is cut, as text, and says so."""
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


def _line(event: dict[str, Any]) -> dict[str, Any]:
    try:
        logged = json.loads(event["message"])
        json.dumps(logged)
    except (ValueError, RecursionError):
        logged = None
    if not isinstance(logged, dict):
        logged = {"message": event["message"].strip()}
    return {
        "at": timestamp(datetime.fromtimestamp(event["timestamp"] / 1000, UTC)),
        "level": logged.get("level"),
        "message": _cut(logged.get("message")),
        "fields": {name: _cut(value) for name, value in logged.items() if name not in DULL},
    }

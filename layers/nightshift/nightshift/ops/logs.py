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

    Not ``complete`` where time ran out before every group was read to its end. CloudWatch takes some seconds to show a
    line.
    """
    run = find_run(run_id, db=db)
    deadline = time.monotonic() + BUDGET_S
    events: list[dict[str, Any]] = []
    complete = True
    for group in log_groups(settings):
        for page in _pages(group, run):
            events += page
            if time.monotonic() > deadline:
                complete = False
                break
    latest = sorted(events, key=lambda event: event["timestamp"])[-at_most:]
    return {"lines": [_line(event) for event in latest], "complete": complete, "url": logs_url(run, settings=settings)}


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


def _line(event: dict[str, Any]) -> dict[str, Any]:
    try:
        logged = json.loads(event["message"])
    except ValueError:
        logged = None
    if not isinstance(logged, dict):
        logged = {"message": event["message"].strip()}
    return {
        "at": timestamp(datetime.fromtimestamp(event["timestamp"] / 1000, UTC)),
        "level": logged.get("level"),
        "message": logged.get("message"),
        "fields": {name: value for name, value in logged.items() if name not in DULL},
    }

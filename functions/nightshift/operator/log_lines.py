"""The log lines about a run, from the functions and from Lambda itself, read from CloudWatch Logs."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from nightshift.aws.clients import client
from nightshift.base.errors import sentence
from nightshift.base.logger import logger
from nightshift.base.paging import fitting
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.database.run_row import RunState
from nightshift.operator.lambda_lines import level_of, told
from nightshift.operator.run_commands import find_run
from nightshift.runs.log_links import log_groups, logs_url, window

# CloudWatch reads a log group from its beginning, some megabytes per call (seconds; the function times out after 60).
BUDGET_S, LAST_WORDS_BUDGET_S = 30, 5
# A filter pattern has at most 1,024 characters; a UUID takes 40 of them.
TERMS_AT_ONCE = 24
# The most invocations of a run that are searched for.
MAX_REQUESTS = 3 * TERMS_AT_ONCE
# A Lambda function returns at most 6 MB, and a log line may have 256 KB.
MOST_BYTES = 4_000_000
LONGEST = 8_000
# Fields that are shown elsewhere or are the same on every line.
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


class LogEvent(NamedTuple):
    """An event of CloudWatch Logs. ``timestamp`` is in milliseconds."""

    group: str
    id: str | None
    timestamp: int
    message: str


def run_logs(
    *,
    run_id: str,
    at_most: Annotated[int, Field(ge=1, le=1000)] = 200,
    db: Database,
    settings: Settings,
) -> dict[str, Any]:
    """Return ``{"lines": [{"at", "level", "message", "fields"}], "complete", "url"}``: the last lines, oldest first.

    The lines include Lambda's own about the run's invocations, which say why a worker was lost. ``complete`` is false
    if time ran out before every log group was read, or if the lines do not fit into one answer. A new line takes some
    seconds to appear in CloudWatch.
    """
    state = find_run(run_id, db=db)
    requests = [row["request_id"] for row in db.query("request_ids_of_run", run_id=state.run.id, at_most=MAX_REQUESTS)]
    # The run's own lines are searched first and separately: they matter more than Lambda's.
    batches = (requests[at : at + TERMS_AT_ONCE] for at in range(0, len(requests), TERMS_AT_ONCE))
    searches = [[str(state.run.id)], *batches]
    events, complete = _events(searches, state, settings=settings, budget_s=BUDGET_S)
    latest = sorted(events, key=lambda event: event.timestamp)[-at_most:]
    lines = [_line(event) for event in latest]
    lines = lines[len(lines) - fitting(reversed(lines), most_bytes=MOST_BYTES) :]
    complete = complete and len(lines) == len(latest)
    return {"lines": lines, "complete": complete, "url": logs_url(state, settings=settings)}


def last_words(state: RunState, *, db: Database, settings: Settings) -> dict[str, str]:
    """Return Lambda's messages about the run's lost invocations, by request id, as far as they are found in time.

    Never raise: the caller's report is useful without them.
    """
    try:
        rows = db.query("request_ids_of_run", run_id=state.run.id, at_most=TERMS_AT_ONCE)
        lost = [row["request_id"] for row in rows if row["is_lost"]]
        events, _ = _events([lost], state, settings=settings, budget_s=LAST_WORDS_BUDGET_S) if lost else ([], True)
    except Exception as exc:
        logger.warning(f"Could not read Lambda's log lines: {sentence(exc)}", action="last_words_failed")
        return {}
    said: dict[str, str] = {}
    for event in sorted(events, key=lambda event: event.timestamp):
        line = _line(event)
        if line["level"] == "ERROR":
            said |= {request: str(line["message"]) for request in lost if request in event.message}
    return said


def _events(
    searches: list[list[str]], state: RunState, *, settings: Settings, budget_s: float
) -> tuple[list[LogEvent], bool]:
    """Return the distinct log events that contain a term of a search, and whether the search was complete."""
    deadline = time.monotonic() + budget_s
    found: set[LogEvent] = set()
    for terms in searches:
        for group in log_groups(settings):
            for page in _pages(group, state, terms):
                for event in page:
                    # CloudWatch and the local AWS match patterns differently.
                    if any(term in event.message for term in terms):
                        found.add(event)
                if time.monotonic() > deadline:
                    return list(found), False
    return list(found), True


def _pages(group: str, state: RunState, terms: list[str]) -> Iterator[list[LogEvent]]:
    begin, end = window(state)
    wanted = {
        "logGroupName": group,
        "startTime": int(begin.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000),
        # ``?`` marks alternatives.
        "filterPattern": f'"{terms[0]}"' if len(terms) == 1 else " ".join(f'?"{term}"' for term in terms),
    }
    token: dict[str, str] = {}
    while True:
        answer = client("logs").filter_log_events(**wanted, **token)
        yield [
            LogEvent(group, event.get("eventId"), event["timestamp"], event["message"]) for event in answer["events"]
        ]
        if "nextToken" not in answer:
            return
        token = {"nextToken": answer["nextToken"]}


def _cut(value: object) -> object:
    """Return the value; a long value is cut as text, with a note."""
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


def _line(event: LogEvent) -> dict[str, object]:
    text = event.message.strip()
    try:
        parsed: object = json.loads(text)
        json.dumps(parsed)
    except (ValueError, RecursionError):
        parsed = None
    plain: dict[str, object] = {"message": text, "level": level_of(text)}
    logged: dict[str, object] = parsed if isinstance(parsed, dict) else plain
    logged = told(logged) or logged
    of_job = logged.get("fields")
    if isinstance(of_job, dict):
        logged = {name: value for name, value in logged.items() if name != "fields"} | {
            name: value for name, value in of_job.items() if name not in logged
        }
    return {
        "at": timestamp(datetime.fromtimestamp(event.timestamp / 1000, UTC)),
        "level": logged.get("level"),
        "message": _cut(logged.get("message")),
        "fields": {name: _cut(value) for name, value in logged.items() if name not in DULL},
    }

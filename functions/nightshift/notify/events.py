"""The events that ended runs put on an EventBridge bus, so that other systems can react without polling."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable, endpoint_of, post, regional_host
from nightshift.database.run_row import RunRow

SOURCE = "nightshift"

# The fields of the API's job_run that an event has.
FIELDS = (
    *("id", "job_type", "team_id", "project_id", "status", "triggered_by"),
    *("started_at", "completed_at", "progress", "error"),
)

# EventBridge bills events in units of 64 KiB, and each target reads the whole event. Targets that need a longer result
# can get it from the API, by the run's id.
MAX_RESULT_BYTES = 8_192

# Errors that a retry cannot fix. A missing permission is not among them, because the operator can grant it.
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
REFUSED_FOR_GOOD = {
    "InvalidAccountIdException",
    "InvalidArgument",
    "MalformedDetail",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "ValidationException",
}


# The most entries that EventBridge takes in one call. Together they may have 256 KB; ten of ours have less.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
MOST_ENTRIES = 10


def put_events(runs: Sequence[RunRow], *, bus: str) -> list[str | AwsRefused]:
    """Put the events of these ended runs on the bus, at most MOST_ENTRIES.

    Return for each run EventBridge's id of the event, or the reason why EventBridge refused this entry.
    Raise the errors of nightshift.aws.aws_http if the call as a whole fails.
    """
    endpoint = endpoint_of("EVENTBRIDGE", host=regional_host("events"))
    body = {"Entries": [_entry(run, bus=bus) for run in runs]}
    # No retries: EventBridge has no client token, so a retry could put the events twice.
    answers = post("events", body, endpoint=endpoint, target="AWSEvents.PutEvents", attempts=1).get("Entries") or []
    if len(answers) != len(runs):
        raise AwsUnreachable(f"EventBridge answered for {len(answers)} of {len(runs)} events")
    return [_id_or_refusal(answer) for answer in answers]


def _entry(run: RunRow, *, bus: str) -> dict[str, Any]:
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": f"run {run.status}",
        "Time": run.completed_at and run.completed_at.timestamp(),
        "Detail": json.dumps(detail_of(run), ensure_ascii=False),
    }


def _id_or_refusal(answer: Mapping[str, Any]) -> str | AwsRefused:
    if "EventId" in answer:
        return str(answer["EventId"])
    return AwsRefused("events", answer.get("ErrorCode", "Unknown"), answer.get("ErrorMessage", ""), passing=False)


def detail_of(run: RunRow) -> dict[str, object]:
    """Return the event's detail, with the field names and formats of the API's ``job_run``.

    A ``result`` longer than MAX_RESULT_BYTES is left out.
    """
    seen = run.as_json()
    detail = {name: seen[name] for name in FIELDS}
    return detail | {"result": run.result} if len(json.dumps(run.result)) <= MAX_RESULT_BYTES else detail

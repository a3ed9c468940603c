"""The events that ended runs put on an EventBridge bus, so that other systems can react without polling."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable, endpoint_of, post, regional_host
from nightshift.base.wording import timestamp
from nightshift.database.queries import Row

SOURCE = "nightshift"

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


def put_events(rows: Sequence[Row], *, bus: str) -> list[str | AwsRefused]:
    """Put the events in these rows of claim_outbox.sql on the bus, at most MOST_ENTRIES.

    Return for each row EventBridge's id of the event, or the reason why EventBridge refused this entry.
    Raise the errors of nightshift.aws.aws_http if the call as a whole fails.
    """
    endpoint = endpoint_of("EVENTBRIDGE", host=regional_host("events"))
    body = {"Entries": [_entry(row, bus=bus) for row in rows]}
    # No retries: EventBridge has no client token, so a retry could put the events twice.
    answers = post("events", body, endpoint=endpoint, target="AWSEvents.PutEvents", attempts=1).get("Entries") or []
    if len(answers) != len(rows):
        raise AwsUnreachable(f"EventBridge answered for {len(answers)} of {len(rows)} events")
    return [_id_or_refusal(answer) for answer in answers]


def _entry(row: Row, *, bus: str) -> dict[str, Any]:
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": f"run {row['status']}",
        "Time": row["completed_at"].timestamp(),
        "Detail": json.dumps(detail_of(row), ensure_ascii=False),
    }


def _id_or_refusal(answer: Mapping[str, Any]) -> str | AwsRefused:
    if "EventId" in answer:
        return str(answer["EventId"])
    return AwsRefused("events", answer.get("ErrorCode", "Unknown"), answer.get("ErrorMessage", ""), passing=False)


def detail_of(row: Row) -> dict[str, Any]:
    """Return the event's detail, with the field names and formats of the API's ``job_run``.

    A ``result`` longer than MAX_RESULT_BYTES is left out.
    """
    detail = {
        "id": str(row["run_id"]),
        "job_type": row["job_type"],
        "team_id": row["team_id"] and str(row["team_id"]),
        "project_id": row["project_id"] and str(row["project_id"]),
        "status": row["status"],
        "triggered_by": row["triggered_by"],
        "started_at": timestamp(row["started_at"]),
        "completed_at": timestamp(row["completed_at"]),
        "progress": row["progress"],
        "error": row["error"],
    }
    if len(json.dumps(row["result"])) <= MAX_RESULT_BYTES:
        detail["result"] = row["result"]
    return detail

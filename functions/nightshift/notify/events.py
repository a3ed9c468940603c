"""The event that an ended run puts on an EventBridge bus, so that other systems can react without polling."""

import json
from typing import Any

from nightshift.aws.aws_http import AwsRefused, endpoint_of, post, regional_host
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


def put_event(row: Row, *, bus: str) -> str:
    """Put the event in this row of claim_outbox.sql on the bus, and return EventBridge's id of the event.

    Raise the errors of nightshift.aws.aws_http. A refused entry, for which EventBridge answers 200, raises AwsRefused.
    """
    entry = {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": f"run {row['status']}",
        "Time": row["completed_at"].timestamp(),
        "Detail": json.dumps(detail_of(row), ensure_ascii=False),
    }
    endpoint = endpoint_of("EVENTBRIDGE", host=regional_host("events"))
    # No retries: EventBridge has no client token, so a retry could put the event twice.
    [answer] = post("events", {"Entries": [entry]}, endpoint=endpoint, target="AWSEvents.PutEvents", attempts=1)[
        "Entries"
    ]
    if "EventId" in answer:
        return str(answer["EventId"])
    raise AwsRefused("events", answer.get("ErrorCode", "Unknown"), answer.get("ErrorMessage", ""), passing=False)


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

"""The event that an ended run puts on an EventBridge bus, so that other systems can react without polling."""

import json

from nightshift.aws.aws_http import AwsRefused, endpoint_of, post, regional_host
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


def put_event(run: RunRow, *, bus: str) -> str:
    """Put the event of this ended run on the bus, and return EventBridge's id of the event.

    Raise the errors of nightshift.aws.aws_http. A refused entry, for which EventBridge answers 200, raises AwsRefused.
    """
    entry = {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": f"run {run.status}",
        "Time": run.completed_at and run.completed_at.timestamp(),
        "Detail": json.dumps(detail_of(run), ensure_ascii=False),
    }
    endpoint = endpoint_of("EVENTBRIDGE", host=regional_host("events"))
    # No retries: EventBridge has no client token, so a retry could put the event twice.
    answers = post("events", {"Entries": [entry]}, endpoint=endpoint, target="AWSEvents.PutEvents", attempts=1)
    entries: list[dict[str, str]] = answers["Entries"]
    [answer] = entries
    if "EventId" in answer:
        return answer["EventId"]
    raise AwsRefused("events", answer.get("ErrorCode", "Unknown"), answer.get("ErrorMessage", ""), passing=False)


def detail_of(run: RunRow) -> dict[str, object]:
    """Return the event's detail, with the field names and formats of the API's ``job_run``.

    A ``result`` longer than MAX_RESULT_BYTES is left out.
    """
    seen = run.as_json()
    detail = {name: seen[name] for name in FIELDS}
    return detail | {"result": run.result} if len(json.dumps(run.result)) <= MAX_RESULT_BYTES else detail

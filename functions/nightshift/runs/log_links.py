"""Find a run's log lines. Every line about a run carries its id as ``run_id``."""

import os
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from nightshift.base.settings import Settings
from nightshift.database.run_row import RunState

# Log lines may be this much before the run's creation or after its end: clocks differ, and mails are sent later.
MARGIN = timedelta(minutes=5)


def logs_url(state: RunState, *, settings: Settings) -> str | None:
    """Return the address of the log lines: ``LOGS_URL`` with the run's id, or a query of CloudWatch Logs Insights.

    Return None if neither is configured.
    """
    if settings.logs_url:
        return settings.logs_url.replace("{run_id}", str(state.run.id))
    if not settings.log_groups:
        return None
    begin, end = window(state)
    return _insights_url(
        f'fields @timestamp, level, message\n| filter run_id = "{state.run.id}"\n| sort @timestamp',
        groups=log_groups(settings),
        begin=begin,
        end=end,
        region=os.environ["AWS_REGION"],
    )


def log_groups(settings: Settings) -> list[str]:
    return [name for name in settings.log_groups.split(",") if name]


def window(state: RunState) -> tuple[datetime, datetime]:
    """Return the period in which the run's log lines lie."""
    return state.run.created_at - MARGIN, (state.run.completed_at or state.now) + MARGIN


def _insights_url(query: str, *, groups: list[str], begin: datetime, end: datetime, region: str) -> str:
    """Build a link to the console, whose fragment holds the query: JSURL, percent-encoded with ``$`` instead of ``%``.

    JSURL is described at https://github.com/Sage/jsurl. The fields are those of the console's own links.
    """
    detail: dict[str, str | list[str]] = {
        "start": _moment(begin),
        "end": _moment(end),
        "timeType": "ABSOLUTE",
        "tz": "UTC",
        "editorString": query,
        "source": groups,
    }
    fragment = "logsV2:logs-insights?queryDetail=" + _jsurl(detail)
    encoded = quote(fragment, safe="-_.!~*'():").replace("%", "$")
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#{encoded}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _jsurl(value: dict[str, str | list[str]] | str | list[str]) -> str:
    if isinstance(value, dict):
        return "~(" + "~".join(name + _jsurl(of) for name, of in value.items()) + ")"
    if isinstance(value, list):
        return "~(" + "".join(_jsurl(of) for of in value) + ")"
    return "~'" + "".join(char if char.isalnum() or char in "-_." else f"*{ord(char):02x}" for char in value)

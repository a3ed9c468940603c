"""The requests about a team's schedules."""

from typing import Any
from urllib.parse import quote, urlencode

from nightshift_cli.base.text import clean
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.ids import only_beginning


def schedules_of(team_id: str, *, api: Api, **filters: str | None) -> list[dict[str, Any]]:
    """Return the team's schedules, newest first."""
    query = urlencode({name: value for name, value in filters.items() if value is not None})
    path = f"/v1/teams/{_part(team_id)}/schedules?{query}"
    found: list[dict[str, Any]] = api.call("GET", path, schedules=list)["schedules"]
    return found


def schedule(schedule_id: str, *, api: Api) -> dict[str, Any]:
    return _schedule_in(api.call("GET", _path(schedule_id), schedule=dict))


def slots_of(schedule_id: str, *, limit: int, api: Api) -> list[dict[str, Any]]:
    """Return what became of the schedule's last times, newest first."""
    path = f"{_path(schedule_id)}/slots?{urlencode({'limit': limit})}"
    found: list[dict[str, Any]] = api.call("GET", path, slots=list)["slots"]
    return found


def make(team_id: str, request: dict[str, Any], *, api: Api) -> dict[str, Any]:
    path = f"/v1/teams/{_part(team_id)}/schedules"
    return _schedule_in(api.call("POST", path, body=request, attempts=1, schedule=dict))


def start_later(team_id: str, request: dict[str, Any], *, api: Api) -> dict[str, Any]:
    """Trigger a run with ``run_at``. It may be repeated: the API makes one schedule of equal requests."""
    path = f"/v1/teams/{_part(team_id)}/jobs/trigger"
    return _schedule_in(api.call("POST", path, body=request, schedule=dict))


def change(schedule_id: str, changes: dict[str, Any], *, api: Api) -> dict[str, Any]:
    return _schedule_in(api.call("PATCH", _path(schedule_id), body=changes, attempts=1, schedule=dict))


def pause(schedule_id: str, *, why: str, api: Api) -> dict[str, Any]:
    path = f"{_path(schedule_id)}/pause"
    return _schedule_in(api.call("POST", path, body={"why": why}, attempts=1, schedule=dict))


def resume(schedule_id: str, *, api: Api) -> dict[str, Any]:
    return _schedule_in(api.call("POST", f"{_path(schedule_id)}/resume", attempts=1, schedule=dict))


def delete(schedule_id: str, *, api: Api) -> dict[str, Any]:
    return api.call("DELETE", _path(schedule_id), attempts=1, deleted=bool)


def whole_id(wanted: str, *, team_id: str, api: Api) -> str:
    """Return the id of the team's only schedule that begins with ``wanted``, or ``wanted`` if it is whole.

    Raise Misconfigured if it is too short, or if no schedule or several have it.
    """
    return only_beginning(
        wanted, of="schedule", ids=lambda: [clean(each.get("id")) for each in schedules_of(team_id, api=api)]
    )


def _path(schedule_id: str) -> str:
    return f"/v1/schedules/{_part(schedule_id)}"


def _part(text: str) -> str:
    return quote(text, safe="")


def _schedule_in(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["schedule"]
    return found

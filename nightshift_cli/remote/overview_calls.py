"""The request for the overview of a team's jobs."""

from typing import Any
from urllib.parse import quote, urlencode

from nightshift_cli.remote.api import Api


def summary(team_id: str, *, api: Api, **filters: str | None) -> dict[str, Any]:
    """Return ``days``, ``states``, ``jobs`` and ``errors``."""
    query = urlencode({name: value for name, value in filters.items() if value is not None})
    return api.call("GET", f"/v1/teams/{quote(team_id, safe='')}/jobs/summary?{query}", jobs=list, errors=list)

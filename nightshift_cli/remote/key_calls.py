"""The requests about a team's agent keys."""

from typing import Any
from urllib.parse import quote

from nightshift.tenants.key_terms import API_KEY_PREFIX, PREFIX_LENGTH
from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.text import clean
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.ids import WHOLE


def keys_of(team_id: str, *, api: Api) -> dict[str, Any]:
    """Return ``keys``, the newest first; ``has_more`` is true if there are more."""
    return api.call("GET", _path(team_id), keys=list)


def make(team_id: str, request: dict[str, Any], *, api: Api) -> dict[str, Any]:
    return api.call("POST", _path(team_id), body=request, attempts=1, key=dict)


def rotate(team_id: str, key_id: str, *, grace_days: int, api: Api) -> dict[str, Any]:
    path = f"{_path(team_id, key_id)}/rotate"
    return api.call("POST", path, body={"grace_days": grace_days}, attempts=1, key=dict)


def end(team_id: str, key_id: str, *, api: Api) -> dict[str, Any]:
    return api.call("DELETE", _path(team_id, key_id), deleted=bool)


def whole_id(wanted: str, *, team_id: str, api: Api) -> str:
    """Return the id of the team's only key that begins with ``wanted``, or ``wanted`` if it is an id.

    A whole key is accepted, too, and is not sent. Raise Misconfigured if no key or several begin like this.
    """
    if len(wanted) == WHOLE and not wanted.startswith(API_KEY_PREFIX):
        return wanted
    beginning = wanted[:PREFIX_LENGTH]
    known = keys_of(team_id, api=api)["keys"]
    found = [clean(key.get("id")) for key in known if clean(key.get("key_prefix")) == beginning]
    if not found:
        raise Misconfigured(
            f"No key of this team begins with {beginning}. Give {API_KEY_PREFIX} and four characters, as "
            "`nightshift keys list` shows them, or an id."
        )
    if len(found) > 1:
        raise Misconfigured(f"Several keys begin with {beginning}. Give the id of one: {', '.join(found)}.")
    return found[0]


def _path(*ids: str) -> str:
    team_id, *key_id = (quote(each, safe="") for each in ids)
    return "/".join(["/v1/teams", team_id, "keys", *key_id])

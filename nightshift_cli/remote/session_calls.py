"""The requests about signing in with a code, and about a person's sessions."""

from typing import Any
from urllib.parse import quote

from nightshift_cli.remote.api import Api

# What an API's session token begins with.
PREFIX = "owl_session_"
CODES, SESSIONS = "/v1/auth/codes", "/v1/auth/sessions"


def ask_for_code(email: str, *, api: Api) -> str:
    """Let the API mail a code, and return the text that the code is entered with. It is the same for every address."""
    sign_in: str = api.call("POST", CODES, body={"email": email}, attempts=1, sign_in=str)["sign_in"]
    return sign_in


def enter_code(sign_in: str, code: str, *, api: Api) -> str:
    """Return the token of a new session. Raise RequestRefused if the code does not fit."""
    body = {"sign_in": sign_in, "code": code}
    token: str = api.call("POST", SESSIONS, body=body, attempts=1, token=str, session=dict)["token"]
    return token


def sessions_of_caller(*, api: Api) -> list[dict[str, Any]]:
    """Return the sessions of the person who calls, the last used first."""
    found: list[dict[str, Any]] = api.call("GET", SESSIONS, sessions=list)["sessions"]
    return found


def end(session_id: str | None, *, api: Api) -> dict[str, Any]:
    """End one session, or ``current``; None ends all. Return how many ``ended``."""
    path = SESSIONS if session_id is None else f"{SESSIONS}/{quote(session_id, safe='')}"
    return api.call("DELETE", path, attempts=1, ended=int)

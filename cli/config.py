"""Which API to talk to and as whom: flags, then the environment, then the local stack's own file."""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from cli.errors import Misconfigured

STACK_FILE = Path(".local", "stack.json")
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """``team`` is an id or a slug; ``project_id`` is the local stack's only project."""

    api_url: str
    token: str = field(repr=False)
    team: str | None
    project_id: str | None


def find_config(*, flags: Mapping[str, str | None], environ: Mapping[str, str], folder: Path) -> Config:
    """``flags`` are api_url, token and team where given; ``folder`` is where the search for the local stack starts.

    Raises Misconfigured with a sentence that says what to set. No sentence ever holds the token.
    """
    given = {
        name: flags.get(name) or environ.get(f"NIGHTSHIFT_{name.upper()}") for name in ("api_url", "token", "team")
    }
    stack = {} if given["api_url"] and given["token"] else local_stack(folder)
    api_url = given["api_url"] or stack.get("api_url")
    if not api_url:
        raise Misconfigured(
            "No API to talk to. Set NIGHTSHIFT_API_URL (or --api-url), or start the local stack with `make run` "
            "and call nightshift from inside its folder."
        )
    api_url = _checked_url(api_url)
    # The local stack's key and ids mean something to the local stack alone, so they go nowhere else.
    if api_url != stack.get("api_url"):
        stack = {}
    token = given["token"] or stack.get("agent_key")
    if not token:
        raise Misconfigured(f"No token for {api_url}. Set NIGHTSHIFT_TOKEN to an API key or a user's token.")
    if given["token"]:
        stack = {}
    return Config(
        api_url=api_url,
        token=_checked_token(token),
        team=given["team"] or stack.get("team_id"),
        project_id=stack.get("project_id") if not given["team"] else None,
    )


def is_header_value(text: str) -> bool:
    """Whether ``text`` can stand in an HTTP header as one word: visible ASCII, at most 4096 characters."""
    return 0 < len(text) <= 4096 and set(text) <= set(string.ascii_letters + string.digits + string.punctuation)


def local_stack(folder: Path) -> dict[str, Any]:
    """The nearest stack file at or above ``folder``, {} when there is none."""
    for place in (folder, *folder.parents):
        file = place / STACK_FILE
        if file.is_file():
            break
    else:
        return {}
    try:
        stack = json.loads(file.read_bytes())
        stack = {name: value for name, value in stack.items() if isinstance(value, str)}
        host = parse_url(stack.get("api_url", "")).host
    except (OSError, ValueError, AttributeError, LocationParseError) as exc:
        raise Misconfigured(f"{file} is not a stack file. Start the local stack again with `make run`.") from exc
    # A file that came with somebody's folder must not decide where the caller's own token is sent.
    if host not in LOOPBACK:
        raise Misconfigured(f"{file} names an API that is not on this machine. Set NIGHTSHIFT_API_URL instead.")
    return stack | {"api_url": _checked_url(stack["api_url"])}


def _checked_url(text: str) -> str:
    try:
        url = parse_url(text)
    except LocationParseError:
        url = Url()
    if url.scheme not in ("http", "https") or not url.host or url.auth or url.query or url.fragment:
        raise Misconfigured(
            "The API's URL has to look like https://api.example.com, without credentials and without ? or #."
            + ("" if url.auth else f" It is {text!r}.")
        )
    return url.url.rstrip("/")


def _checked_token(text: str) -> str:
    token = text.strip()
    if not is_header_value(token):
        raise Misconfigured("The token holds spaces, control characters or letters outside ASCII. Copy it again.")
    return token

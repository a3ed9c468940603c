"""Find the API's URL and the token: in options, the environment, the local stack's file, or a stored sign-in."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.remote import profiles
from nightshift_cli.remote.stackfile import LOOPBACK, Note, find_stack


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a call.

    ``team`` is an id or a slug; ``project_id`` is the local stack's only project. ``api_from`` and ``token_from`` name
    the sources of the two; ``profile`` is the sign-in that the token came from, if any.
    """

    api_url: str
    token: str = field(repr=False)
    team: str | None = None
    project_id: str | None = None
    api_from: str
    token_from: str
    profile: str | None = None


def find_config(
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    folder: Path,
    needs_token: bool = True,
    note: Note = lambda sentence: None,
) -> Config:
    """Return the settings.

    ``flags`` are api_url, token, team and profile, if given. The search for the local stack starts in ``folder``;
    ``note`` receives a sentence about each ignored stack file. The token is empty if none is needed. Raise
    Misconfigured, with a sentence that says what to set. No sentence ever contains the token.
    """
    # Like every other option, --profile takes precedence over the environment variables.
    variables = {} if flags.get("profile") else environ
    given, found_in = dict[str, str](), dict[str, str]()
    for name in ("api_url", "token", "team"):
        option, variable = f"--{name.replace('_', '-')}", f"NIGHTSHIFT_{name.upper()}"
        if value := flags.get(name) or variables.get(variable):
            given[name], found_in[name] = value, option if flags.get(name) else variable
    api_url = checked_url(given["api_url"]) if "api_url" in given else None
    place = None
    if not given.keys() >= {"api_url", "token"}:
        # A stored key and stored ids belong to the API that they are stored with: never send them to another one.
        known = _places(flags, environ, folder, note=note)
        place = next((place for place in known if api_url in (None, place.api_url)), None)
    api_url = api_url or (place.api_url if place else None)
    if not api_url:
        raise Misconfigured(
            "No API URL found. Sign in with `nightshift login`, set NIGHTSHIFT_API_URL (or pass --api-url), or start "
            "the local stack with `make run` and run nightshift from inside its folder."
        )
    token = given.get("token") or (place.token if place else "")
    if needs_token and not token:
        raise Misconfigured(
            f"No token for {api_url}. Sign in with `nightshift login --api-url {api_url}`, or set NIGHTSHIFT_TOKEN to "
            "an API key or a user's token."
        )
    its_own = place if "token" not in given else None
    if place and not its_own and needs_token and place.profile is None and "api_url" not in given:
        # A file in a downloaded folder must not decide where the caller's own token is sent.
        raise Misconfigured(
            f"{found_in['token']} is not sent to the local stack of {place.api_from}, which has its own token. Set "
            "NIGHTSHIFT_API_URL or pass --api-url to name the API that the token is for."
        )
    return Config(
        api_url=api_url,
        token=checked_token(token) if needs_token else "",
        team=given.get("team") or (its_own.team if its_own else None),
        project_id=its_own.project_id if its_own and "team" not in given else None,
        api_from=found_in.get("api_url") or (place.api_from if place else ""),
        token_from=found_in.get("token") or (place.token_from if place else ""),
        profile=its_own.profile if its_own else None,
    )


def _places(
    flags: Mapping[str, str | None], environ: Mapping[str, str], folder: Path, *, note: Note
) -> Iterator[Config]:
    """Yield the stored settings: the nearest stack file, then the sign-in; only the sign-in if a profile is named."""
    profile = flags.get("profile") or environ.get("NIGHTSHIFT_PROFILE")
    if not profile and (stack := find_stack(folder, note=note)):
        file = stack["file"]
        yield Config(
            api_url=checked_url(stack.get("api_url", "")),
            token=stack.get("agent_key", ""),
            team=stack.get("team_id"),
            project_id=stack.get("project_id"),
            api_from=file,
            token_from=file,
        )
    kept = profiles.read(profile or profiles.DEFAULT, environ)
    if kept:
        file = str(profiles.file_of(profile or profiles.DEFAULT, environ))
        yield Config(
            api_url=checked_url(kept["api_url"]),
            token=kept["token"],
            team=kept["team"],
            api_from=file,
            token_from=file,
            profile=profile or profiles.DEFAULT,
        )
    elif profile:
        raise Misconfigured(
            f"Profile {profile} has no sign-in.{profiles.known(environ)} "
            f"To sign in: nightshift login --profile {profile}"
        )


def is_header_value(text: str) -> bool:
    """Return whether ``text`` is valid as a word in an HTTP header: visible ASCII, at most 4096 characters."""
    return 0 < len(text) <= 4096 and set(text) <= set(string.ascii_letters + string.digits + string.punctuation)


def checked_url(text: str) -> str:
    """Return the URL without a trailing slash. Raise Misconfigured if it is not a valid API URL."""
    try:
        url = parse_url(text)
    except LocationParseError:
        url = Url()
    if url.scheme not in ("http", "https") or not url.host or url.auth or url.query or url.fragment:
        raise Misconfigured(
            "The API URL must look like https://api.example.com, without credentials, ? or #"
            + ("." if url.auth else f"; got {text!r}.")
        )
    if url.scheme == "http" and url.host not in LOOPBACK:
        raise Misconfigured(
            f"{text} would send the token unencrypted. Use https://; http:// works only for an API on this machine."
        )
    return url.url.rstrip("/")


def checked_token(text: str) -> str:
    token = text.strip()
    if not is_header_value(token):
        raise Misconfigured("The token contains spaces, control characters or non-ASCII characters. Copy it again.")
    return token

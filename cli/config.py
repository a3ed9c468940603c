"""Which API to talk to and as whom: options, the environment, the local stack's own file, what `login` has kept."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from cli import profiles
from cli.errors import Misconfigured
from cli.stackfile import LOOPBACK, Note, find_stack


@dataclass(frozen=True, kw_only=True)
class Config:
    """``team`` is an id or a slug; ``project_id`` is the local stack's only project.

    ``api_from`` and ``token_from`` say where the two were found, ``profile`` whose sign-in the token is of, if of any.
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
    """``flags`` are api_url, token, team and profile where given; the search for the local stack starts in ``folder``.

    ``note`` is told of a stack file that is passed over. Where no token is needed, there is none. Raises Misconfigured
    with a sentence that says what to set. No sentence ever holds the token.
    """
    # A profile that is named on the command line comes before the variables, like every other option.
    variables = {} if flags.get("profile") else environ
    given, found_in = dict[str, str](), dict[str, str]()
    for name in ("api_url", "token", "team"):
        option, variable = f"--{name.replace('_', '-')}", f"NIGHTSHIFT_{name.upper()}"
        if value := flags.get(name) or variables.get(variable):
            given[name], found_in[name] = value, option if flags.get(name) else variable
    api_url = checked_url(given["api_url"]) if "api_url" in given else None
    place = None
    if not given.keys() >= {"api_url", "token"}:
        # The key and the ids that lie there mean something to that API alone, so they go nowhere else.
        known = _places(flags, environ, folder, note=note)
        place = next((place for place in known if api_url in (None, place.api_url)), None)
    api_url = api_url or (place.api_url if place else None)
    if not api_url:
        raise Misconfigured(
            "No API to talk to. Sign in with `nightshift login`, set NIGHTSHIFT_API_URL (or --api-url), or start the "
            "local stack with `make run` and call nightshift from inside its folder."
        )
    token = given.get("token") or (place.token if place else "")
    if needs_token and not token:
        raise Misconfigured(
            f"No token for {api_url}. Sign in with `nightshift login --api-url {api_url}`, or set NIGHTSHIFT_TOKEN to "
            "an API key or a user's token."
        )
    its_own = place if "token" not in given else None
    if place and not its_own and needs_token and place.profile is None and "api_url" not in given:
        # A file that came with a folder must not decide where the caller's own token is sent.
        raise Misconfigured(
            f"{found_in['token']} is not for the local stack of {place.api_from}, which has a token of its own. Say "
            "which API it is for, with NIGHTSHIFT_API_URL or --api-url."
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
    """Where an API and its token are kept together, the nearest first; the profile alone where one is named."""
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
            f"Nobody has signed in as profile {profile}.{profiles.known(environ)} "
            f"To sign in: nightshift login --profile {profile}"
        )


def is_header_value(text: str) -> bool:
    """Whether ``text`` can stand in an HTTP header as one word: visible ASCII, at most 4096 characters."""
    return 0 < len(text) <= 4096 and set(text) <= set(string.ascii_letters + string.digits + string.punctuation)


def checked_url(text: str) -> str:
    """Without a slash at its end. Raises Misconfigured for what is no API's."""
    try:
        url = parse_url(text)
    except LocationParseError:
        url = Url()
    if url.scheme not in ("http", "https") or not url.host or url.auth or url.query or url.fragment:
        raise Misconfigured(
            "The API's URL has to look like https://api.example.com, without credentials and without ? or #."
            + ("" if url.auth else f" It is {text!r}.")
        )
    if url.scheme == "http" and url.host not in LOOPBACK:
        raise Misconfigured(f"{text} would carry the token unencrypted. Only an API on this machine may be at http://.")
    return url.url.rstrip("/")


def checked_token(text: str) -> str:
    token = text.strip()
    if not is_header_value(token):
        raise Misconfigured("The token holds spaces, control characters or letters outside ASCII. Copy it again.")
    return token

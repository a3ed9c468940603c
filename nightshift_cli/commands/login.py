"""nightshift login and logout: store an API's URL and a token, so that no environment variable has to hold them."""

import contextlib
import os
import sys
from typing import Any

import click

from nightshift_cli.base.choices import asked, chosen
from nightshift_cli.base.failures import Failure, Misconfigured, NotSignedIn, RequestRefused
from nightshift_cli.base.text import clean
from nightshift_cli.remote import profiles, session_calls
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.config import Config, checked_token, checked_url
from nightshift_cli.remote.stackfile import find_stack
from nightshift_cli.session import Session, common_options, here, teams_of
from nightshift_cli.values import MailAddress

# The API compares five tries of a code.
TRIES = 5


@click.command()
@click.option("--email", metavar="ADDRESS", type=MailAddress(), help="Sign in with a code that is mailed to ADDRESS.")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@common_options
@click.pass_obj
def login(session: Session, email: str | None, token_stdin: bool) -> None:
    """Sign in: store an API's URL and a token for later commands.

    The command prompts for the URL, for a token or agent key (not shown), and for the team if there are several.
    --api-url, --token-stdin and --team answer these prompts in advance. The sign-in is stored only if the API accepts
    the token, in a file that only you can read. --profile names the file.

    With --email, the API mails a code, the command prompts for it, and the token is that of a new session. `nightshift
    sessions` lists and ends sessions.

    \b
    Examples:
      nightshift login
      nightshift login --email ada@example.com
      nightshift login --api-url https://jobs.example.com --token-stdin < key.txt
      nightshift login --profile staging
    """
    if email and (token_stdin or session.flags.get("token")):
        raise click.UsageError("Give either --email or a token.")
    api_url = _url(session)
    token = _token_by_code(session, api_url, email) if email else _token(session, from_stdin=token_stdin)
    with contextlib.closing(_api(session, api_url, token)) as api:
        me = api.whoami()
    team_id = _team(session, me)
    profile = _profile(session)
    file = profiles.write(profile, {"api_url": api_url, "token": token, "team": team_id}, os.environ)
    if session.output.as_json:
        session.output.document({"profile": profile, "file": str(file), "api_url": api_url, "team_id": team_id})
        return
    [team] = [team for team in teams_of(me) if team.get("id") == team_id]
    who = me.get("email") or f"an {clean(me.get('key_type'))} key"
    session.output.say(f"Signed in to {api_url} as {clean(who)}, team {clean(team.get('slug'))}.")
    session.output.say(f"Stored in {file}, which only you can read.")
    for sentence in _what_comes_before(session):
        session.output.say(sentence)


@click.command()
@common_options
@click.pass_obj
def logout(session: Session) -> None:
    """Delete a stored sign-in. A session ends; another token stays valid until it expires or is ended.

    \b
    Examples:
      nightshift logout
      nightshift logout --profile staging
    """
    profile = _profile(session)
    kept = profiles.read(profile, os.environ)
    file = profiles.forget(profile, os.environ)
    if kept.get("token", "").startswith(session_calls.PREFIX):
        _end_session(session, kept)
    if session.output.as_json:
        session.output.document({"profile": profile, "file": str(file) if file else None})
    elif file:
        session.output.say(f"Signed out: deleted {file}.")
    else:
        session.output.say(f"Profile {profile} has no sign-in.{profiles.known(os.environ)}")


def _end_session(session: Session, kept: dict[str, str]) -> None:
    """End the session of a stored sign-in. The sign-in is deleted also if the API does not answer."""
    try:
        with contextlib.closing(_api(session, checked_url(kept["api_url"]), kept["token"])) as api:
            session_calls.end("current", api=api)
    except NotSignedIn:
        pass  # it has ended before
    except (Failure, Misconfigured) as exc:
        session.output.note(
            f"The session was not ended on the server: {exc.message} It ends by itself after 12 hours without use."
        )


def _api(session: Session, api_url: str, token: str = "") -> Api:
    config = Config(api_url=api_url, token=token, api_from="", token_from="")
    return Api(config, sleep=session.sleep, notice=session.output.note)


def _profile(session: Session) -> str:
    return session.flags.get("profile") or os.environ.get("NIGHTSHIFT_PROFILE") or profiles.DEFAULT


def _url(session: Session) -> str:
    """Return the API's URL. Raise Misconfigured if it is not given and stdin is not a terminal."""
    if given := session.flags.get("api_url") or os.environ.get("NIGHTSHIFT_API_URL"):
        return checked_url(given)
    if not sys.stdin.isatty():
        raise Misconfigured("Cannot prompt for the API URL: stdin is not a terminal. Pass --api-url.")
    return checked_url(click.prompt("API URL", err=True))


def _token(session: Session, *, from_stdin: bool) -> str:
    """Return the token. Raise Misconfigured if there is none."""
    if from_stdin:
        token = sys.stdin.readline().strip()
        if not token:
            raise Misconfigured("Standard input holds no token.")
    elif not (token := session.flags.get("token") or ""):
        if not sys.stdin.isatty():
            raise Misconfigured("Cannot prompt for a token: stdin is not a terminal. Pipe it in with --token-stdin.")
        token = click.prompt("Token or agent key (not shown)", hide_input=True, err=True)
    return checked_token(token)


def _token_by_code(session: Session, api_url: str, email: str) -> str:
    """Return the token of a new session. Raise Misconfigured if stdin is not a terminal."""
    if not sys.stdin.isatty():
        raise Misconfigured("Cannot prompt for the code: stdin is not a terminal. Pipe in a token with --token-stdin.")
    with contextlib.closing(_api(session, api_url)) as api:
        sign_in = session_calls.ask_for_code(email, api=api)
        session.output.note(f"If {email} is known there, a mail with a code is on its way.")
        for tries_left in reversed(range(TRIES)):
            try:
                return session_calls.enter_code(sign_in, click.prompt("Code", err=True), api=api)
            except RequestRefused as exc:
                if not tries_left:
                    raise
                session.output.complain(exc.message)
    raise AssertionError("unreachable")


def _team(session: Session, me: dict[str, Any]) -> str:
    wanted = session.flags.get("team") or os.environ.get("NIGHTSHIFT_TEAM")
    teams = teams_of(me)
    if not wanted and len(teams) > 1 and sys.stdin.isatty():
        wanted = asked("team", [clean(team.get("slug")) for team in teams])
    return chosen("team", wanted, teams)


def _what_comes_before(session: Session) -> list[str]:
    """Return a warning if another source takes precedence over this sign-in."""
    if session.flags.get("profile"):
        return []
    variables = [name for name in ("NIGHTSHIFT_API_URL", "NIGHTSHIFT_TOKEN") if os.environ.get(name)]
    if variables:
        verbs = "is set and takes" if len(variables) == 1 else "are set and take"
        return [f"{' and '.join(variables)} {verbs} precedence over this sign-in."]
    stack = None
    # The commands that need the file report it if it is broken.
    with contextlib.suppress(Misconfigured):
        stack = find_stack(here(), note=session.output.note)
    if stack and not os.environ.get("NIGHTSHIFT_PROFILE"):
        return [
            "In this folder, the running local stack takes precedence over this sign-in. To use the sign-in, pass "
            "--profile default."
        ]
    return []

"""nightshift login and logout: keep an API and a token, so that no variable has to hold them."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from cli import profiles
from cli.client import Api
from cli.config import Config, checked_token, checked_url
from cli.errors import Misconfigured
from cli.output import clean
from cli.session import Session, chosen, common_options, teams_of
from cli.stackfile import find_stack


@click.command()
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@common_options
@click.pass_obj
def login(session: Session, token_stdin: bool) -> None:
    """Sign in: keep an API's URL and a token for later commands.

    It asks for the URL, for a token or agent key, which is not shown, and for the team where there are several;
    --api-url, --token-stdin and --team answer without being asked. What the API does not take is not kept. What is
    kept is in a file that you alone can read; with --profile in one of that name.

    \b
    Examples:
      nightshift login
      nightshift login --api-url https://jobs.example.com --token-stdin < key.txt
      nightshift login --profile staging
    """
    api_url = _url(session)
    token = _token(session, from_stdin=token_stdin)
    api = Api(Config(api_url=api_url, token=token, api_from="", token_from=""), sleep=session.sleep)
    try:
        me = api.whoami()
    finally:
        api.close()
    team_id = _team(session, me)
    profile = _profile(session)
    file = profiles.write(profile, {"api_url": api_url, "token": token, "team": team_id}, os.environ)
    if session.output.as_json:
        session.output.document({"profile": profile, "file": str(file), "api_url": api_url, "team_id": team_id})
        return
    [team] = [team for team in teams_of(me) if team.get("id") == team_id]
    who = me.get("email") or f"an {clean(me.get('key_type'))} key"
    session.output.say(f"Signed in to {api_url} as {clean(who)}, team {clean(team.get('slug'))}.")
    session.output.say(f"Kept in {file}, which only you can read.")
    for sentence in _what_comes_before(session):
        session.output.say(sentence)


@click.command()
@common_options
@click.pass_obj
def logout(session: Session) -> None:
    """Forget what login has kept. The token itself goes on until it expires or is ended.

    \b
    Examples:
      nightshift logout
      nightshift logout --profile staging
    """
    profile = _profile(session)
    file = profiles.forget(profile, os.environ)
    if session.output.as_json:
        session.output.document({"profile": profile, "file": str(file) if file else None})
    elif file:
        session.output.say(f"Signed out: {file} is removed.")
    else:
        session.output.say(f"Nobody was signed in as profile {profile}.{profiles.known(os.environ)}")


def _profile(session: Session) -> str:
    return session.flags.get("profile") or os.environ.get("NIGHTSHIFT_PROFILE") or profiles.DEFAULT


def _url(session: Session) -> str:
    """Raises Misconfigured where there is none and nobody to ask."""
    if given := session.flags.get("api_url") or os.environ.get("NIGHTSHIFT_API_URL"):
        return checked_url(given)
    if not sys.stdin.isatty():
        raise Misconfigured("Nobody is here to be asked for the API's URL. Give --api-url.")
    return checked_url(click.prompt("API URL", err=True))


def _token(session: Session, *, from_stdin: bool) -> str:
    """Raises Misconfigured where there is none."""
    if from_stdin:
        token = sys.stdin.readline().strip()
        if not token:
            raise Misconfigured("There is no token on standard input.")
    elif not (token := session.flags.get("token") or ""):
        if not sys.stdin.isatty():
            raise Misconfigured("Nobody is here to be asked for a token. Pipe it in, with --token-stdin.")
        token = click.prompt("Token or agent key (not shown)", hide_input=True, err=True)
    return checked_token(token)


def _team(session: Session, me: dict[str, Any]) -> str:
    wanted = session.flags.get("team") or os.environ.get("NIGHTSHIFT_TEAM")
    teams = teams_of(me)
    if not wanted and len(teams) > 1 and sys.stdin.isatty():
        wanted = click.prompt("Team", type=click.Choice([clean(team.get("slug")) for team in teams]), err=True)
    return chosen("team", wanted, teams)


def _what_comes_before(session: Session) -> list[str]:
    """So that nobody wonders why another API or another key is used."""
    if session.flags.get("profile"):
        return []
    variables = [name for name in ("NIGHTSHIFT_API_URL", "NIGHTSHIFT_TOKEN") if os.environ.get(name)]
    if variables:
        return [f"{' and '.join(variables)} {'is' if len(variables) == 1 else 'are'} set, and will come before it."]
    stack = None
    # A broken file there is told by the commands that need it.
    with contextlib.suppress(Misconfigured):
        stack = find_stack(Path.cwd(), note=session.output.note)
    if stack and not os.environ.get("NIGHTSHIFT_PROFILE"):
        return ["In this folder the running local stack comes before it; --profile default asks this API."]
    return []

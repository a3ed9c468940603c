"""The state that all commands share (options, API, output), and the common options."""

import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from nightshift_cli.base.choices import chosen
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.clock import Clock
from nightshift_cli.remote.config import Config, find_config
from nightshift_cli.remote.ids import is_beginning, run_beginning
from nightshift_cli.remote.stack_functions import StackFunctions, find_stack_functions
from nightshift_cli.show.output import Output
from nightshift_cli.show.times import use_utc
from nightshift_cli.values import Name


class Session:
    """One call of the command line. ``sleep`` receives the seconds between polls and between attempts."""

    def __init__(self, *, sleep: Callable[[float], None] = time.sleep):
        self.flags: dict[str, str | None] = {}
        self.sleep = sleep
        self.clock = Clock()

    @cached_property
    def output(self) -> Output:
        return Output(as_json=self.flags.get("format") == "json")

    @cached_property
    def config(self) -> Config:
        return find_config(flags=self.flags, environ=os.environ, folder=here(), note=self.output.note)

    @cached_property
    def address(self) -> Config:
        """The settings without a token, for commands that need no sign-in."""
        return find_config(
            flags=self.flags, environ=os.environ, folder=here(), needs_token=False, note=self.output.note
        )

    @cached_property
    def api(self) -> Api:
        return self.api_at(self.config)

    def api_at(self, config: Config) -> Api:
        """Return a client that is closed when the command ends."""
        api = Api(config, sleep=self.sleep, notice=self.output.note, heard=self.clock.hear)
        click.get_current_context().find_root().call_on_close(api.close)
        return api

    @property
    def has_asked(self) -> bool:
        """Whether the API was called with stored settings, rather than with those that login is trying."""
        return "api" in vars(self)

    @cached_property
    def stack(self) -> StackFunctions:
        named = self.flags.get("stack") or os.environ.get("NIGHTSHIFT_STACK")
        return find_stack_functions(named, folder=here(), note=self.output.note, heard=self.clock.hear)

    @cached_property
    def team_id(self) -> str:
        """The team's id. Raise Misconfigured if the choice is not unique."""
        wanted = self.config.team
        if wanted and _is_id(wanted):
            return wanted
        return chosen("team", wanted, teams_of(self.api.whoami()))

    def run_id(self, wanted: str) -> str:
        """Return the whole id for an id or its beginning."""
        return run_beginning(wanted, team_id=self.team_id, api=self.api) if is_beginning(wanted) else wanted

    def project_id(self, wanted: str | None) -> str:
        """Return the project's id for an id or a slug; for None, the id of the only project."""
        wanted = wanted or self.config.project_id
        if wanted and _is_id(wanted):
            return wanted
        if wanted:
            for project in self.api.projects(self.team_id, search=wanted):
                if project.get("slug") == wanted:
                    return str(project.get("id"))
        # The error names some of the others.
        return chosen("project", wanted, self.api.projects(self.team_id))


def here() -> Path:
    """Return the working folder, or the root folder if it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def _remember(context: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).flags[str(param.name)] = value


def _show_utc(context: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        use_utc()


option = partial(click.option, expose_value=False, callback=_remember)
format_option = option("--format", type=click.Choice(["text", "json"]), help="Output format (default: text).")


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that are accepted before and after a command's name. The later one wins."""
    for decorate in (
        format_option,
        option("--profile", metavar="NAME", type=Name(), help="Sign-in to use, or NIGHTSHIFT_PROFILE."),
        option("--team", metavar="ID_OR_SLUG", type=Name(), help="Team to act in, or NIGHTSHIFT_TEAM."),
        option(
            "--token",
            metavar="TOKEN",
            type=Name(),
            help="API key or user token; NIGHTSHIFT_TOKEN hides it from ps.",
        ),
        click.option(
            "--utc",
            is_flag=True,
            is_eager=True,  # before the times that it is about are read
            expose_value=False,
            callback=_show_utc,
            help="Show and read times in UTC, not in local time.",
        ),
        option("--api-url", metavar="URL", type=Name(), help="URL of the API, or NIGHTSHIFT_API_URL."),
    ):
        command = decorate(command)
    return command


def operator_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options of the operator's commands."""
    named = option(
        "--stack", metavar="NAME", type=Name(), help="Deployed stack, or NIGHTSHIFT_STACK; by default the local stack."
    )
    return format_option(named(command))


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def teams_of(me: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the teams in a response of whoami."""
    teams = [me.get("team")] if me["type"] == "api_key" else me.get("teams")
    return [team for team in teams if isinstance(team, dict)] if isinstance(teams, list) else []

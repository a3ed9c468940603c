"""What every command has at hand: the options, the API, the output; and the options themselves."""

import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from cli.choices import chosen
from cli.client import Api
from cli.clock import Clock
from cli.config import Config, find_config
from cli.ids import is_beginning, run_beginning
from cli.ops import Ops, find_ops
from cli.output import Output
from cli.values import Name


class Session:
    """One call of the command line. ``sleep`` takes seconds, between polls and between attempts."""

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
        """For what nobody needs to be signed in for: without a token."""
        return find_config(
            flags=self.flags, environ=os.environ, folder=here(), needs_token=False, note=self.output.note
        )

    @cached_property
    def api(self) -> Api:
        return self.api_at(self.config)

    def api_at(self, config: Config) -> Api:
        """It is closed when the command is over."""
        api = Api(config, sleep=self.sleep, notice=self.output.notice, heard=self.clock.hear)
        click.get_current_context().find_root().call_on_close(api.close)
        return api

    @property
    def has_asked(self) -> bool:
        """Whether the API was asked with the settings found, and not with those that login is about to try."""
        return "api" in vars(self)

    @cached_property
    def ops(self) -> Ops:
        named = self.flags.get("stack") or os.environ.get("NIGHTSHIFT_STACK")
        return find_ops(named, folder=here(), note=self.output.note, heard=self.clock.hear)

    @cached_property
    def team_id(self) -> str:
        """Raises Misconfigured when no team or more than one is left to choose from."""
        wanted = self.config.team
        if wanted and _is_id(wanted):
            return wanted
        return chosen("team", wanted, teams_of(self.api.whoami()))

    def run_id(self, wanted: str) -> str:
        """The id that ``wanted`` is, or begins."""
        return run_beginning(wanted, team_id=self.team_id, api=self.api) if is_beginning(wanted) else wanted

    def project_id(self, wanted: str | None) -> str:
        """The id behind an id or a slug; the only project there is when nothing is wanted."""
        wanted = wanted or self.config.project_id
        return wanted if wanted and _is_id(wanted) else chosen("project", wanted, self.api.projects(self.team_id))


def here() -> Path:
    """The working folder; of one that is gone, the root is left of the folders above it."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def _remember(context: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).flags[str(param.name)] = value


option = partial(click.option, expose_value=False, callback=_remember)
format_option = option("--format", type=click.Choice(["text", "json"]), help="What to print (text).")


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that stand before or after a command's name. The later one wins."""
    for decorate in (
        format_option,
        option("--profile", metavar="NAME", type=Name(), help="Which sign-in (default), or NIGHTSHIFT_PROFILE."),
        option("--team", metavar="ID_OR_SLUG", type=Name(), help="Team to act in, or NIGHTSHIFT_TEAM."),
        option(
            "--token",
            metavar="TOKEN",
            type=Name(),
            help="API key or user's token; NIGHTSHIFT_TOKEN hides it from ps.",
        ),
        option("--api-url", metavar="URL", type=Name(), help="Where the API is, or NIGHTSHIFT_API_URL."),
    ):
        command = decorate(command)
    return command


def owner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what the owner asks of a stack."""
    named = option(
        "--stack", metavar="NAME", type=Name(), help="The deployed stack, or NIGHTSHIFT_STACK; else the local one."
    )
    return format_option(named(command))


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def teams_of(me: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The teams in an answer of whoami."""
    teams = [me.get("team")] if me["type"] == "api_key" else me.get("teams")
    return [team for team in teams if isinstance(team, dict)] if isinstance(teams, list) else []

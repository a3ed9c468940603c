"""The `nightshift` command. Command groups are registered here and implemented in their own modules."""

from typing import Any

import click

from nightshift import __version__
from nightshift_cli.base.ends import cleaned, refuse_bytes, written_out
from nightshift_cli.base.failures import Failure, Interrupted, RequestRefused
from nightshift_cli.base.group import Group
from nightshift_cli.commands.account import job_types, members, projects, whoami
from nightshift_cli.commands.agent_server import serve_agent
from nightshift_cli.commands.alerts import alerts
from nightshift_cli.commands.api_keys import keys
from nightshift_cli.commands.changes import team_audit
from nightshift_cli.commands.completion import completion
from nightshift_cli.commands.job_pauses import pause, pauses, resume
from nightshift_cli.commands.jobs import jobs, refusal_hint
from nightshift_cli.commands.login import login, logout
from nightshift_cli.commands.new import new
from nightshift_cli.commands.own_sessions import sessions
from nightshift_cli.commands.provider_keys import integrations
from nightshift_cli.commands.schedules import schedules
from nightshift_cli.commands.service import open_dashboard, openapi, ping
from nightshift_cli.commands.system.system import system
from nightshift_cli.session import Session, common_options


class Nightshift(Group):
    """The root group: turns every failure of a command into its message and its exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        # click prints usage errors inside this call.
        with written_out():
            return super().main(*args, **extra)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        with written_out(), cleaned():
            refuse_bytes(args)
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with written_out():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            with cleaned():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            ctx.exit(Interrupted.exit_code)
        except Failure as exc:
            session = ctx.ensure_object(Session)
            output = session.output
            if isinstance(exc, Interrupted):
                click.echo(exc.message, err=True)
            else:
                output.complain(
                    exc.message, hint=refusal_hint(exc, session=session) if isinstance(exc, RequestRefused) else ""
                )
            if output.as_json:
                output.document(exc.body)
            ctx.exit(exc.exit_code)


@click.group(cls=Nightshift, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nightshift")
@common_options
@click.pass_context
def main(context: click.Context) -> None:
    """Background jobs with progress.

    The API's URL, the token and the team come from the first of these that is set: the options; NIGHTSHIFT_API_URL,
    NIGHTSHIFT_TOKEN and NIGHTSHIFT_TEAM; .local/stack.json, inside the folder of a running local stack; the sign-in
    that `nightshift login` stored in ~/.config/nightshift (or $XDG_CONFIG_HOME/nightshift). NIGHTSHIFT_PROFILE puts
    the sign-in before the local stack; --profile also puts it before the other variables. `nightshift whoami` shows
    which source is in use.

    \b
    Examples:
      nightshift whoami
      nightshift jobs trigger revenuecat_sync --project acme --wait
      nightshift jobs list --status running

    \b
    Exit codes:
      0    success; with --wait or --follow: the run completed
      1    with --wait or --follow: the run failed; health and doctor: a check is red
      2    the command, an option or a setting is invalid or missing
      3    with --wait or --follow: the run was cancelled
      4    the API refused the request
      5    the API or AWS is unreachable, or the response is not from a Nightshift API
      6    the output cannot be written
      130  Ctrl-C; a watched run continues
      70   internal error in nightshift
      141  the reader of the output closed the pipe

    With --format json, standard output holds exactly one JSON document: the answer, the final run with --wait or
    --follow, or {"error": ...} with exit codes 4, 5 and 130. Messages for people then go to standard error.

    Colour is used only on terminals; NO_COLOR=1 turns it off.
    """
    context.ensure_object(Session)


for command in (pause, resume, pauses):
    jobs.add_command(command)

# This is the order of the reference pages; --help sorts by name.
for command in (
    *(login, logout, sessions, whoami, jobs, schedules, alerts, projects, members, job_types, integrations, keys),
    *(team_audit, serve_agent),
    *(open_dashboard, ping, openapi, completion, new, system),
):
    main.add_command(command)

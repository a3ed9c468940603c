"""nightshift: the command line. Groups register here; what they do is in modules of their own."""

from typing import Any

import click

from cli.account import job_types, members, projects, whoami
from cli.completion import completion
from cli.ends import cleaned, refuse_bytes, written_out
from cli.errors import Failure, Interrupted, Refused
from cli.group import Group
from cli.jobs import jobs, refusal_hint
from cli.login import login, logout
from cli.new import new
from cli.service import open_dashboard, openapi, ping
from cli.session import Session, common_options
from cli.system import system
from nightshift import __version__


class Nightshift(Group):
    """Turns every early end of a command into its words and its exit code, in one place."""

    def main(self, *args: Any, **extra: Any) -> Any:
        # Errors of usage are told from here.
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
                    exc.message, hint=refusal_hint(exc, session=session) if isinstance(exc, Refused) else ""
                )
            if output.as_json:
                output.document(exc.body)
            ctx.exit(exc.exit_code)


@click.group(cls=Nightshift)
@click.version_option(__version__, prog_name="nightshift")
@common_options
@click.pass_context
def main(context: click.Context) -> None:
    """Background jobs with progress.

    Which API, and as whom: the options say it, then NIGHTSHIFT_API_URL, NIGHTSHIFT_TOKEN and NIGHTSHIFT_TEAM, then
    inside the folder of a running local stack its .local/stack.json, then what `nightshift login` has kept in
    ~/.config/nightshift (or $XDG_CONFIG_HOME/nightshift). With NIGHTSHIFT_PROFILE that sign-in comes before the local
    stack, and with --profile before the other variables, too. `nightshift whoami` shows which it is.

    \b
    Examples:
      nightshift whoami
      nightshift jobs trigger revenuecat_sync --project acme --wait
      nightshift jobs list --status running

    \b
    Exit codes:
      0    done; with --wait or --follow: the run completed
      1    with --wait or --follow: the run failed; health and doctor: a line is red
      2    the command, an option or a setting is wrong or missing
      3    with --wait or --follow: the run was cancelled
      4    the API refused
      5    the API or AWS cannot be reached, or what answers is not the API
      6    the output cannot be written
      130  Ctrl-C; a run that was being watched goes on
      70   a fault of nightshift's own
      141  the reader of the output stopped reading

    With --format json standard output holds one JSON document, and nothing else: the answer, the final run with --wait
    or --follow, or {"error": ...} with exit codes 4, 5 and 130. Words for people then go to standard error.

    Colour is for terminals; NO_COLOR=1 turns it off.
    """
    context.ensure_object(Session)


# In the order of the reference; --help sorts them by name.
for command in (
    *(login, logout, whoami, jobs, projects, members, job_types),
    *(open_dashboard, ping, openapi, completion, new, system),
):
    main.add_command(command)

"""nightshift: the command line. Groups register here; what they do is in modules of their own."""

from typing import Any

import click

from cli.account import job_types, projects, whoami
from cli.errors import Failure, Interrupted, Refused
from cli.jobs import jobs, refusal_hint
from cli.new import new
from cli.session import Session, common_options
from cli.system import system
from nightshift import __version__


class Nightshift(click.Group):
    """Turns every early end of a command into its words and its exit code, in one place."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(Interrupted.exit_code)
        except Failure as exc:
            output = ctx.ensure_object(Session).output
            if isinstance(exc, Interrupted):
                click.echo(exc.message, err=True)
            else:
                output.complain(exc.message, hint=refusal_hint(exc) if isinstance(exc, Refused) else "")
            if output.as_json:
                output.document(exc.body)
            ctx.exit(exc.exit_code)


@click.group(cls=Nightshift)
@click.version_option(__version__, prog_name="nightshift")
@common_options
@click.pass_context
def main(context: click.Context) -> None:
    """Background jobs with progress.

    Settings come from the options, from NIGHTSHIFT_API_URL, NIGHTSHIFT_TOKEN and NIGHTSHIFT_TEAM, and inside the folder
    of a running local stack from its .local/stack.json.

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
      130  Ctrl-C; a run that was being watched goes on

    With --format json standard output holds one JSON document, and nothing else: the answer, the final run with --wait
    or --follow, or {"error": ...} with exit codes 4 and 5. Words for people then go to standard error.
    """
    context.ensure_object(Session)


for command in (jobs, whoami, projects, job_types, system, new):
    main.add_command(command)

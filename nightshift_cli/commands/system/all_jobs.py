"""nightshift system overview: the jobs of all teams and of the system."""

import click

from nightshift_cli.commands.job_overview import show_errors
from nightshift_cli.remote.names import label_of
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.overview_rows import FIGURES, LEGEND, figures_of

TEAM_HEADERS = ("FAILED", "COMPLETED", "TEAM", "ID")


@click.command("overview")
@operator_options
@click.pass_obj
def system_overview(session: Session) -> None:
    """Show the last 14 days over all teams: each job type, the teams with most failures, and the errors.

    \b
    Examples:
      nightshift system overview
      nightshift system overview --stack nightshift --format json
    """
    answer = session.stack.operate("overview")
    if session.output.as_json:
        session.output.document(answer)
    elif not answer["jobs"]:
        session.output.say("No run has ended in the last 14 days.")
    else:
        rows = [(label_of(job.get("job_type")), *figures_of(job)) for job in answer["jobs"]]
        session.output.table(rows, headers=("TYPE", *FIGURES))
        session.output.say(LEGEND)
        if answer["teams"]:
            session.output.say("")
            fields = ("failed", "completed", "team", "team_id")
            session.output.table(
                [[team.get(name) for name in fields] for team in answer["teams"]], headers=TEAM_HEADERS
            )
        show_errors(answer, session=session)

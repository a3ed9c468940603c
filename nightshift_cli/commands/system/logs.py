"""nightshift system logs: the functions' log lines about a run."""

import click

from nightshift_cli.base.text import clean
from nightshift_cli.commands.jobs import run_id_argument
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.log_rows import log_line

SAME_ON_EVERY_LINE = ("function_arn", "function_memory_size")


@click.command()
@run_id_argument
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=200,
    show_default=True,
    help="Maximum number of lines; the most recent are shown.",
)
@operator_options
@click.pass_obj
def logs(session: Session, run_id: str, limit: int) -> None:
    """Show the log lines of a run, oldest first, and a link to more.

    A new line takes some seconds to appear in CloudWatch.

    \b
    Examples:
      nightshift system logs RUN_ID
      nightshift system logs RUN_ID --limit 1000 --stack nightshift
    """
    answer = session.stack.operate("logs", run_id=run_id, at_most=limit)
    if session.output.as_json:
        session.output.document(answer)
        return
    for line in answer["lines"]:
        told = {name: value for name, value in line["fields"].items() if name not in SAME_ON_EVERY_LINE}
        traceback = str(told.pop("exception", "")).splitlines()
        session.output.say(log_line(line | {"fields": told}))
        for part in traceback:
            session.output.say(f"    {part}")
    if not answer["lines"]:
        session.output.say("No log lines.")
    if not answer["complete"]:
        session.output.say("Not all log lines could be fetched.")
    if answer["url"]:
        session.output.say(f"More in CloudWatch: {clean(answer['url'])}")

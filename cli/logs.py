"""nightshift system logs: what the functions logged about a run."""

import click

from cli.jobs import run_id_argument
from cli.output import clean
from cli.session import Session, owner_options

SAME_ON_EVERY_LINE = ("function_arn", "function_memory_size")


@click.command()
@run_id_argument
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=200,
    show_default=True,
    help="At most so many, the last.",
)
@owner_options
@click.pass_obj
def logs(session: Session, run_id: str, limit: int) -> None:
    """Show what was logged about a run, oldest first, and where to read on.

    CloudWatch takes some seconds to show a line.

    \b
    Examples:
      nightshift system logs RUN_ID
      nightshift system logs RUN_ID --limit 1000 --stack nightshift
    """
    answer = session.ops.ask("logs", run_id=run_id, at_most=limit)
    if session.output.as_json:
        session.output.document(answer)
        return
    for line in answer["lines"]:
        told = {name: value for name, value in line["fields"].items() if name not in SAME_ON_EVERY_LINE}
        traceback = str(told.pop("exception", "")).splitlines()
        details = " ".join(f"{clean(name)}={clean(value)}" for name, value in told.items())
        session.output.say(f"{clean(line['at'])} {clean(line['level']):7} {clean(line['message'])} {details}".rstrip())
        for part in traceback:
            session.output.say(f"    {part}")
    if not answer["lines"]:
        session.output.say("No lines.")
    if not answer["complete"]:
        session.output.say("There is more to read than could be fetched.")
    if answer["url"]:
        session.output.say(f"Read on: {clean(answer['url'])}")

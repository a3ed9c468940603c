"""nightshift system audit: who changed what, in every team and in the system."""

import click

from nightshift_cli.base.text import clean
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.audit_rows import OPTIONAL, SYSTEM_HEADERS, change_of, details_of, when


@click.command("audit")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 200), default=50, show_default=True, help="Entries per page."
)
@click.option("--cursor", metavar="CURSOR", help="Show the page after the one that returned this cursor.")
@operator_options
@click.pass_obj
def system_audit(session: Session, limit: int, cursor: str | None) -> None:
    """List who changed what, in every team and in the system, newest first. Entries are kept for a year.

    For the operator's own commands, BY is the AWS ARN that the command line claimed. CloudTrail knows the credentials
    that invoked the function: search it for the entry's request_id (--format json).

    \b
    Examples:
      nightshift system audit
      nightshift system audit --stack nightshift --format json
    """
    answer = session.stack.operate("audit", limit=limit, cursor=cursor)
    if session.output.as_json:
        session.output.document(answer)
        return
    rows = [
        (when(entry), clean(entry.get("actor")), entry.get("team"), change_of(entry), details_of(entry))
        for entry in answer["entries"]
    ]
    if rows:
        session.output.table(rows, headers=SYSTEM_HEADERS, optional=OPTIONAL)
    else:
        session.output.say("No entries.")
    if answer.get("cursor"):
        session.output.say(f"More: nightshift system audit --cursor {answer['cursor']}")

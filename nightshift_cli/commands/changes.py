"""nightshift audit: who changed what in the team."""

import click

from nightshift_cli.remote.names import people_of
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.audit_rows import OPTIONAL, TEAM_HEADERS, change_of, details_of, when


@click.command("audit")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 200), default=50, show_default=True, help="Entries per page."
)
@click.option("--cursor", metavar="CURSOR", help="Show the page after the one that returned this cursor.")
@common_options
@click.pass_obj
def team_audit(session: Session, limit: int, cursor: str | None) -> None:
    """List who made, changed, stored or ended what in the team, newest first. Entries are kept for a year.

    Only the team's admins see the audit. It does not repeat the runs: `nightshift jobs list` says who started each of
    them, and `nightshift jobs view` who cancelled one.

    \b
    Examples:
      nightshift audit
      nightshift audit --limit 200 --format json
    """
    page = session.api.audit(session.team_id, limit=limit, cursor=cursor)
    if session.output.as_json:
        session.output.document(page)
        return
    names = people_of(session.team_id, api=session.api)
    rows = [
        (when(entry), names.actor(entry.get("actor")), change_of(entry), details_of(entry)) for entry in page["entries"]
    ]
    if rows:
        session.output.table(rows, headers=TEAM_HEADERS, optional=OPTIONAL)
    else:
        session.output.say("No entries.")
    if page.get("cursor"):
        session.output.say(f"More: nightshift audit --cursor {page['cursor']}")

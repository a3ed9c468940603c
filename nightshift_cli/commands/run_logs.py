"""nightshift jobs logs: the lines that a run logged, also while it goes on."""

from typing import Any

import click

from nightshift_cli.base.failures import Interrupted, Throttled, Unreachable
from nightshift_cli.commands.completed import OwnRunId
from nightshift_cli.session import Session, common_options
from nightshift_cli.show.follow import PATIENCE, POLL_S
from nightshift_cli.show.log_rows import after_lines, before_lines, log_line
from nightshift_cli.show.run_rows import EXIT_CODES, LIVE

LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.argument("run_id", type=OwnRunId())
@click.option("--follow", is_flag=True, help="Show new lines until the run ends; exit with 0, 1 or 3.")
@click.option("--level", type=click.Choice(LEVELS), help="Only lines of this level or a higher one.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1000), default=200, show_default=True, help="Begin with N lines."
)
@common_options
@click.pass_obj
def logs(session: Session, run_id: str, follow: bool, level: str | None, limit: int) -> None:
    """Show the last lines that a run logged, oldest first.

    A run keeps its last 1,000 lines. All of them are in CloudWatch.

    \b
    Examples:
      nightshift jobs logs RUN_ID --follow
      nightshift jobs logs RUN_ID --level warning --limit 1000
    """
    run_id = session.run_id(run_id)
    page = session.api.logs(run_id, level=level, limit=limit)
    lines = page["log_lines"]
    _say(before_lines(page), session)
    _show(lines, session)
    if follow:
        try:
            page = _follow(run_id, page, lines, level=level, session=session)
        except KeyboardInterrupt:
            raise Interrupted("Stopped watching; the run continues.", body={"run_id": run_id}) from None
    if not lines:
        session.output.note("No log lines.")
    _say(after_lines(page), session)
    if session.output.as_json:
        session.output.document(page | {"log_lines": lines})
    if follow:
        click.get_current_context().exit(EXIT_CODES.get(page["status"], 1))


def _follow(
    run_id: str, page: dict[str, Any], lines: list[dict[str, Any]], *, level: str | None, session: Session
) -> dict[str, Any]:
    """Show the following lines until the run has ended, and add them to ``lines``. Return the last page."""
    failures = 0
    while page["status"] in LIVE or page["has_more"]:
        if not page["has_more"]:
            session.sleep(POLL_S)
        try:
            latest = session.api.logs(run_id, after=page["cursor"], level=level, limit=1000, attempts=1)
        except (Unreachable, Throttled) as exc:
            failures += 1
            if failures == PATIENCE:
                raise
            session.output.note(f"{exc.message} Trying again …")
            continue
        failures = 0
        _say(before_lines(latest), session)
        _show(latest["log_lines"], session)
        lines += latest["log_lines"]
        page = latest
    return page


def _show(lines: list[dict[str, Any]], session: Session) -> None:
    if not session.output.as_json:
        for line in lines:
            session.output.say(log_line(line))


def _say(sentences: Any, session: Session) -> None:
    for sentence in sentences:
        session.output.note(sentence)

"""How a run that was just started, or watched to its end, is told of."""

from typing import Any

import click

from cli.follow import Source, follow, look_again
from cli.output import clean
from cli.runs import EXIT_CODES
from cli.session import Session


def report_run(run: dict[str, Any], *, api: Source, session: Session, wait: bool) -> None:
    if wait:
        session.output.say(f"Run {run['id']} of {clean(run.get('job_type'))}")
        watch_to_the_end(run, api=api, session=session)
    elif session.output.as_json:
        session.output.document(run)
    else:
        session.output.say(f"Run {run['id']} is {run['status']}. {look_again(run['id'], view=api.view)}")


def watch_to_the_end(run: dict[str, Any], *, api: Source, session: Session) -> None:
    """Follow the run, report how it ended, and exit with the code for it."""
    run = follow(api, run, output=session.output, sleep=session.sleep)
    if session.output.as_json:
        session.output.document(run)
    else:
        outcome = run.get("error") or run.get("result")
        session.output.say(f"Run {run['id']} {run['status']}" + (f": {clean(outcome)}" if outcome else "."))
    click.get_current_context().exit(EXIT_CODES.get(run["status"], 1))

"""Output about runs that were started or watched, lists of runs, and slices."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from nightshift_cli.base.text import clean
from nightshift_cli.remote.ids import short_ids
from nightshift_cli.remote.names import NOBODY, Names, label_of
from nightshift_cli.session import Session
from nightshift_cli.show.follow import Source, follow, look_again
from nightshift_cli.show.results import result_lines
from nightshift_cli.show.run_rows import EXIT_CODES, HEADERS, OPTIONAL, SLICE_HEADERS, row_of, slice_row_of
from nightshift_cli.show.schedule_rows import when


def report_run(run: dict[str, Any], *, api: Source, session: Session, wait: bool) -> None:
    if wait:
        session.output.say(f"Run {run['id']} of {label_of(run.get('job_type'))}")
        watch_to_the_end(run, api=api, session=session)
    elif session.output.as_json:
        session.output.document(run)
    else:
        session.output.say(f"Run {run['id']} is {run['status']}. {look_again(run['id'], view=api.view)}")


def report_schedule(schedule: dict[str, Any], session: Session) -> None:
    if session.output.as_json:
        session.output.document(schedule)
    else:
        session.output.say(f"Schedule {clean(schedule.get('id'))}: {when(schedule)}")


def watch_to_the_end(run: dict[str, Any], *, api: Source, session: Session) -> None:
    """Follow the run, report how it ended, and exit with the matching code."""
    run = follow(api, run, output=session.output, sleep=session.sleep)
    if session.output.as_json:
        session.output.document(run)
    else:
        error = clean(run.get("error"))
        session.output.say(f"Run {run['id']} {run['status']}" + (f": {error}" if error else "."))
        for line in result_lines(run.get("result")):
            session.output.say(f"  {line}")
    click.get_current_context().exit(EXIT_CODES.get(run["status"], 1))


def show_runs(runs: Sequence[Mapping[str, Any]], *, session: Session, names: Names = NOBODY) -> None:
    """Show one line per run. On a terminal, ids are shortened as far as they remain distinct."""
    now, output = session.clock.now(), session.output
    ids = [clean(run.get("id")) for run in runs]
    shown = short_ids(ids) if output.is_fitted else ids
    rows = [row_of(run, now=now, names=names, id=id) for run, id in zip(runs, shown, strict=True)]
    output.table(rows, headers=HEADERS, optional=OPTIONAL)


def show_slices(timeline: Mapping[str, Any], *, session: Session) -> None:
    """Show the slices as a table, and the number of older slices that are left out."""
    now = session.clock.now()
    if left_out := timeline.get("slices_left_out"):
        session.output.say(f"The last {len(timeline['timeline'])} slices; {clean(left_out)} older ones are not shown.")
    if timeline["timeline"]:
        rows = [slice_row_of(part, now=now) for part in timeline["timeline"]]
        session.output.table(rows, headers=SLICE_HEADERS, wrap=True)

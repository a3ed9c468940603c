"""Rendering of bulk actions, as the API returns them."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from nightshift_cli.base import exact
from nightshift_cli.base.text import clean
from nightshift_cli.show.times import minute

HEADERS = ("ID", "ACTION", "STATE", "RUNS", "DONE", "LEFT OUT", "TO DO", "CONFIRMED (UTC)")
COLUMNS = ("run_id", "project_id", "job_type", "run_created_at", "outcome", "reason", "new_run_id")
# The characters with which a spreadsheet begins a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def figures_of(action: Mapping[str, Any]) -> Mapping[str, int]:
    found = action.get("figures")
    return found if isinstance(found, dict) else {}


def preview_lines(action: Mapping[str, Any]) -> list[str]:
    """Return sentences about what the action will do."""
    figures, is_cancel = figures_of(action), action.get("action") == "cancel"
    if not figures.get("runs"):
        return ["No run matches."]
    runs = _count(figures.get("runs", 0), "run matches", "runs match")
    places = _count(figures.get("projects", 0), "project", "projects")
    will = f"{figures.get('to_do', 0):,} will be {'cancelled' if is_cancel else 'run again' + _start(action)}."
    lines = [f"{runs}, in {places}.", will]
    if superseded := figures.get("superseded"):
        are = "is" if superseded == 1 else "are"
        lines.append(f"{superseded:,} {are} superseded: of each project and type, only the newest run is run again.")
    return lines + reason_lines(action)


def outcome_lines(action: Mapping[str, Any]) -> list[str]:
    """Return sentences about what the action has done."""
    figures = figures_of(action)
    said = {
        "cancelled": "cancelled",
        "asked_to_stop": "asked to stop: their workers stop at their next step",
        "started": "run again",
        "superseded": "superseded by a newer run of their project and type",
        "to_do": "still to do",
    }
    lines = [f"{figures[name]:,} {words}." for name, words in said.items() if figures.get(name)]
    return lines + reason_lines(action)


def reason_lines(action: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each reason for which runs were left out."""
    reasons = [each for each in action.get("reasons") or [] if isinstance(each, dict)]
    return [f"{each.get('runs', 0):,} left out: {clean(each.get('reason'))}." for each in reasons]


def row_of(action: Mapping[str, Any]) -> Sequence[object]:
    """Return the cells in the order of HEADERS."""
    figures = figures_of(action)
    done = sum(figures.get(name, 0) for name in ("started", "cancelled", "asked_to_stop"))
    left_out = sum(figures.get(name, 0) for name in ("superseded", "skipped"))
    return (
        action.get("id"),
        action.get("action"),
        action.get("state"),
        figures.get("runs"),
        done,
        left_out,
        figures.get("to_do"),
        minute(action.get("confirmed_at")),
    )


def download(items: Sequence[Mapping[str, Any]], *, as_json: bool) -> str:
    """Return the runs of an action as a file: a JSON list, or CSV that a spreadsheet opens without running formulas."""
    rows = [{name: each.get(name) for name in COLUMNS} for each in items]
    if as_json:
        return exact.write(rows, indented=True) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    text = clean(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _start(action: Mapping[str, Any]) -> str:
    return " from where they stopped" if action.get("from") == "cursor" else ""


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"

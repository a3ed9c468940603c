"""The content of a mail before it is rendered, so that the text part and the HTML part say the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from nightshift.base import wording
from nightshift.database.run_row import RunRow
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify.notices import AlertText, Names

Tone = Literal["completed", "failed", "cancelled", "warning"]

# By the status of the run.
TONES: dict[str, Tone] = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}

# Mail programs cut longer subjects.
MAX_SUBJECT = 120
# Entries of a list that a mail shows. The run holds the rest.
MAX_LISTED = 12
MAX_FACTS = 40
MAX_COLUMNS = 4
MAX_ZEROS = 5
# The last lines of a failed run's log.
MAX_LOG_LINES = 10

# Why the operator gets an alert.
TO_OPERATOR = "You get this mail because the stack parameter SystemJobsAlertEmail contains your address."

STARTED_BY = {"user": "You", "api_key": "Your API key", "schedule": "Schedule", "system": "The operator"}


@dataclass(frozen=True)
class Facts:
    """Labels with values. ``note`` says what was left out."""

    heading: str
    rows: list[tuple[str, str]]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """``note`` says what was left out."""

    heading: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


Section = Facts | Table


@dataclass(frozen=True, kw_only=True)
class MailContent:
    """The content of a mail, in plain text: renderers must escape it. ``notice`` is shown prominently."""

    tone: Tone
    subject: str
    badge: str
    title: str
    subtitle: str = ""
    notice: str = ""
    paragraphs: list[str]
    sections: list[Section]
    link: str = ""
    link_text: str = "Open the run"
    reason: str
    """Why the reader gets this mail."""

    @property
    def preheader(self) -> str:
        """Return the text that mail programs show beside the subject."""
        return wording.one_line(self.notice or " ".join(self.paragraphs), longest=140)


def describe_alert(content: AlertText, *, dashboard_url: str = "") -> MailContent:
    """Return the content of the mail with this ``subject`` and these ``lines``."""
    page = content.get("page")
    subject = wording.one_line(content["subject"], longest=MAX_SUBJECT)
    return MailContent(
        tone="warning",
        subject=subject,
        badge="Alert",
        title=subject,
        paragraphs=[wording.lines(line) for line in content["lines"]],
        sections=[],
        link=f"{dashboard_url.rstrip('/')}/{page}" if page and dashboard_url else "",
        link_text="Confirm the address" if content.get("confirms") else "Open the dashboard",
        reason=content.get("reason") or TO_OPERATOR,
    )


def describe_run(
    run: RunRow, *, names: Names, dashboard_url: str, log_lines: Sequence[Mapping[str, Any]] = ()
) -> MailContent:
    """Return the content of the mail about a run that has ended, with the last lines of its log."""
    known = JOB_TYPES.get(run.job_type)
    job, status, result = known.label if known else run.job_type, run.status, run.result or {}
    is_system = run.project_id is None
    warning = wording.lines(str(result.get("warning") or ""))
    badge = f"{status} with a warning" if warning else status
    subject = f"{job} {badge}: {names.project}" if names.project else f"{job} {badge}"
    message = run.progress["message"] if run.progress else ""
    return MailContent(
        tone="warning" if warning else TONES[status],
        subject=wording.one_line(subject, longest=MAX_SUBJECT),
        badge=badge.capitalize(),
        title=wording.one_line(job, longest=MAX_SUBJECT),
        subtitle=wording.one_line(" · ".join(filter(None, names)), longest=MAX_SUBJECT),
        notice=warning or wording.lines(run.error or ""),
        paragraphs=[wording.one_line(message, longest=300)] if message else [],
        sections=[Facts("Run", list(_facts(run))), *sections_of(result), *_log(log_lines)],
        link="" if is_system or not dashboard_url else f"{dashboard_url.rstrip('/')}/runs/{run.id}",
        reason=_reason(run),
    )


def _facts(run: RunRow) -> Iterator[tuple[str, str]]:
    started, completed = run.started_at, run.completed_at
    took_s = (completed - started).total_seconds() if started and completed else None
    yield "Duration", "Never started" if took_s is None else wording.duration(took_s)
    if run.progress:
        processed, total = run.progress["processed"], run.progress["total"]
        written = wording.size if _counts_bytes(run.job_type) else wording.number
        percent = f" ({100 * processed // total} %)" if 0 < processed < total else ""
        yield "Progress", f"{written(processed)} of {written(total)}{percent}"
    if started:
        yield "Started", wording.moment(started)
    if completed:
        yield "Ended", wording.moment(completed)
    how, _, who = run.triggered_by.partition(":")
    yield "Started by", STARTED_BY.get(who.partition(":")[0] or how, "Unknown")
    yield "Run", str(run.id)


def _log(lines: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    rows = [[str(line["at"])[11:19], line["level"], _logged(line)] for line in lines[-MAX_LOG_LINES:]]
    if rows:
        yield Table("Last lines of its log", ["UTC", "Level", "Message"], rows)


def _logged(line: Mapping[str, Any]) -> str:
    fields = " ".join(f"{name}={json.dumps(of, ensure_ascii=False)}" for name, of in line["fields"].items())
    return wording.one_line(f"{line['message']} {fields}", longest=300)


def _counts_bytes(job_type: str) -> bool:
    return job_type in JOB_TYPES and JOB_TYPES[job_type].counts_bytes


def _reason(run: RunRow) -> str:
    if run.project_id is not None:
        return "You get this mail because you asked for a notification when this run ends (notify)."
    return (
        "You get this mail because the stack parameter SystemJobsAlertEmail contains your address. Set "
        'SystemJobsAlerts to "failures" to get no mail about runs that complete without a warning.'
    )


def sections_of(result: Mapping[str, object], *, everything: bool = False) -> list[Section]:
    """Return the sections of a job's result: its values, then a table for each list of objects.

    Unless ``everything`` is true, empty values are left out; so are zeros if there are more than MAX_ZEROS.
    """
    shown = {key: of for key, of in result.items() if key != "warning" and (everything or of not in ([], {}, None, ""))}
    zeros = [key for key, of in shown.items() if type(of) is int and of == 0]
    if len(zeros) > MAX_ZEROS and not everything:
        shown = {key: of for key, of in shown.items() if key not in zeros} or {"outcome": "Nothing had to be done"}
    tables = {key: of for key, of in shown.items() if _is_table(of)}
    rows = [row for key, of in shown.items() if key not in tables for row in _rows(key, of)]
    left_out = [f"{wording.number(len(rows) - MAX_FACTS)} more values"] if len(rows) > MAX_FACTS else []
    facts = [Facts("Result", rows[:MAX_FACTS], _note(left_out))] if rows else []
    return [*facts, *(_table(key, of) for key, of in tables.items())]


def _rows(key: str, of: object) -> Iterator[tuple[str, str]]:
    """Flatten one level of a nested object. Deeper levels are shown as JSON."""
    if not isinstance(of, dict) or not of:
        yield wording.label(key), _value(key, of)
        return
    for name, inner in of.items():
        yield f"{wording.label(key)}: {wording.label(name).lower()}", _value(name, inner)


def _value(key: str, of: object) -> str:
    match of:
        case list() if of and not any(isinstance(each, (list, dict)) for each in of):
            listed = ", ".join(wording.value(key, each, longest=60) for each in of[:MAX_LISTED])
            return f"{listed} and {wording.number(len(of) - MAX_LISTED)} more" if len(of) > MAX_LISTED else listed
        case list() | dict():
            return wording.one_line(json.dumps(of, ensure_ascii=False), longest=300)
        case _:
            return wording.value(key, of)


def _is_table(of: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(of, list) and bool(of) and all(isinstance(each, dict) and each for each in of)


def _table(key: str, of: list[dict[str, object]]) -> Table:
    names = list(dict.fromkeys(name for each in of for name in each))
    left_out = []
    if len(of) > MAX_LISTED:
        left_out.append(f"{wording.number(len(of) - MAX_LISTED)} more rows")
    if len(names) > MAX_COLUMNS:
        left_out.append(f"the columns {', '.join(wording.label(name) for name in names[MAX_COLUMNS:])}")
    shown = names[:MAX_COLUMNS]
    return Table(
        heading=wording.label(key),
        columns=[wording.label(name) for name in shown],
        rows=[[_value(name, each.get(name)) for name in shown] for each in of[:MAX_LISTED]],
        note=_note(left_out),
    )


def _note(left_out: list[str]) -> str:
    return wording.one_line(f"The run's result holds {' and '.join(left_out)}.", longest=300) if left_out else ""

"""Rendering of a schedule, as the API returns it, in tables and lists."""

from collections.abc import Mapping, Sequence
from typing import Any

from nightshift_cli.base.text import clean
from nightshift_cli.remote.names import NOBODY, Names, label_of
from nightshift_cli.show.results import param_lines
from nightshift_cli.show.run_rows import pause_words
from nightshift_cli.show.times import in_zone, minute, zoned_minute

HEADERS = ("SCHEDULE", "NAME", "TYPE", "PROJECT", "NEXT (UTC)", "LAST (UTC)", "OUTCOME")
# Columns that a narrow line may leave out, the least important first.
OPTIONAL = ("OUTCOME", "LAST (UTC)", "PROJECT", "TYPE")
SLOT_HEADERS = ("SLOT (UTC)", "OUTCOME", "RUN", "STATUS", "REASON")


def row_of(schedule: Mapping[str, Any], *, id: str, names: Names = NOBODY) -> Sequence[object]:
    """Return the cells in the order of HEADERS."""
    last = _object(schedule.get("last"))
    return (
        id,
        schedule.get("name"),
        label_of(schedule.get("job_type")),
        names.project(schedule),
        "paused" if schedule.get("paused") else next(iter(_times(schedule)), "no more"),
        minute(last.get("slot")),
        last.get("outcome"),
    )


def slot_row_of(slot: Mapping[str, Any]) -> Sequence[object]:
    """Return the cells in the order of SLOT_HEADERS."""
    return (minute(slot.get("slot")), *(slot.get(name) for name in ("outcome", "run_id", "status", "reason")))


def facts_of(schedule: Mapping[str, Any], *, names: Names = NOBODY) -> list[tuple[str, object]]:
    maker = names.person(schedule.get("created_by"))
    facts: list[tuple[str, object]] = [
        ("id", schedule.get("id")),
        ("name", schedule.get("name")),
        ("job type", label_of(schedule.get("job_type"))),
        ("project", names.project(schedule)),
        ("times", when(schedule)),
        ("cron", schedule.get("cron")),
        (in_zone("next (UTC)"), _times(schedule)),
        ("params", param_lines(schedule)),
        ("notify", "its maker, by mail" if schedule.get("notify") is True else ""),
        ("made by", f"{maker}, who has left the team; it goes on" if schedule.get("maker_has_left") else maker),
        ("skipped in a row", schedule.get("skipped") or ""),
    ]
    return [(name, value) for name, value in facts if value not in (None, "", [])]


def when(schedule: Mapping[str, Any]) -> str:
    """Return ``At 03:00 every day (Europe/Berlin), next at 2026-11-28 02:00 UTC``."""
    said = clean(schedule.get("said"))
    if schedule.get("cron"):
        said = f"{said} ({clean(schedule.get('zone'))})"
    elif schedule.get("run_at"):
        said = f"{said}, at {zoned_minute(schedule.get('run_at'))}"
    if isinstance(pause := schedule.get("paused"), dict):
        return f"{said}, paused {pause_words(pause)}"
    following = _times(schedule)
    if not following:
        return f"{said}, started already"
    return f"{said}, next at {zoned_minute(schedule['next'][0])}" if schedule.get("cron") else said


def _times(schedule: Mapping[str, Any]) -> list[str]:
    following = schedule.get("next")
    return [minute(each) for each in following] if isinstance(following, list) else []


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

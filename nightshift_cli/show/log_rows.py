"""Lines of a run's log, one below the other."""

from collections.abc import Mapping
from typing import Any

from nightshift_cli.base.text import clean


def log_line(line: Mapping[str, Any]) -> str:
    """Return ``<time> <level> <message> name=value …``."""
    fields = line.get("fields")
    details = [f"{clean(name)}={_value(of)}" for name, of in fields.items()] if isinstance(fields, dict) else []
    level = clean(line.get("level")).upper()
    return " ".join([clean(line.get("at")), f"{level:7}", clean(line.get("message")), *details]).rstrip()


def _value(of: object) -> str:
    if of is None:
        return "null"
    text = clean(of)
    return f'"{text}"' if not text or " " in text else text


def before_lines(page: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know of the lines before these."""
    left_out = page.get("left_out")
    return [f"{left_out:,} earlier lines are no longer stored."] if isinstance(left_out, int) and left_out else []


def after_lines(page: Mapping[str, Any]) -> list[str]:
    """Return where else lines may be."""
    lost = [clean(number) for number in page.get("lost_slices") or []]
    if not lost:
        return []
    whose = f"The worker of slice {lost[0]} was" if len(lost) == 1 else f"The workers of slices {', '.join(lost)} were"
    return [f"{whose} lost. The last lines before that are in CloudWatch alone."]

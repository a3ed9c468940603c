"""One line of a report to the owner: what was looked at, what it says, and what to do where it is red."""

from typing import Any

Check = dict[str, Any]


def green(name: str, says: str) -> Check:
    return {"name": name, "ok": True, "says": says, "do": None}


def red(name: str, says: str, *, do: str) -> Check:
    return {"name": name, "ok": False, "says": says, "do": do}


def report(checks: list[Check]) -> dict[str, Any]:
    """``{"ok", "checks"}``: ok only when every check is."""
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """``1 run``, ``3 runs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def words_for(duration_s: float) -> str:
    """In the largest unit that says enough: 45 s, 12 min, 30 h, 5 days."""
    for unit, length_s, at_least in (("days", 86400, 2), ("h", 3600, 1), ("min", 60, 1)):
        if duration_s >= at_least * length_s:
            return f"{int(duration_s // length_s)} {unit}"
    return f"{max(0, round(duration_s))} s"

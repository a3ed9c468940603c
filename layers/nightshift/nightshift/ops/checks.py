"""One line of a report to the owner: what was looked at, what it says, and what to do where it is red."""

from typing import Any

Check = dict[str, Any]

# What to do about a database that answers and takes no writes.
READ_ONLY = "After a failover, wait for its end. Later than that, let DatabaseHost name the server that takes writes."


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

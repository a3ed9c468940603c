"""Checks: each becomes one line of a report to the operator, with a name, a finding and, if it is red, a remedy."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from nightshift.base.errors import sentence
from nightshift.base.logger import logger

Line = dict[str, Any]

LACKING = "For missing rights and migrations, see nightshift system doctor. The other checks of this report are valid."
# The remedy for a database that answers but is read-only.
READ_ONLY = "During a failover, wait until it ends. Otherwise set DatabaseHost to the server that accepts writes."
# No check of run_all starts later than this: the function times out after 60, and one statement may take 30 (seconds).
BUDGET_S = 25


class Finding(NamedTuple):
    ok: bool
    says: str
    do: str | None


class Check(NamedTuple):
    """A check to run. ``advice`` is the remedy if the check itself fails."""

    name: str
    look: Callable[[], Finding]
    advice: str = LACKING


def green(says: str) -> Finding:
    return Finding(True, says, None)


def red(says: str, *, do: str) -> Finding:
    return Finding(False, says, do)


def run(name: str, look: Callable[[], Finding], advice: str) -> Line:
    """Return the check's line. If the check raises, the line is red, with the exception's message and the advice."""
    try:
        found = look()
    except Exception as exc:
        logger.warning(f"Could not run the check {name}: {sentence(exc)}", action="check_failed", check=name)
        found = red(sentence(exc), do=advice)
    return {"name": name} | found._asdict()


def run_all(checks: Iterable[Check]) -> list[Line]:
    """Return a line for each check. If one fails, the others still run; checks left when time runs out say so."""
    ends_at_s = time.monotonic() + BUDGET_S
    lines = []
    for name, look, advice in checks:
        lines.append(run(name, look if time.monotonic() <= ends_at_s else _too_late, advice))
    return lines


def report(lines: list[Line]) -> dict[str, Any]:
    """Return ``{"ok", "checks"}``. ``ok`` is true if every line is."""
    return {"ok": all(line["ok"] for line in lines), "checks": lines}


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 run`` or ``3 runs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _too_late() -> Finding:
    return red("not checked: time ran out", do="Fix the red checks above, then run this again.")

"""Checks: each is one line of a report to the operator, with a name, a finding and, if it is red, a remedy."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nightshift.base.errors import sentence
from nightshift.base.logger import logger

Check = dict[str, Any]

# The remedy for a database that answers but is read-only.
READ_ONLY = "During a failover, wait until it ends. Otherwise set DatabaseHost to the server that accepts writes."
# No check starts later than this: the function times out after 60, and one statement may take 30 (seconds).
BUDGET_S = 25


class Question(NamedTuple):
    """A check to run. ``advice`` is the remedy if the check itself fails."""

    name: str
    ask: Callable[[], Check]
    advice: str


def green(name: str, says: str) -> Check:
    return {"name": name, "ok": True, "says": says, "do": None}


def red(name: str, says: str, *, do: str) -> Check:
    return {"name": name, "ok": False, "says": says, "do": do}


def run(name: str, ask: Callable[[], Check], advice: str) -> Check:
    """Return the result of the check. If it raises, return a red line with the exception's message and the advice."""
    try:
        return ask()
    except Exception as exc:
        logger.warning(f"Could not run the check {name}: {sentence(exc)}", action="check_failed", check=name)
        return red(name, sentence(exc), do=advice)


def run_all(questions: Sequence[Question]) -> list[Check]:
    """Return a line for each check. If one fails, the others still run; checks left when time runs out say so."""
    ends_at_s = time.monotonic() + BUDGET_S
    checks = []
    for question in questions:
        if time.monotonic() > ends_at_s:
            checks.append(
                red(question.name, "not checked: time ran out", do="Fix the red checks above, then run this again.")
            )
        else:
            checks.append(run(*question))
    return checks


def report(checks: list[Check]) -> dict[str, Any]:
    """Return ``{"ok", "checks"}``. ``ok`` is true if every check is."""
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 run`` or ``3 runs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

"""One line of a report to the operator: what was looked at, what it says, and what to do where it is red."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nightshift.errors import sentence
from nightshift.log import logger

Check = dict[str, Any]

# What to do about a database that answers and takes no writes.
READ_ONLY = "After a failover, wait for its end. Later than that, let DatabaseHost name the server that takes writes."
# No question is begun later: the function has a minute, and one statement may take half of it (seconds).
BUDGET_S = 25


class Question(NamedTuple):
    """``advice`` is what to do where the question itself fails."""

    name: str
    ask: Callable[[], Check]
    advice: str


def green(name: str, says: str) -> Check:
    return {"name": name, "ok": True, "says": says, "do": None}


def red(name: str, says: str, *, do: str) -> Check:
    return {"name": name, "ok": False, "says": says, "do": do}


def run(name: str, ask: Callable[[], Check], advice: str) -> Check:
    """The check; where it raises, a red line with the sentence of the exception and the advice."""
    try:
        return ask()
    except Exception as exc:
        logger.warning(f"The check of {name} failed: {sentence(exc)}", action="check_failed", check=name)
        return red(name, sentence(exc), do=advice)


def run_all(questions: Sequence[Question]) -> list[Check]:
    """A line for each. One that fails hides no other; those that come when time is up say so."""
    ends_at_s = time.monotonic() + BUDGET_S
    checks = []
    for question in questions:
        if time.monotonic() > ends_at_s:
            checks.append(
                red(question.name, "not looked at: time was up", do="Mend the red lines above, then ask again.")
            )
        else:
            checks.append(run(*question))
    return checks


def report(checks: list[Check]) -> dict[str, Any]:
    """``{"ok", "checks"}``: ok only when every check is."""
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """``1 run``, ``3 runs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

"""Runs by the beginning of their id, as people type it."""

import re

from nightshift.database import Database, Row
from nightshift.errors import NotFound, Refused
from nightshift.validation import shown

# A million runs share their first four digits with fifteen others on average: a short range of the primary key.
SHORTEST, DIGITS = 4, 32
# So many of several are named; one more is asked for, to know that there are more.
MOST = 5


def find_runs(field: str, beginning: str, *, team_id: str | None, db: Database) -> list[Row]:
    """Up to ``MOST`` + 1 runs of the team (of all, where it is None) whose id begins so, by id.

    Raises Refused, naming ``field``, for what no id begins with.
    """
    digits = beginning.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{DIGITS}}}", digits):
        raise Refused(f"{field} must be a UUID or at least its first {SHORTEST} digits, got {shown(beginning)}")
    return db.query(
        "find_runs_by_prefix",
        again_if_gone=True,
        first=digits.ljust(DIGITS, "0"),
        last=digits.ljust(DIGITS, "f"),
        team_id=team_id,
        limit=MOST + 1,
    )


def whole_id(field: str, beginning: str, *, db: Database) -> str:
    """The id of the only run, of any team or none, that begins so. Raises NotFound; Refused where there are more."""
    found = [str(row["id"]) for row in find_runs(field, beginning, team_id=None, db=db)]
    if not found:
        raise NotFound(f"Unknown run {beginning}")
    if len(found) > 1:
        more = " and more" if len(found) > MOST else ""
        raise Refused(f"{beginning} matches more than one run: {', '.join(found[:MOST])}{more}. Give more digits")
    return found[0]

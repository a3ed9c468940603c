"""Find runs by the first digits of their id."""

import re

from nightshift.base.errors import NotFound, Refused
from nightshift.base.validation import shown
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow

# Of a million runs, about fifteen share the same first four digits: a short range of the primary key.
SHORTEST, DIGITS = 4, 32
# The number of matches that an error names. The query asks for one more, to know whether there are more.
MOST = 5


def find_runs(field: str, beginning: str, *, team_id: str | None, db: Database) -> list[RunRow]:
    """Return up to ``MOST`` + 1 runs of the team (None: of all teams) whose id has this prefix, by id.

    Raises Refused, naming ``field``, if ``beginning`` cannot be the prefix of an id.
    """
    digits = beginning.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{DIGITS}}}", digits):
        raise Refused(f"{field} must be a UUID or at least its first {SHORTEST} digits, got {shown(beginning)}")
    return db.query_as(
        RunRow,
        "find_runs_by_prefix",
        again_if_gone=True,
        first=digits.ljust(DIGITS, "0"),
        last=digits.ljust(DIGITS, "f"),
        team_id=team_id,
        limit=MOST + 1,
    )


def whole_id(field: str, beginning: str, *, db: Database) -> str:
    """Return the id of the only run with this prefix, of any team or none. Raises NotFound, or Refused for several."""
    found = [str(run.id) for run in find_runs(field, beginning, team_id=None, db=db)]
    if not found:
        raise NotFound(f"Unknown run {beginning}")
    if len(found) > 1:
        more = " and more" if len(found) > MOST else ""
        raise Refused(f"{beginning} matches more than one run: {', '.join(found[:MOST])}{more}. Give more digits")
    return found[0]

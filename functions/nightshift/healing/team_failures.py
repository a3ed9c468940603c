"""Failures of the teams' runs. A team fixes failures that concern only itself.

The operator handles failures that affect several teams, and failures of the system.
"""

from dataclasses import dataclass

from nightshift.base import metrics
from nightshift.database.queries import Database

# The sweep counts the failures of this period, in seconds.
LATELY_S = 3600

# Errors that a team cannot fix, as a regular expression of Postgres: lost workers, missing code, exceptions that the
# job did not expect (errors.sentence puts their class in front), and errors of the database.
OF_THE_SYSTEM = "|".join(
    (
        "^Server restarted during execution",
        "^This release has no code",
        "^[A-Za-z_]+(Error|Exception|Exit|Interrupt|Warning): ",
        "^The database ",
        "^Lost the database connection",
        "^permission denied for ",
        '^(relation|column|function|role) .*"? does not exist',
        "^Query [a-z_]+ ",
    )
)


@dataclass(frozen=True, kw_only=True)
class TeamFailures:
    """How many of the teams' runs ``ended`` and ``failed`` in a period; ``lately`` counts failures of the last hour.

    The other fields describe failures whose project has had no success since.
    """

    failed: int
    ended: int
    ended_is_all: bool
    lately: int
    teams: int
    of_the_system: int
    job_type: str | None
    error: str | None
    """The most frequent error."""
    with_error: int
    run_id: str | None
    """The last run with that error."""

    @property
    def is_for_the_operator(self) -> bool:
        return self.teams > 1 or self.of_the_system > 0


def team_failures(*, within_s: float, db: Database) -> TeamFailures:
    row = db.query("team_failures", within_s=within_s, lately_s=LATELY_S, of_the_system=OF_THE_SYSTEM)[0]
    return TeamFailures(**row)


def count(db: Database) -> None:
    """Count the current failures in the metrics."""
    found = team_failures(within_s=LATELY_S, db=db)
    if found.teams:
        metrics.count("TeamsFailing", found.teams)
    if found.of_the_system:
        metrics.count("SystemFailures", found.of_the_system)

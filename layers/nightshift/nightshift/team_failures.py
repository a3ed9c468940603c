"""How the teams' runs fare. One team mends its own failures; those of several teams, or of the system, the operator."""

from dataclasses import dataclass

from nightshift import metrics
from nightshift.database import Database

# The sweep counts what failed so lately (seconds).
LATELY_S = 3600

# Errors that no team can mend, as a regular expression of Postgres: lost workers, missing code, an exception that the
# job did not foresee (errors.sentence puts its class in front), and the database's own.
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
    """Runs of teams that ``failed`` of those that ``ended`` within a while; ``lately``: in the last hour.

    The rest is of failures whose project has had no success since.
    """

    failed: int
    ended: int
    ended_is_all: bool
    lately: int
    teams: int
    of_the_system: int
    job_type: str | None
    error: str | None
    """The commonest."""
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
    """Add to the metrics how things stand now."""
    found = team_failures(within_s=LATELY_S, db=db)
    if found.teams:
        metrics.count("TeamsFailing", found.teams)
    if found.of_the_system:
        metrics.count("SystemFailures", found.of_the_system)

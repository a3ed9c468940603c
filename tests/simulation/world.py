"""The world of a play: a database with its own clock, queues, runs and the promises made about them."""

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.notify import outbox
from nightshift.schedules import slots
from nightshift.testing.rows import Team, make_team
from tests.simulation import jobs
from tests.simulation.outside import Outside
from tests.simulation.stage import emptied, migrated

if TYPE_CHECKING:
    from tests.simulation.actors import Actor

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass
class Known:
    """The simulator's own knowledge of a run, independent of the database."""

    name: str
    script: str
    places: int = 0
    """The number of committed steps."""
    lost_in_a_row: int = 0
    lost_in_total: int = 0
    tried_again: Counter[str] = field(default_factory=Counter)
    claimed: set[int] = field(default_factory=set)
    cancel_accepted: bool = False
    is_deleted: bool = False
    status: str = "pending"
    ended_at_record: int | None = None
    row: dict[str, Any] = field(default_factory=dict)


class World:
    """The world, one for each server and process. ``begin`` resets it for a play."""

    def __init__(self, config: Settings, superuser: Database):
        self.config = dataclasses.replace(
            config,
            queue_url="http://sqs.simulated/runs",
            notify_queue_url="http://sqs.simulated/notify",
            announce_queue_url="http://sqs.simulated/announce",
            mail_from="nightshift@simulated.example",
            system_jobs_alert_email="operator@simulated.example",
            event_bus_name="simulated",
            retention_days=3,
            sweep_batch=3,
            mails_per_team_and_hour=3,
            lost_slices_limit=3,
            lost_slices_ceiling=5,
        )
        self.owner = migrated(self.config, superuser)
        self.records_read = 0

    def begin(self) -> None:
        self.now = BEGINNING
        self.outside = Outside(self)
        self.runs: dict[str, Known] = {}
        self.names: dict[str, str] = {}
        """Ids by name."""
        self.keys: dict[tuple[str, str], str] = {}
        """The run that was last created with an idempotency key and team."""
        self.actors: list[Actor] = []
        self.environments: list[Any] = []
        self.sessions: dict[int, Any] = {}
        """The environment of each session, by the server's process id."""
        self.paused_at: dict[tuple[str, str], datetime] = {}
        """The time when a pause was seen, by job type and paused part."""
        self.died_at: set[tuple[str, int]] = set()
        self.has_moved = False
        """Whether a project has moved to another team."""
        self.faults: Counter[str] = Counter()
        self.owner.run_script(emptied(self.owner))
        self.end_trouble()
        self._set_clock()
        self.teams = [make_team(self.owner, slug="owls", projects=2), make_team(self.owner, slug="bats")]
        self.projects = [str(id) for (id,) in self.owner.run_script("SELECT id FROM projects ORDER BY team_id, slug")]
        outbox.want_events(True, db=self.owner)
        slots.register(jobs.SCHEDULES, now=self.now, db=self.owner)
        self.records_read = 0
        self.owner.run_script("TRUNCATE simulated.records")

    def end_trouble(self) -> None:
        self.owner.run_script("SELECT grant_job_rights()")

    def team_of(self, project: int) -> Team | None:
        """Return the project's team, or None if the cleanup has deleted the project."""
        rows = self.owner.run_script(f"SELECT team_id FROM projects WHERE id = '{self.projects[project]}'")
        return next((team for team in self.teams if rows and team.id == str(rows[0][0])), None)

    def is_first_time(self, run_id: str, place: int) -> bool:
        """Return whether no worker of this run has died at this place."""
        is_first = (run_id, place) not in self.died_at
        self.died_at.add((run_id, place))
        return is_first

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._set_clock()

    def records(self) -> list[dict[str, Any]]:
        """Return the changes committed since the last call, each row's changes in order."""
        rows = self.owner.run_script("SELECT simulated.taken_records()")
        self.records_read += len(rows)
        return [row for (row,) in rows]

    def name_of(self, run_id: str) -> str:
        return self.runs[run_id].name if run_id in self.runs else run_id[:8]

    def _set_clock(self) -> None:
        microseconds = round(self.now.timestamp() * 1e6)
        self.owner.run_script(f"SELECT setval('simulated.clock', {microseconds})")

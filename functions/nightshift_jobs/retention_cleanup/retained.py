"""The progress and position of a retention cleanup. Its fields are the run's cursor."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nightshift.jobs import Progress
from nightshift_jobs.soft_delete_cleanup.pace import FIRST_BATCH

# The column of the table projects that says how many days each table is kept, by the last word of the column's name.
KIND_OF = {"events": "events", "metric_events": "metrics", "funnel_events": "funnels"}

# The projects with the most events, and the first entries of each other list, that the result names: it has to fit.
SHOWN_PROJECTS, SHOWN = 25, 5
# The length of a value of the platform's, and of a reason, which may be the text of a trigger's error.
VALUE_LENGTH, REASON_LENGTH = 40, 100

# Two thousand years. More would lead to a date that Python does not have.
MOST_DAYS = 700_000


def cutoff_of(now: str, days: int) -> datetime:
    """Return the time that an event must have reached to be kept."""
    return datetime.fromisoformat(now) - timedelta(days=min(days, MOST_DAYS))


@dataclass
class Retained:
    """``now`` is the time from which all ages are counted. ``tables`` are those that the run works on."""

    now: str
    apps: int
    """The number of live apps when the run began."""
    tables: list[str]
    missing: list[str]
    barred: list[dict[str, str]]
    """Tables that the job does not touch, each with the reason."""
    is_dry: bool
    done: int = 0
    """The number of apps that are done."""
    after: tuple[str, str] | None = None
    """Project and id of the last app that is done."""
    app: tuple[str, str] | None = None
    """Project and id of the current app."""
    table: int = 0
    """The index of the current app's current table."""
    walks: int = 0
    """The number of walks through the current table's expired events."""
    first: str | None = None
    """Where the current walk continues; None before it begins."""
    passed: int = 0
    """In a dry run: the events of that very time that are already counted."""
    batches: dict[str, int] = field(default_factory=dict)
    """Rows per step, by table, as computed after the last step."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KIND_OF, 0))
    of_project: dict[str, int] = field(default_factory=dict)
    """The same for the current app's project."""
    projects: list[dict[str, Any]] = field(default_factory=list)
    """The projects with the most events, without the current one."""
    projects_in_all: int = 0
    no_valid_number: list[dict[str, Any]] = field(default_factory=list)
    no_valid_number_in_all: int = 0
    left: list[dict[str, str]] = field(default_factory=list)
    left_in_all: int = 0
    stuck: int = 0
    """The number of tables of an app that failed repeatedly."""

    @classmethod
    def of(cls, cursor: dict[str, Any]) -> "Retained":
        state = cls(**cursor)
        state.after = state.after and (state.after[0], state.after[1])
        state.app = state.app and (state.app[0], state.app[1])
        return state

    def enter(self, project: str, app: str) -> bool:
        """Make this the current app, and tell whether it is the first of its project. Keep the place if it is."""
        if self.app == (project, app):
            return False
        is_first = self._project != project
        if is_first:
            self._finish_project()
        self.app, self.table, self.walks, self.first, self.passed = (project, app), 0, 0, None, 0
        return is_first

    def next_table(self) -> None:
        self.table, self.walks, self.first, self.passed = self.table + 1, 0, None, 0

    def finish_app(self) -> None:
        self.after, self.done = self.app, self.done + 1

    def count(self, table: str, events: int) -> None:
        self.counts[table] += events
        self.of_project[table] = self.of_project.get(table, 0) + events

    def batch(self, table: str) -> int:
        return self.batches.get(table, FIRST_BATCH)

    def leave(self, table: str, because: str) -> None:
        """Record that expired events of the current app stay, and go on."""
        assert self.app
        self.left_in_all += 1
        if len(self.left) < SHOWN:
            self.left.append({"table": table, "app": self.app[1], "because": because[:REASON_LENGTH]})

    def note_no_valid_number(self, column: str, value: str, *, used_days: int) -> None:
        assert self.app
        self.no_valid_number_in_all += 1
        if len(self.no_valid_number) < SHOWN:
            what = {"column": column, "value": value[:VALUE_LENGTH], "used_days": used_days}
            self.no_valid_number.append({"project": self.app[0], **what})

    def progress(self) -> Progress:
        apps = max(self.apps, self.done)
        events = f"{'Would delete' if self.is_dry else 'Deleted'} {sum(self.counts.values()):,} events"
        message = f"{events}; looked through {self.done:,} of {apps:,} apps"
        return Progress(processed=self.done, total=apps, message=message, cursor=asdict(self))

    def result(self) -> dict[str, Any]:
        """Return counts by table and for the projects with the most, and everything that was not done as expected."""
        self._finish_project()
        warning = self._warning()
        return {
            "dry_run": self.is_dry,
            **self.counts,
            "projects": self.projects,
            "projects_in_all": self.projects_in_all,
            "no_valid_number": self.no_valid_number,
            "no_valid_number_in_all": self.no_valid_number_in_all,
            "left": self.left,
            "left_in_all": self.left_in_all,
            "missing_tables": self.missing,
            "barred": self.barred,
        } | ({"warning": warning} if warning else {})

    @property
    def _project(self) -> str | None:
        return self.app and self.app[0]

    def _finish_project(self) -> None:
        if self.of_project:
            self.projects_in_all += 1
            self.projects.append({"project": self._project, **self.of_project})
            self.projects.sort(key=lambda each: -sum(each.get(table, 0) for table in KIND_OF))
            del self.projects[SHOWN_PROJECTS:]
            self.of_project = {}

    def _warning(self) -> str:
        said = [f"{each['table']} was left alone: {each['because']}." for each in self.barred]
        if self.left:
            table, app, because = self.left[0].values()
            others = f" So do those of {self.left_in_all - 1:,} other tables of apps." if self.left_in_all > 1 else ""
            said.append(f"Expired events in {table} of app {app} stay: {because}.{others}")
        return " ".join(said)

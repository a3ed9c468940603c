"""The progress and position of a cleanup. Its fields are the run's cursor."""

from dataclasses import asdict, dataclass, field
from typing import Any

from nightshift.jobs import Progress
from nightshift_jobs.soft_delete_cleanup.pace import FIRST_BATCH

EVENT_TABLES = ("events", "metric_events", "funnel_events")

# All tables that the cleanup deletes from, in the order of the result.
COUNTED = (
    "teams", "projects", "apps", "api_keys", "metric_definitions", "funnel_definitions", "project_integrations",
    "app_users", "team_members", "job_team_schedules", "job_project_pauses", "job_days", "job_runs",
    *EVENT_TABLES,
)  # fmt: skip

# The number of resources that the result names for each kind of problem, and the length of a reason, which may be the
# text of a trigger's error: the result has to fit.
SHOWN, REASON_LENGTH = 10, 95


@dataclass
class Walk:
    """A walk through the rows of one table under one parent. The rows from ``first`` to ``last`` are left."""

    relation: str
    parent: str
    first: str
    last: str


@dataclass
class State:
    """``total`` is an estimate. ``kind`` and ``after`` identify the last due resource that was handled."""

    cutoff: str
    total: int
    barred: list[str] = field(default_factory=list)
    """Tables that the job lacks a right to: their rows are kept, with all resources above them."""
    filtered: list[str] = field(default_factory=list)
    """Tables whose rows row-level security may hide from the job: likewise kept."""
    stuck: int = 0
    """The number of resources that failed repeatedly."""
    kind: int = 0
    after: str | None = None
    root: tuple[str, str] | None = None
    """Table and id of the current resource, which is deleted with everything under it."""
    gone: dict[str, int] = field(default_factory=dict)
    """Rows deleted under the current resource, by table."""
    waits: int = 0
    walk: Walk | None = None
    batches: dict[str, int] = field(default_factory=dict)
    """Rows per step, by table, as computed after the last step."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    spared: list[str] = field(default_factory=list)
    """Resources restored during the run: the next run decides about the rest under them."""
    restored: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, str]] = field(default_factory=list)
    """Resources that moved to another parent during the run."""
    moved_in_all: int = 0
    kept: list[dict[str, str]] = field(default_factory=list)
    kept_in_all: int = 0

    @classmethod
    def of(cls, cursor: dict[str, Any]) -> "State":
        state = cls(**cursor)
        state.root = cursor["root"] and tuple(cursor["root"])
        state.walk = cursor["walk"] and Walk(**cursor["walk"])
        return state

    @property
    def closed(self) -> list[str]:
        """Tables that the job does not touch."""
        return [*self.barred, *(table for table in self.filtered if table not in self.barred)]

    def begin(self, resource: str, resource_id: str) -> None:
        self.root, self.gone, self.waits, self.walk = (resource, resource_id), {}, 0, None

    def finish(self) -> None:
        """Mark the current resource as handled, whether deleted or not."""
        if self.root:
            self.after, self.root, self.walk = self.root[1], None, None

    def batch(self, table: str) -> int:
        return self.batches.get(table, FIRST_BATCH)

    def count(self, table: str, deleted: int) -> None:
        self.counts[table] += deleted
        self.gone[table] = self.gone.get(table, 0) + deleted

    def spare(self) -> None:
        """Record that the current resource is no longer due, and what was already deleted under it."""
        assert self.root
        resource, resource_id = self.root
        if self.gone:
            self.spared.append(resource_id)
            if len(self.restored) < SHOWN:
                self.restored.append({"resource": resource, "id": resource_id, "deleted": self.gone})

    def leave(self, resource: str, resource_id: str) -> None:
        self.moved_in_all += 1
        if len(self.moved) < SHOWN:
            self.moved.append({"resource": resource, "id": resource_id})

    def keep(self, resource: str, resource_id: str, because: str) -> None:
        self.kept_in_all += 1
        if len(self.kept) < SHOWN:
            self.kept.append({"resource": resource, "id": resource_id, "because": because[:REASON_LENGTH]})

    def progress(self) -> Progress:
        processed = sum(self.counts.values())
        events = sum(self.counts[table] for table in EVENT_TABLES)
        others = processed - events
        message = f"Deleted {events:,} events and {others:,} other rows"
        return Progress(processed=processed, total=max(self.total, processed), message=message, cursor=asdict(self))

    def result(self) -> dict[str, Any]:
        """Return counts by table; the first resources that were restored, moved or kept; and the barred tables."""
        return {
            **self.counts,
            "restored": self.restored,
            "restored_in_all": len(self.spared),
            "moved": self.moved,
            "moved_in_all": self.moved_in_all,
            "kept": self.kept,
            "kept_in_all": self.kept_in_all,
            "barred": self.closed,
        }

    def complaint(self) -> str:
        """Return the error for a run that deleted nothing, with the statements that a superuser can run."""
        kept = [f"{each['resource']} {each['id']}: {each['because']}" for each in self.kept]
        if self.kept_in_all > len(kept):
            kept.append(f"and {self.kept_in_all - len(kept)} more")
        said = ["Nothing was deleted"]
        if kept:
            said.append(f"Kept: {'; '.join(kept)}")
        if self.barred:
            said.append(
                f"Rights to {', '.join(self.barred)} are missing: GRANT SELECT, DELETE, UPDATE (deleted_at) to "
                "nightshift_maintenance"
            )
        if self.filtered:
            said.append(
                f"Row-level security may hide rows of {', '.join(self.filtered)}: ALTER ROLE nightshift_maintenance "
                "BYPASSRLS"
            )
        return ". ".join(said)

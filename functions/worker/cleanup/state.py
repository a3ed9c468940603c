"""What a cleanup has done and where it stands: its fields are the run's cursor."""

from dataclasses import asdict, dataclass, field
from typing import Any

from cleanup.pace import FIRST_BATCH
from nightshift.job import Progress

EVENT_TABLES = ("events", "metric_events", "funnel_events")

# Everything that is deleted, in the order of the result.
COUNTED = (
    "teams", "projects", "apps", "api_keys", "metric_definitions", "funnel_definitions", "project_integrations",
    "app_users", "team_members", "job_runs", *EVENT_TABLES,
)  # fmt: skip

# Resources of each kind of trouble that the result names, and how much of a reason, which may be a trigger's own words:
# the result has to fit.
SHOWN, REASON_LENGTH = 10, 100


@dataclass
class Walk:
    """Through the rows of one table under one parent: those from ``first`` to ``last`` are left."""

    relation: str
    parent: str
    first: str
    last: str


@dataclass
class State:
    """``total`` is an estimate. ``kind`` and ``after``: which due resource was the last that is dealt with."""

    cutoff: str
    total: int
    barred: list[str] = field(default_factory=list)
    """Tables that the job lacks a right to: what lies in them is kept, with all above it."""
    filtered: list[str] = field(default_factory=list)
    """Tables of which row-level security may hide rows from the job: likewise."""
    stuck: int = 0
    """Resources that failed again and again."""
    kind: int = 0
    after: str | None = None
    root: tuple[str, str] | None = None
    """The resource at hand, table and id, with everything under it."""
    gone: dict[str, int] = field(default_factory=dict)
    """What has been deleted of it."""
    waits: int = 0
    walk: Walk | None = None
    batches: dict[str, int] = field(default_factory=dict)
    """Rows a step, as the last step in that table found them to fit."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    spared: list[str] = field(default_factory=list)
    """Restored under our hands: what lies under them is left to the next run."""
    restored: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, str]] = field(default_factory=list)
    """Moved away under our hands: no longer of the resource at hand."""
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
        """Tables that are left alone."""
        return [*self.barred, *(table for table in self.filtered if table not in self.barred)]

    def begin(self, resource: str, resource_id: str) -> None:
        self.root, self.gone, self.waits, self.walk = (resource, resource_id), {}, 0, None

    def finish(self) -> None:
        """The resource at hand has been dealt with, one way or another."""
        if self.root:
            self.after, self.root, self.walk = self.root[1], None, None

    def batch(self, table: str) -> int:
        return self.batches.get(table, FIRST_BATCH)

    def count(self, table: str, deleted: int) -> None:
        self.counts[table] += deleted
        self.gone[table] = self.gone.get(table, 0) + deleted

    def spare(self) -> None:
        """The resource at hand is no longer due: say what of it is gone, if anything is."""
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
        """Counts by table; what was restored, moved or had to be kept, the first of each by name; and barred tables."""
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
        """What an owner of the database can do, where nothing was deleted."""
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

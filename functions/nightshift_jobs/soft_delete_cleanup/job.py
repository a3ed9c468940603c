"""Soft-Delete Cleanup: deletes resources soft-deleted more than seven days ago, and all under them, in short steps."""

import time
from collections.abc import Callable, Generator, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from nightshift.base.errors import JobError
from nightshift.base.logger import logger
from nightshift.jobs import JobDatabase, Progress, Run, Wait
from nightshift_jobs.soft_delete_cleanup.pace import next_batch
from nightshift_jobs.soft_delete_cleanup.state import COUNTED, EVENT_TABLES, State, Walk

# Stored as the requester of the runs that this job cancels.
JOB_TYPE = "soft_delete_cleanup"

GRACE_DAYS = 7

# The tables with soft-deleted rows, parents first.
RESOURCES = (
    "teams", "projects", "apps", "api_keys", "metric_definitions", "funnel_definitions", "project_integrations",
)  # fmt: skip

# The tables whose rows decide which resources are due.
DECIDING = ("teams", "projects", "apps")

# Failures in a row after which a resource is kept, and the number of such resources that a run tolerates.
PATIENCE, MOST_STUCK = 3, 10
# How often a resource is emptied again because new rows arrived.
ROUNDS = 5
# Waits for a live run to end: at its worker's next yield or, if the worker is dead, by lease and sweep. Ten minutes.
WAITS, WAIT_S = 40, 15
# Ids per read.
PAGE = 100

Steps = Generator[Progress | Wait, None, None]


class Branch(NamedTuple):
    """Rows of ``relation`` whose ``column`` refers to the parent, walked in the order of an index on ``walk_by``."""

    relation: str
    column: str
    walk_by: str


UNDER = {
    "apps": (*(Branch(table, "app_id", "timestamp") for table in EVENT_TABLES), Branch("api_keys", "app_id", "id")),
    "projects": (
        Branch("metric_definitions", "project_id", "id"),
        Branch("funnel_definitions", "project_id", "id"),
        Branch("project_integrations", "project_id", "id"),
        Branch("app_users", "project_id", "id"),
        Branch("job_team_schedules", "project_id", "id"),
        Branch("job_project_pauses", "project_id", "job_type"),
        Branch("job_days", "project_id", "day"),
        Branch("job_runs", "project_id", "created_at"),
    ),
    "teams": (
        Branch("api_keys", "team_id", "id"),
        Branch("job_runs", "team_id", "created_at"),
        Branch("team_members", "team_id", "user_id"),
    ),
}


class Astray(Exception):
    """A resource that must no longer be deleted: restored, protected by its parent, or moved to another parent"""

    def __init__(self, resource_id: str):
        super().__init__(resource_id)
        self.id = resource_id


class InTheWay(Exception):
    """The reason why a resource has to be kept, as a clause"""


def soft_delete_cleanup(
    run: Run, db: JobDatabase, *, clock: Callable[[], float] = time.monotonic
) -> Generator[Progress | Wait, None, dict[str, Any]]:
    """Delete resource by resource, children first. Raises JobError if something is due but nothing could be deleted.

    Every step is a transaction that locks the resource and checks that it is due. It also locks the current child
    resources and checks that they still belong to it.
    """
    state = State.of(deepcopy(run.cursor)) if run.cursor else _begin(db)
    cleanup = _Cleanup(run, db, state, clock)
    if state.root:
        yield from cleanup.root()
    while state.kind < len(RESOURCES):
        resource = RESOURCES[state.kind]
        due = []
        if resource not in state.closed:
            due = db.read(
                "cleanup_due",
                resource=resource,
                cutoff=state.cutoff,
                spared=state.spared,
                after=state.after,
                page=PAGE,
            )
        for row in due:
            state.begin(resource, row["id"])
            yield from cleanup.root()
        if len(due) < PAGE:
            state.kind, state.after = state.kind + 1, None
    if (state.kept_in_all or state.closed) and not any(state.counts.values()):
        raise JobError(state.complaint())
    return state.result()


def _begin(db: JobDatabase) -> State:
    """Return the initial state. Raises JobError if this role cannot see all rows that decide what is due."""
    start = db.read(
        "cleanup_start", days=GRACE_DAYS, tables=list(COUNTED), locked=list(RESOURCES), deciding=list(DECIDING)
    )[0]
    if start["unseen"]:
        raise JobError(
            f"nightshift_maintenance cannot see all rows of {', '.join(start['unseen'])}, so nothing was deleted. "
            "GRANT SELECT on it; if it has row-level security, ALTER ROLE nightshift_maintenance BYPASSRLS"
        )
    return State(cutoff=start["cutoff"], total=start["estimate"], barred=start["barred"], filtered=start["filtered"])


class _Cleanup:
    def __init__(self, run: Run, db: JobDatabase, state: State, clock: Callable[[], float]):
        self.run, self.db, self.state, self.clock = run, db, state, clock
        self.is_stuck = run.failures >= PATIENCE
        """The next resource failed repeatedly, and no step could say why."""
        self.path: list[tuple[str, str]] = []
        """Table and id of each resource from the root to the current one."""

    def root(self) -> Steps:
        assert self.state.root
        resource, resource_id = self.state.root
        try:
            self._refuse_if_stuck(resource, resource_id)
            yield from self._remove(resource, resource_id)
        except Astray:
            logger.warning(
                f"Stopped deleting: {resource} {resource_id} is no longer due",
                action="cleanup_stopped",
                deleted=self.state.gone,
            )
            self.state.spare()
        except InTheWay:
            pass  # Already recorded where it occurred, and for all resources above.
        if self.state.root:
            self.state.finish()
            yield self.state.progress()

    def _remove(self, resource: str, resource_id: str) -> Steps:
        """Delete the resource and everything under it. Raises InTheWay if it is kept, Astray if it is no longer due."""
        self.path.append((resource, resource_id))
        try:
            yield from self._empty_and_delete(resource, resource_id)
        except InTheWay as exc:
            logger.warning(f"Kept {resource} {resource_id}: {exc}", action="cleanup_kept")
            self.state.keep(resource, resource_id, str(exc))
            raise InTheWay(f"one of its {resource} was kept") from exc
        finally:
            self.path.pop()

    def _empty_and_delete(self, resource: str, resource_id: str) -> Steps:
        self._refuse_if_barred(resource)
        in_the_way = None
        for _ in range(ROUNDS):
            yield from self._empty(resource, resource_id)
            self._hold()
            in_the_way = self.db.write("cleanup_resource", resource=resource, id=resource_id)[0]["in_the_way"]
            if in_the_way is None:
                self.state.count(resource, 1)
                if (resource, resource_id) == self.state.root:
                    self.state.finish()
            yield self.state.progress()
            if in_the_way is None:
                return
        raise InTheWay(in_the_way)

    def _empty(self, resource: str, resource_id: str) -> Steps:
        """Delete everything under the resource, but not the resource itself."""
        if resource in ("teams", "projects"):
            yield from self._end_live_runs(resource, resource_id)
            below = "projects" if resource == "teams" else "apps"
            for child_id in self._children(resource, resource_id):
                try:
                    yield from self._remove(below, child_id)
                except Astray as exc:
                    if exc.id != child_id:
                        raise
                    logger.warning(f"Left {below} {child_id}: it was moved to another parent", action="cleanup_moved")
                    self.state.leave(below, child_id)
        for branch in UNDER.get(resource, ()):
            self._refuse_if_barred(branch.relation)
            yield from self._clear(branch, resource_id)

    def _children(self, resource: str, resource_id: str) -> Iterator[str]:
        after = None
        while True:
            if resource == "teams":
                page = self.db.read("cleanup_projects_of_team", parent=resource_id, after=after, page=PAGE)
            else:
                page = self.db.read("cleanup_apps_of_project", parent=resource_id, after=after, page=PAGE)
            for row in page:
                yield row["id"]
            if len(page) < PAGE:
                return
            after = page[-1]["id"]

    def _end_live_runs(self, resource: str, resource_id: str) -> Steps:
        of = {"team_id": None, "project_id": None, resource.removesuffix("s") + "_id": resource_id}
        while live := self.db.read("cleanup_live_runs", page=PAGE, **of):
            self._hold()
            leased = None
            for row in live:
                cancelled = self.db.write("cancel_run", run_id=row["id"], requested_by=JOB_TYPE)
                if cancelled and cancelled[0]["status"] != "cancelled":
                    leased = row["id"]
            if leased is None:
                yield self.state.progress()
            elif self.state.waits < WAITS:
                self.state.waits += 1
                progress = self.state.progress()
                why = f"run {leased} of a deleted project to end"
                yield Wait(seconds=WAIT_S, why=why, cursor=progress.cursor, progress=progress)
            else:
                yield self.state.progress()
                raise InTheWay(f"its run {leased} does not end")

    def _clear(self, branch: Branch, parent: str) -> Steps:
        """Delete the rows of one table. Rows that arrive during the walk are handled by another walk."""
        for _ in range(ROUNDS):
            walk = self._walk(branch, parent)
            if walk is None:
                return
            while self.state.walk is walk:
                yield from self._step(branch, walk)
        if self._walk(branch, parent):
            raise InTheWay(f"rows keep coming into {branch.relation}")

    def _walk(self, branch: Branch, parent: str) -> Walk | None:
        """Return the current walk or a new one, or None if there are no rows. Takes no locks."""
        walk = self.state.walk
        if walk and (walk.relation, walk.parent) == (branch.relation, parent):
            return walk
        of = {"relation": branch.relation, "parent_column": branch.column, "parent": parent}
        extent = self.db.read("cleanup_extent", **of, walk_column=branch.walk_by)
        if not extent:
            return None  # Does not end the current walk: each slice visits the earlier tables again.
        self.state.walk = Walk(branch.relation, parent, extent[0]["first"], extent[0]["last"])
        return self.state.walk

    def _step(self, branch: Branch, walk: Walk) -> Generator[Progress, None, None]:
        began_s, batch = self.clock(), self.state.batch(branch.relation)
        self._hold()
        step = self._delete(branch, walk, batch)
        if step["in_the_way"]:
            raise InTheWay(step["in_the_way"])
        deleted, reached = step["deleted"], step["reached"]
        if deleted:
            self.state.count(branch.relation, deleted)
            if branch.relation in EVENT_TABLES:
                self._audit(branch.relation, walk.parent, deleted)
        if not deleted or (reached == walk.last and deleted < batch):
            self.state.walk = None
        else:
            walk.first = reached
        yield self.state.progress()
        # Measured after the commit, which is the part that a slow disk delays.
        took_s = self.clock() - began_s
        self.state.batches[branch.relation] = next_batch(batch, deleted=deleted, took_s=took_s)

    def _delete(self, branch: Branch, walk: Walk, batch: int) -> dict[str, Any]:
        bounds = {"first": walk.first, "last": walk.last, "batch": batch}
        if branch.relation == "job_runs":
            of = {"team_id": None, "project_id": None, branch.column: walk.parent}
            return self.db.write("cleanup_runs", **of, **bounds)[0]
        of = {"relation": branch.relation, "parent_column": branch.column, "parent": walk.parent}
        return self.db.write("cleanup_batch", **of, walk_column=branch.walk_by, **bounds)[0]

    def _audit(self, event_table: str, app_id: str, deleted: int) -> None:
        assert self.state.root
        self.db.write(
            "record_event_deletion",
            run_id=self.run.id,
            app_id=app_id,
            event_table=event_table,
            reason=f"{self.state.root[0].removesuffix('s')} soft-deleted",
            cutoff=self.state.cutoff,
            deleted=deleted,
        )

    def _refuse_if_stuck(self, resource: str, resource_id: str) -> None:
        """Raise InTheWay if the resource is stuck, or JobError if too many are: then they are not the cause."""
        if not self.is_stuck:
            return
        self.is_stuck = False
        self.state.stuck += 1
        if self.state.stuck > MOST_STUCK:
            raise JobError(f"{self.state.stuck} resources failed {PATIENCE} times in a row each: the timeline says why")
        because = f"it failed {PATIENCE} times in a row; the run's timeline says why"
        self.state.keep(resource, resource_id, because)
        raise InTheWay(because)

    def _refuse_if_barred(self, relation: str) -> None:
        if relation in self.state.barred:
            raise InTheWay(f"a right to {relation} is missing")
        if relation in self.state.filtered:
            raise InTheWay(f"row-level security may hide rows of {relation}")

    def _hold(self) -> None:
        """Lock the path, so that it cannot be restored or moved before the step is committed. Raises Astray."""
        (resource, resource_id), *below = self.path
        children = dict(below)
        astray = self.db.write(
            "cleanup_hold",
            resource=resource,
            id=resource_id,
            cutoff=self.state.cutoff,
            project=children.get("projects"),
            app=children.get("apps"),
        )[0]["astray"]
        if astray:
            raise Astray(astray)

"""Retention Cleanup: deletes events that are older than their project keeps them, app by app, in short steps."""

import time
from collections.abc import Callable, Generator
from copy import deepcopy
from datetime import timedelta
from typing import Any

from nightshift.base.errors import JobError
from nightshift.base.logger import logger
from nightshift.jobs import JobDatabase, Progress, Run
from nightshift.tenants.projects import RETENTION_DAYS, days_of
from nightshift_jobs.retention_cleanup.retained import KIND_OF, Retained, cutoff_of
from nightshift_jobs.soft_delete_cleanup.pace import next_batch

# The tables whose rows decide which events are expired. Of the first two a step locks a row.
DECIDING = ("projects", "apps", "teams")
LOCKED = DECIDING[:2]

# Failures in a row after which a table of an app is left, and the number of such tables that a run tolerates.
PATIENCE, MOST_STUCK = 3, 10
# Walks through a table's expired events: more of them may arrive meanwhile.
WALKS = 3


def retention_cleanup(
    run: Run, db: JobDatabase, *, clock: Callable[[], float] = time.monotonic
) -> Generator[Progress, None, dict[str, Any]]:
    """Delete, or in a dry run count, the expired events of all live apps. An app is looked up anew for each slice.

    The statement of a step deletes only if its project's retention is still the one that its cut-off was computed from.
    Raises JobError if no table can be worked on, or if too many fail.
    """
    state = Retained.of(deepcopy(run.cursor)) if run.cursor else _begin(db, is_dry=run.params["dry_run"])
    cleanup = _Cleanup(run, db, state, clock)
    while app := cleanup.next_app():
        if (yield from cleanup.go_through(app)):
            state.finish_app()
        yield state.progress()
    return state.result()


def _begin(db: JobDatabase, *, is_dry: bool) -> Retained:
    """Return the initial state. Raises JobError if the job cannot see what is expired, or cannot work on any table."""
    found = db.read("retention_tables", tables=[*DECIDING, *KIND_OF], events=list(KIND_OF), locked=list(LOCKED))
    if unseen := [each for each in found if each["name"] in DECIDING and each["trouble"]]:
        raise JobError(f"Nothing was deleted. {_troubles(unseen)}")
    tables = [each for each in found if each["name"] in KIND_OF]
    barred = [each for each in tables if each["trouble"]]
    usable = [each["name"] for each in tables if not each["is_missing"] and not each["trouble"]]
    if barred and not usable:
        raise JobError(f"Nothing was deleted. {_troubles(barred)}")
    return Retained(
        **db.read("retention_start")[0],
        tables=usable,
        missing=[each["name"] for each in tables if each["is_missing"]],
        barred=[{"table": each["name"], "because": each["trouble"]} for each in barred],
        is_dry=is_dry,
    )


def _troubles(tables: list[dict[str, Any]]) -> str:
    return "; ".join(f"{each['name']}: {each['trouble']}" for each in tables)


class _Cleanup:
    def __init__(self, run: Run, db: JobDatabase, state: Retained, clock: Callable[[], float]):
        self.run, self.db, self.state, self.clock = run, db, state, clock
        self.is_stuck = run.failures >= PATIENCE
        """The next table failed repeatedly, and no step could say why."""

    def next_app(self) -> dict[str, Any] | None:
        """Return the app after the last one that is done, or None, and make it the current one."""
        project_id, app_id = self.state.after or (None, None)
        found = self.db.read("next_retained_app", project_id=project_id, app_id=app_id)
        if not found:
            return None
        app = found[0]
        if self.state.enter(app["project_id"], app["id"]):
            self._note_no_valid_numbers(app)
        return app

    def go_through(self, app: dict[str, Any]) -> Generator[Progress, None, bool]:
        """Go through the app's tables. Return False if the app has to be looked up again."""
        while self.state.table < len(self.state.tables):
            table = self.state.tables[self.state.table]
            if self.is_stuck:
                self._leave_stuck(table)
            elif not (yield from self._clear(app, table)):
                return False
            self.state.next_table()
        return True

    def _clear(self, app: dict[str, Any], table: str) -> Generator[Progress, None, bool]:
        """Walk through the expired events of one table. Return False if the app or its retention changed."""
        cutoff = cutoff_of(self.state.now, _days(app, table)[0])
        last = (cutoff - timedelta(microseconds=1)).isoformat()
        while self.state.first or self._begin_walk(app, table, last):
            began_s, batch = self.clock(), self.state.batch(table)
            step = self._take(app, table, last, batch)
            if step is None:
                return False
            if step["in_the_way"]:
                logger.warning(f"Left {table} of app {app['id']}: {step['in_the_way']}", action="retention_left")
                self.state.leave(table, step["in_the_way"])
                return True
            events = step["events"]
            self.state.first, self.state.passed = step["reached"] if events else None, step["passed"]
            if events:
                self.state.count(table, events)
                if not self.state.is_dry:
                    self._audit(app, table, cutoff.isoformat(), events)
            yield self.state.progress()
            # Measured after the commit, which is the part that a slow disk delays.
            took_s = self.clock() - began_s
            self.state.batches[table] = next_batch(batch, deleted=events, took_s=took_s)
        return True

    def _begin_walk(self, app: dict[str, Any], table: str, last: str) -> bool:
        """Begin a walk at the oldest event, if that is expired. A walk may leave events that arrived behind it."""
        if self.state.is_dry and self.state.walks:
            return False
        oldest = self.db.read("oldest_expired_event", relation=table, app_id=app["id"], last=last)
        if oldest and self.state.walks == WALKS:
            self.state.leave(table, f"after {WALKS} walks there are still expired events")
        elif oldest:
            self.state.walks, self.state.first = self.state.walks + 1, oldest[0]["first"]
            return True
        return False

    def _take(self, app: dict[str, Any], table: str, last: str, batch: int) -> dict[str, Any] | None:
        """Delete or count the next events. Return None if the app or its retention changed."""
        walk = {"relation": table, "app_id": app["id"], "first": self.state.first, "last": last, "batch": batch}
        if self.state.is_dry:
            step = self.db.read("count_expired_events", **walk, passed=self.state.passed)[0]
            return {"events": step["counted"], "reached": step["reached"], "passed": step["tied"], "in_the_way": None}
        _, column = _days(app, table)
        of = {"project_id": app["project_id"], "column": column, "retention": app[column]}
        found = self.db.write("delete_expired_events", **walk, **of)
        if not found:
            return None
        step = found[0]
        return {"events": step["deleted"], "passed": 0} | {name: step[name] for name in ("reached", "in_the_way")}

    def _audit(self, app: dict[str, Any], table: str, cutoff: str, deleted: int) -> None:
        of = {"run_id": self.run.id, "app_id": app["id"], "event_table": table}
        self.db.write("record_event_deletion", **of, reason="retention", cutoff=cutoff, deleted=deleted)

    def _note_no_valid_numbers(self, app: dict[str, Any]) -> None:
        for table in self.state.tables:
            days, column = _days(app, table)
            if app[column] is not None and days_of(app[column]) is None:
                self.state.note_no_valid_number(column, app[column], used_days=days)

    def _leave_stuck(self, table: str) -> None:
        """Leave the table, or raise JobError if too many are stuck: then they are not the cause."""
        self.is_stuck = False
        self.state.stuck += 1
        if self.state.stuck > MOST_STUCK:
            raise JobError(f"{self.state.stuck} tables failed {PATIENCE} times in a row each: the timeline says why")
        self.state.leave(table, f"it failed {PATIENCE} times in a row; the run's timeline says why")


def _days(app: dict[str, Any], table: str) -> tuple[int, str]:
    """Return the days for which the app's project keeps the table, and the column that may say so."""
    column = f"retention_days_{KIND_OF[table]}"
    return days_of(app[column]) or RETENTION_DAYS[KIND_OF[table]], column

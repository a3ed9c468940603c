"""Partition Creation: this month's partition of each event table and those of the months ahead, one a step."""

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from nightshift.errors import JobError
from nightshift.job import JobDatabase, Progress, Run, Steps, Wait
from nightshift.partitions import EVENT_TABLES, months
from nightshift.settings import settings

# More would not fit into a run's result.
MOST_MONTHS_AHEAD = 36
# Tries in a row at one partition, after 2, 4, 8 … seconds: about four minutes.
TRIES = 8


def partition_creation(run: Run, db: JobDatabase) -> Steps:
    """The function create_month_partition in sql/jobs decides about each; the database's clock says what month it is.

    Raises JobError, after all the others were made, where a month has no partition and cannot get one.
    """
    plan = Plan(**deepcopy(run.cursor)) if run.cursor else _plan(db)
    todo = plan.todo()
    while plan.done < len(todo):
        table, month = todo[plan.done]
        found = db.write("create_month_partition", parent=table, month=month)[0]
        if found["outcome"] == "busy":
            yield plan.wait(table)
        else:
            plan.take(table, month, found)
            yield plan.progress()
    if plan.refused:
        raise JobError(f"{'; '.join(plan.refused)}. Until this is put right, events of that month have no partition.")
    return plan.result()


def _plan(db: JobDatabase) -> "Plan":
    ahead = settings().partition_months_ahead
    if not 0 <= ahead <= MOST_MONTHS_AHEAD:
        raise JobError(f"PARTITION_MONTHS_AHEAD must be from 0 to {MOST_MONTHS_AHEAD}, got {ahead}")
    return Plan(first=db.read("current_month")[0]["month"].isoformat(), ahead=ahead)


@dataclass
class Plan:
    """How far the job is: its fields are the run's cursor. A run that goes on after midnight keeps its months."""

    first: str
    ahead: int
    done: int = 0
    tries: int = 0
    existing: int = 0
    created: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def todo(self) -> list[tuple[str, date]]:
        """Table and month, the most urgent month first."""
        first = date.fromisoformat(self.first)
        return [(table, month) for month in months(first, ahead=self.ahead) for table in EVENT_TABLES]

    def take(self, table: str, month: date, found: dict[str, Any]) -> None:
        self.done, self.tries = self.done + 1, 0
        match found["outcome"]:
            case "created":
                self.created.append(f"{table}_{month:%Y_%m}")
            case "existing":
                self.existing += 1
            case "covered":
                self.left_alone.append(found["detail"])
            case "missing":
                if table not in self.missing:
                    self.missing.append(table)
            case _:
                self.refused.append(found["detail"])

    def wait(self, table: str) -> Wait:
        """Raises JobError when it was one try too many."""
        self.tries += 1
        if self.tries >= TRIES:
            raise JobError(
                f"{table} was locked by another session at each of {TRIES} tries: end its schema change, then run again"
            )
        return Wait(seconds=2**self.tries, why=f"another session's lock on {table}", cursor=asdict(self))

    def progress(self) -> Progress:
        message = f"{len(self.created)} partitions created, {self.existing} were there"
        return Progress(processed=self.done, total=len(self.todo()), message=message, cursor=asdict(self))

    def result(self) -> dict[str, Any]:
        return {
            "created": self.created,
            "existing": self.existing,
            "left_alone": self.left_alone,
            "missing_tables": self.missing,
        }

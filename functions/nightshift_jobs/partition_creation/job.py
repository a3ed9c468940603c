"""Partition Creation: partitions of the event tables for every gap in this month and the months ahead."""

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from nightshift.base.errors import JobError
from nightshift.base.settings import settings
from nightshift.database.partitions import EVENT_TABLES, Gap, describe, find_gaps, merge, months
from nightshift.jobs import JobDatabase, Progress, Run, Steps, Wait

# Version 1 counted months; version 2 counts gaps.
CURSOR_VERSION = 2
# More would not fit into a run's result.
MOST_MONTHS_AHEAD = 36
# Attempts in a row at one partition, after 2, 4, 8 … seconds: about four minutes.
TRIES = 8
# The number of names in a result and of reasons in an error: both have to fit.
SHOWN_CREATED, SHOWN_REFUSED = 120, 5
# Refusals of one table after which its other gaps are not tried: the cursor has to fit, too.
MOST_REFUSED = 40


def partition_creation(run: Run, db: JobDatabase) -> Steps:
    """Create partitions for all gaps. Each step queries the gaps again, so a completed run has found none left.

    Raises JobError if a gap cannot be closed, after all others were closed.
    """
    plan = Plan(**deepcopy(run.cursor)) if run.cursor else _plan(db)
    while gap := plan.next(db):
        found = db.write("create_event_partition", parent=gap["event_table"], since=gap["since"], until=gap["until"])[0]
        if found["outcome"] == "busy":
            yield plan.busy(gap, found["detail"])
        else:
            plan.take(gap, found)
            yield plan.progress()
    if plan.refused:
        raise JobError(f"{plan.complaint()}. Until this is fixed, events of that time have no partition.")
    return plan.result()


def _plan(db: JobDatabase) -> "Plan":
    """Return the initial plan. Raises JobError for an invalid setting, or if no event table is partitioned."""
    ahead = settings().partition_months_ahead
    if not 0 <= ahead <= MOST_MONTHS_AHEAD:
        raise JobError(f"PARTITION_MONTHS_AHEAD must be from 0 to {MOST_MONTHS_AHEAD}, got {ahead}")
    month = db.read("current_month")[0]["month"]
    plan = Plan(first=month.isoformat(), last=months(month, ahead=ahead)[-1].isoformat())
    tables = db.read("event_tables", names=list(EVENT_TABLES))
    for table in tables:
        if table["hidden_in"]:
            plan.refuse(
                {"event_table": table["table_name"]},
                f"{table['table_name']} is in the schema {table['hidden_in']}, which is not in the search path of "
                "nightshift_maintenance, or not open to it (GRANT USAGE ON SCHEMA)",
            )
        elif not table["is_partitioned"]:
            plan.missing.append(table["table_name"])
    if len(plan.missing) == len(EVENT_TABLES):
        raise JobError(
            f"No partitioned table is called {', '.join(EVENT_TABLES[:-1])} or {EVENT_TABLES[-1]}. If the "
            "platform keeps no events, deploy with Schedules=partition_creation=never."
        )
    plan.total = len(plan.gaps(db))
    return plan


@dataclass
class Plan:
    """The progress of the job. Its fields are the run's cursor. A run that continues after midnight keeps its months.

    ``created`` are the names of the first of the ``made`` partitions. ``refused`` are gaps that remain, each with the
    reason ``why``; an entry without a time stands for its whole table.
    """

    first: str
    last: str
    total: int = 0
    tries: int = 0
    made: int = 0
    created: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    def gaps(self, db: JobDatabase) -> list[Gap]:
        return find_gaps(db.read, first=date.fromisoformat(self.first), last=date.fromisoformat(self.last))

    def next(self, db: JobDatabase) -> Gap | None:
        """Return the most urgent gap that was not refused."""
        return next((gap for gap in self.gaps(db) if not self._is_refused(gap)), None)

    def take(self, gap: Gap, found: dict[str, Any]) -> None:
        self.tries = 0
        match found["outcome"]:
            case "created":
                self.made += 1
                self.created = [*self.created, found["detail"]][:SHOWN_CREATED]
            case "existing":
                pass  # Another session created it; the next query shows the remaining gaps.
            case _:
                table = gap["event_table"]
                self.refuse(gap, found["detail"] or f"{table} no longer exists")
                if sum(each["event_table"] == table for each in self.refused) >= MOST_REFUSED:
                    self.refuse({"event_table": table}, f"{table} has more gaps, which were not tried")

    def refuse(self, gap: Gap, why: str) -> None:
        times: dict[str, str] = {edge: gap[edge].isoformat() for edge in ("since", "until") if edge in gap}
        self.refused.append({"event_table": gap["event_table"], "why": why, **times})

    def busy(self, gap: Gap, why: str) -> Progress | Wait:
        """Return a Wait or, after too many in a row, refuse the table so that the others can continue."""
        table = gap["event_table"]
        self.tries += 1
        if self.tries < TRIES:
            return Wait(seconds=2**self.tries, why=f"another session's lock on {table}", cursor=asdict(self))
        self.tries = 0
        self.refuse(
            {"event_table": table},
            f"{table} was locked by another session at each of {TRIES} tries ({why}): end its schema change, then run "
            "the job again",
        )
        return self.progress()

    def progress(self) -> Progress:
        done = self.made + len(self.refused)
        message = f"{self.made} partitions created"
        return Progress(processed=done, total=max(self.total, done), message=message, cursor=asdict(self))

    def complaint(self) -> str:
        """Return each reason once, with all time ranges that it leaves uncovered."""
        reasons: dict[tuple[str, str], list[Gap]] = {}
        for each in self.refused:
            edges: Gap = {edge: datetime.fromisoformat(each[edge]) for edge in ("since", "until") if edge in each}
            reasons.setdefault((each["event_table"], each["why"]), []).extend([edges] if edges else [])
        said = [
            f"{table} has no partition {' and '.join(map(describe, merge(gaps)))}: {why}" if gaps else why
            for (table, why), gaps in reasons.items()
        ]
        if len(said) > SHOWN_REFUSED:
            said[SHOWN_REFUSED:] = [f"and {len(said) - SHOWN_REFUSED} more"]
        return "; ".join(said)

    def result(self) -> dict[str, Any]:
        """Return the run's result. ``covered_until`` is the end of the last planned month."""
        return {
            "created": self.created,
            "created_in_all": self.made,
            "covered_until": months(date.fromisoformat(self.last), ahead=1)[1].isoformat(),
            "missing_tables": self.missing,
        }

    def _is_refused(self, gap: Gap) -> bool:
        return any(
            each["event_table"] == gap["event_table"] and each.get("since") in (None, gap["since"].isoformat())
            for each in self.refused
        )

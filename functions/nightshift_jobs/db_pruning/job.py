"""Database Pruning: drops the oldest partitions of events while the database exceeds its limit. Never deletes rows.

Each partition is dropped in steps, and a run that dies between two steps resumes there:

1. The partition's oid and name are recorded and committed.
2. The partition is detached concurrently, which blocks no reader or writer. If open transactions delay this, it stays
   in the detaching state and is finished later.
3. The partition is dropped, in one transaction with the progress. It is attached again instead if space was freed by
   then, or if another object depends on it.

The next run finishes a partition that the last run recorded but did not finish. A partition that cannot be dropped is
skipped and named in the result, and the next one follows.
"""

import math
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from pg8000.exceptions import DatabaseError

from nightshift.base.errors import DatabaseBusy, JobError, sentence
from nightshift.base.settings import settings
from nightshift.jobs import JobDatabase, Progress, Run, Steps, Wait

# The unit of Postgres and RDS.
GB = 1024**3
# A petabyte: more than RDS supports.
LARGEST_LIMIT_GB = 1_000_000
# The result has to name all dropped partitions, and the obstacles, in 16 KiB.
MAX_DROPPED, MAX_BLOCKED = 80, 6
# Attempts in a row at one partition, after 2, 4, 8 … 300 seconds: about 45 minutes.
TRIES, LONGEST_WAIT_S = 16, 300
# FINALIZE waits for every snapshot older than its own, so with a short lock timeout it would never succeed while long
# queries overlap. Its timeout therefore doubles. By the time it exceeds deadlock_timeout (1 s), the detach is a minute
# old and plans that include the partition are gone; only queries that name the partition itself wait behind FINALIZE.
PATIENCE_MS, LONGEST_PATIENCE_MS = 50, 10_000

Result = dict[str, Any]


def db_pruning(run: Run, db: JobDatabase) -> Steps:
    """Drop partitions until the database is within its limit.

    Raises JobError if the database is over its limit and nothing could be dropped, or if a detach could not be finished
    for too long: the next run continues with it.
    """
    limit_bytes = _limit_bytes(settings().max_database_size_gb)
    pruning = Pruning(**deepcopy(run.cursor)) if run.cursor else _unfinished(run, db)
    while True:
        state, statement = pruning.look(db)
        step: Progress | Wait | Result | None
        match state:
            case "detaching":
                step = pruning.finish_detaching(db, statement)
            case "detached" if pruning.is_needed or _over(db, limit_bytes) <= 0:
                step = pruning.put_back(db, statement)
            case "detached":
                step = pruning.drop(db)
            case "stale":
                step = pruning.leave()
            case "changed":
                step = pruning.forget("no longer matches what was recorded and is left alone")
            case "attached" if pruning.is_needed:
                step = pruning.forget("is back in its table")
            case _:
                step = pruning.choose(db, limit_bytes) or pruning.detach(db, statement)
        if isinstance(step, dict):
            return step
        if step:
            yield step


def _limit_bytes(gb: float) -> int:
    if not 0 <= gb <= LARGEST_LIMIT_GB:
        raise JobError(f"MAX_DATABASE_SIZE_GB must be from 0 (no limit) to {LARGEST_LIMIT_GB}, got {gb}")
    return math.ceil(gb * GB)


def _unfinished(run: Run, db: JobDatabase) -> "Pruning":
    """Return the partition that the last run left unfinished. If its detach had not begun, this run decides anew."""
    found = db.read("unfinished_detach", run_id=run.id)
    pruning = Pruning(current=found[0]["current"] if found else None)
    return Pruning() if pruning.look(db)[0] == "attached" else pruning


def _over(db: JobDatabase, limit_bytes: int) -> int:
    """Return the bytes over the limit right now: other sessions add and delete data."""
    if not limit_bytes:
        return 0
    size_bytes: int = db.read("database_size")[0]["bytes"]
    return size_bytes - limit_bytes


def _still_over(over: int, limit_bytes: int, free: list[dict[str, Any]], blocked: list[str]) -> str:
    what = f"The database is {over:,} bytes over its limit of {limit_bytes:,}"
    history = sum(partition["bytes"] for partition in free)
    why = (
        f"dropping all {len(free)} past partitions of events would free only {history:,}"
        if free
        else "no past partition of events may be dropped"
    )
    return f"{what}: {why}. Free space elsewhere or raise MAX_DATABASE_SIZE_GB. {' '.join(_first(blocked))}".strip()


def _first(sentences: list[str]) -> list[str]:
    """Return as many distinct sentences as fit."""
    once = list(dict.fromkeys(sentences))
    if len(once) > MAX_BLOCKED:
        once[MAX_BLOCKED:] = [f"And {len(once) - MAX_BLOCKED} more."]
    return once


@dataclass
class Pruning:
    """The progress of the pruning. Its fields are the run's cursor.

    ``current`` is the current partition: ``event_table``, ``parent`` and ``partition`` (oids), ``name``, ``since``,
    ``until``, ``bytes``, ``about_rows``, and ``marked_at``, the time when it was recorded. ``is_needed`` means that it
    could not be dropped and has to be attached again. ``spared`` are the oids of partitions and tables that this run
    does not try again; ``passed_over`` are the reasons why partitions older than the dropped ones still exist.
    ``warnings`` end the run. ``to_free`` is the run's total in bytes; ``tries`` counts waits in a row at one step.
    """

    current: dict[str, Any] | None = None
    is_needed: bool = False
    dropped: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    spared: list[int] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    to_free: int = 0
    tries: int = 0

    def look(self, db: JobDatabase) -> tuple[str | None, str]:
        """Return the current partition's state (None if there is no such partition) and its next statement."""
        if self.current is None:
            return None, ""
        identity = self._current("partition", "parent", "name", "since", "until", "marked_at")
        found = db.read("partition_state", **identity)[0]
        return found["state"], found["statement"]

    def choose(self, db: JobDatabase, limit_bytes: int) -> Progress | Result | None:
        """Return the step that records the next partition, the result if none has to go, or None if it is recorded.

        Raises JobError if the database is over its limit and the run could not drop anything.
        """
        if len(self.dropped) >= MAX_DROPPED:
            return self.result(note=f"A run drops at most {MAX_DROPPED} partitions; the next run continues")
        over = _over(db, limit_bytes)
        if over <= 0 and not self.warnings:
            return self.result(**({} if limit_bytes else {"note": "MAX_DATABASE_SIZE_GB is 0: there is no limit"}))
        past = db.read("prunable_partitions")
        free = [row for row in past if not row["blocked"] and not {row["partition"], row["parent"]} & {*self.spared}]
        blocked = [partition["blocked"] for partition in past if partition["blocked"]]
        # If dropping all history would not be enough, drop nothing: something else exceeds the limit.
        if not self.warnings and sum(partition["bytes"] for partition in free) < over:
            self.warnings.append(_still_over(over, limit_bytes, free, [*blocked, *self.passed_over]))
        if self.warnings:
            warning = " ".join(self.warnings)
            if over > 0 and not self.dropped:
                raise JobError(warning)
            return self.result(warning=warning)
        older = past[: past.index(free[0])]
        self.passed_over += [row["blocked"] for row in older if row["blocked"] and row["partition"] not in self.spared]
        self.passed_over = list(dict.fromkeys(self.passed_over))
        self.to_free = max(self.to_free, self._freed() + over)
        if self.current and self.current["partition"] == free[0]["partition"]:
            return None
        self.current = {name: value for name, value in free[0].items() if name != "blocked"}
        return self._progress(f"Detaching {free[0]['name']}")

    def detach(self, db: JobDatabase, statement: str) -> Progress | Wait | None:
        try:
            db.run_alone(statement, patience_ms=PATIENCE_MS)
        except DatabaseBusy:
            if self.look(db)[0] == "attached":
                if self.tries + 1 >= TRIES:
                    # The lock may be on the parent table, so its other partitions are left to the next run, too.
                    self.spared.extend(self._current("parent").values())
                    return self._spare(self._too_many_tries())
                # If a person detaches the partition during the wait, they want to keep it.
                return self._wait(forget=True)
        except DatabaseError as exc:
            if self.look(db)[0] == "attached":
                (name, table) = self._current("name", "event_table").values()
                return self._spare(f"{name} cannot be detached from {table}: {sentence(exc)}.")
        self.tries = 0
        return None

    def finish_detaching(self, db: JobDatabase, statement: str) -> Wait | None:
        try:
            db.run_alone(statement, patience_ms=min(PATIENCE_MS * 2**self.tries, LONGEST_PATIENCE_MS))
        except DatabaseBusy:
            return self._wait()
        return None

    def put_back(self, db: JobDatabase, statement: str) -> Progress | Wait:
        try:
            db.run_alone(statement, patience_ms=PATIENCE_MS)
        except DatabaseBusy:
            return self._wait()
        return self.forget("is back in its table" if self.is_needed else "is back: the database is within its limit")

    def drop(self, db: JobDatabase) -> Progress | Wait | None:
        found = db.write("drop_detached_partition", **self._current("partition", "name"))[0]
        match found["outcome"]:
            case "dropped":
                (name, size, rows) = self._current("name", "bytes", "about_rows").values()
                self.dropped.append({"partition": name, "bytes": size, "about_rows": rows})
                self.current, self.tries = None, 0
                return self._progress(f"Dropped {name}")
            case "busy":
                return self._wait()
            case "refused":
                (name, table) = self._current("name", "event_table").values()
                self._pass_over(f"{name} was put back into {table}: {found['detail']}.")
                self.is_needed = True
                return self._progress(f"{name} cannot be dropped")
            case _:
                return self.forget("no longer matches what was recorded and is left alone")

    def leave(self) -> Progress:
        (name, table) = self._current("name", "event_table").values()
        self.warnings.append(
            f"{name} was to be detached from {table} more than a day ago, and may have been kept on purpose since. "
            "Attach it again or drop it."
        )
        return self.forget("is left alone")

    def forget(self, why: str) -> Progress:
        """Record in a separate step that the partition is finished, so that no later run resumes it."""
        (name,) = self._current("name").values()
        self.current, self.is_needed, self.tries = None, False, 0
        return self._progress(f"{name} {why}")

    def result(self, **said: str) -> Result:
        passed_over = {"passed_over": _first(self.passed_over)} if self.passed_over else {}
        return {"dropped": self.dropped, "bytes_freed": self._freed(), **passed_over, **said}

    def _pass_over(self, why: str) -> None:
        """Keep the current partition. This run does not try it again."""
        self.spared.extend(self._current("partition").values())
        self.passed_over.append(why)

    def _spare(self, why: str) -> Progress:
        self._pass_over(why)
        return self.forget("cannot be detached from its table")

    def _current(self, *names: str) -> dict[str, Any]:
        assert self.current is not None
        return {name: self.current[name] for name in names}

    def _wait(self, *, forget: bool = False) -> Wait:
        """Return a Wait. Raises JobError after too many attempts."""
        (name, table) = self._current("name", "event_table").values()
        self.tries += 1
        if self.tries >= TRIES:
            raise JobError(f"{self._too_many_tries()} The next run continues with this partition.")
        if forget:
            self.current = None
        why = f"open transactions that use {name} of {table}"
        return Wait(seconds=min(2**self.tries, LONGEST_WAIT_S), why=why, cursor=asdict(self))

    def _too_many_tries(self) -> str:
        (name, table) = self._current("name", "event_table").values()
        return (
            f"{name} could not be detached from {table} in {TRIES} tries: a transaction that uses it stays open. "
            "End that transaction (pg_stat_activity, oldest xact_start)."
        )

    def _progress(self, message: str) -> Progress:
        processed = min(self._freed(), self.to_free)
        return Progress(processed=processed, total=self.to_free, message=message, cursor=asdict(self))

    def _freed(self) -> int:
        return sum(gone["bytes"] for gone in self.dropped)

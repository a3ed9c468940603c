"""Database Pruning: drops the oldest partitions of events while the database exceeds its limit. Never rows.

Each partition goes in steps, and a run that dies between two of them goes on where it was. The partition is recorded
(oid and name) and committed; detached concurrently, for which no reader or writer waits; where open transactions hold
that up, it is left detaching and finished later; then dropped, in one transaction with the progress, or put back where
room was made meanwhile or something needs it. What the last run recorded and did not finish, the next one finishes.
A partition that cannot go is passed over and named, and the next one has its turn.
"""

import math
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from pg8000.exceptions import DatabaseError

from nightshift.errors import DatabaseBusy, JobError, sentence
from nightshift.job import JobDatabase, Progress, Run, Steps, Wait
from nightshift.settings import settings

# As Postgres and RDS count them.
GB = 1024**3
# A petabyte: more than RDS has.
LARGEST_LIMIT_GB = 1_000_000
# A run's result has to name everything it dropped, and what is in the way, in 16 KiB.
MAX_DROPPED, MAX_BLOCKED = 80, 6
# Tries in a row at one partition, after 2, 4, 8 … 300 seconds: about three quarters of an hour.
TRIES, LONGEST_WAIT_S = 16, 300
# FINALIZE waits for every snapshot that is older than its own, so with little patience it would never end where long
# queries overlap: its patience doubles. By the time it exceeds deadlock_timeout (1 s), the detach is a minute old and
# whoever planned with the partition is gone; only who names the partition itself queues behind FINALIZE.
PATIENCE_MS, LONGEST_PATIENCE_MS = 50, 10_000

Result = dict[str, Any]


def db_pruning(run: Run, db: JobDatabase) -> Steps:
    """Raises JobError where the database is over its limit and nothing could be dropped; and when a detach could not be
    finished for too long: the next run goes on with it.
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
    """What the run before this one left. Where it had not begun to detach, this one decides anew."""
    found = db.read("unfinished_detach", run_id=run.id)
    pruning = Pruning(current=found[0]["current"] if found else None)
    return Pruning() if pruning.look(db)[0] == "attached" else pruning


def _over(db: JobDatabase, limit_bytes: int) -> int:
    """Bytes over the limit, as of now: others make room and fill it."""
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
    """As many as fit, each once."""
    once = list(dict.fromkeys(sentences))
    if len(once) > MAX_BLOCKED:
        once[MAX_BLOCKED:] = [f"And {len(once) - MAX_BLOCKED} more."]
    return once


@dataclass
class Pruning:
    """How far the pruning is: its fields are the run's cursor.

    ``current`` is the partition at work: ``event_table``, ``parent`` and ``partition`` (oids), ``name``, ``since``,
    ``until``, ``bytes``, ``about_rows``, and ``marked_at``, when it was recorded. ``is_needed`` says that it could not
    be dropped and has to be put back. ``spared`` are the oids of partitions, and of tables, that this run does not try
    again, and ``passed_over`` says why older partitions than those dropped are still there. ``warnings`` end the run.
    ``to_free`` is the run's total in bytes; ``tries`` counts waits in a row at one place.
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
        """The current partition's state (None: there is none) and the statement that detaches it or puts it back."""
        if self.current is None:
            return None, ""
        identity = self._current("partition", "parent", "name", "since", "until", "marked_at")
        found = db.read("partition_state", **identity)[0]
        return found["state"], found["statement"]

    def choose(self, db: JobDatabase, limit_bytes: int) -> Progress | Result | None:
        """The step that records the next partition, the result where none is to go, None where it is recorded.

        Raises JobError where the run could drop nothing and the database is over its limit.
        """
        if len(self.dropped) >= MAX_DROPPED:
            return self.result(note=f"A run drops at most {MAX_DROPPED} partitions; the next run continues")
        over = _over(db, limit_bytes)
        if over <= 0 and not self.warnings:
            return self.result(**({} if limit_bytes else {"note": "MAX_DATABASE_SIZE_GB is 0: there is no limit"}))
        past = db.read("prunable_partitions")
        free = [row for row in past if not row["blocked"] and not {row["partition"], row["parent"]} & {*self.spared}]
        blocked = [partition["blocked"] for partition in past if partition["blocked"]]
        # History is not thrown away for a limit that something else breaks: without it all, it would still be broken.
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
                    # The lock may be on the table: its other partitions have to wait for the next run as well.
                    self.spared.extend(self._current("parent").values())
                    return self._spare(self._too_many_tries())
                # A person who detaches it by hand meanwhile wants to keep it.
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
        """In a step of its own, so that no later run takes it for unfinished."""
        (name,) = self._current("name").values()
        self.current, self.is_needed, self.tries = None, False, 0
        return self._progress(f"{name} {why}")

    def result(self, **said: str) -> Result:
        passed_over = {"passed_over": _first(self.passed_over)} if self.passed_over else {}
        return {"dropped": self.dropped, "bytes_freed": self._freed(), **passed_over, **said}

    def _pass_over(self, why: str) -> None:
        """The current partition stays, and is not tried again by this run."""
        self.spared.extend(self._current("partition").values())
        self.passed_over.append(why)

    def _spare(self, why: str) -> Progress:
        self._pass_over(why)
        return self.forget("cannot be detached from its table")

    def _current(self, *names: str) -> dict[str, Any]:
        assert self.current is not None
        return {name: self.current[name] for name in names}

    def _wait(self, *, forget: bool = False) -> Wait:
        """Raises JobError when it was one try too many."""
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

"""Database Pruning: drops the oldest months of events while the database exceeds its limit. Never rows.

Each month goes in steps, and a run that dies between two of them goes on where it was. The partition is recorded (oid
and name) and committed; detached concurrently, which keeps nobody waiting; where open transactions hold that up, it is
left detaching and finished later; then dropped, in one transaction with the progress, or put back where room was made
meanwhile.
"""

from collections.abc import Generator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from nightshift.errors import DatabaseBusy, JobError
from nightshift.job import JobDatabase, Progress, Run, Wait
from nightshift.settings import settings

# As Postgres and RDS count them.
GB = 1024**3
# A run's result has to name everything it dropped, in 16 KiB.
MAX_DROPPED = 120
# Tries in a row at one partition, after 2, 4, 8 … 300 seconds: about three quarters of an hour.
TRIES, LONGEST_WAIT_S = 16, 300
# FINALIZE waits for every snapshot that is older than its own, so with little patience it would never end where long
# queries overlap: its patience doubles. By the time it exceeds deadlock_timeout (1 s), the detach is a minute old and
# whoever planned with the partition is gone; only who names the partition itself queues behind FINALIZE.
PATIENCE_MS, LONGEST_PATIENCE_MS = 50, 10_000


def db_pruning(run: Run, db: JobDatabase) -> Generator[Progress | Wait, None, dict[str, Any]]:
    """Raises JobError when a partition cannot be detached for too long; the next run goes on with it."""
    pruning = Pruning(**deepcopy(run.cursor)) if run.cursor else Pruning()
    limit_bytes = max(0, int(settings().max_database_size_gb * GB))
    if not run.cursor and (unfinished := db.read("unfinished_detach", run_id=run.id)):
        pruning.current = unfinished[0]["current"]
    while True:
        state, statement = pruning.look(db)
        if state == "detaching":
            if not pruning.is_marked:
                pruning.mark()
                yield pruning.progress(f"Detaching {pruning.identity('name')['name']}")
            try:
                db.run_alone(statement, patience_ms=min(PATIENCE_MS * 2**pruning.tries, LONGEST_PATIENCE_MS))
            except DatabaseBusy:
                yield pruning.wait()
            continue
        if state == "detached" and _over(db, limit_bytes) <= 0:
            # Room was made while it was detaching.
            try:
                db.run_alone(statement, patience_ms=PATIENCE_MS)
            except DatabaseBusy:
                yield pruning.wait()
            continue
        if state == "detached":
            outcome = db.write("drop_detached_partition", **pruning.identity("partition", "name"))[0]["outcome"]
            if outcome == "busy":
                yield pruning.wait()
            elif outcome == "dropped":
                yield pruning.dropping()
            continue
        if state == "attached" and pruning.is_marked:
            yield pruning.keeping()
            continue
        if len(pruning.dropped) >= MAX_DROPPED:
            return pruning.result(note=f"A run drops at most {MAX_DROPPED} partitions; the next one goes on")

        over = _over(db, limit_bytes)
        if over <= 0:
            return pruning.result(**({} if limit_bytes else {"note": "MAX_DATABASE_SIZE_GB is 0: there is no limit"}))
        months = db.read("prunable_partitions")
        free = [month for month in months if not month["blocked"]]
        # History is not thrown away for a limit that something else breaks: without it all, it would still be broken.
        if sum(month["bytes"] for month in free) < over:
            return pruning.result(warning=_still_over(over, limit_bytes, free, months))
        if pruning.choose(free[0], over):
            yield pruning.progress(f"Detaching {free[0]['name']}")
            continue
        try:
            db.run_alone(statement, patience_ms=PATIENCE_MS)
        except DatabaseBusy:
            if pruning.look(db)[0] == "attached":
                yield pruning.wait(forget=True)


def _over(db: JobDatabase, limit_bytes: int) -> int:
    """Bytes over the limit, as of now: others make room and fill it."""
    if not limit_bytes:
        return 0
    size_bytes: int = db.read("database_size")[0]["bytes"]
    return size_bytes - limit_bytes


def _still_over(over: int, limit_bytes: int, free: list[dict[str, Any]], months: list[dict[str, Any]]) -> str:
    what = f"The database is {over:,} bytes over its limit of {limit_bytes:,}"
    history = sum(month["bytes"] for month in free)
    why = (
        f"dropping all {len(free)} past months of events would free {history:,} and not cure it"
        if free
        else "there is no past month of events that may be dropped"
    )
    blocked = " ".join(sorted({month["blocked"] for month in months if month["blocked"]}))
    return f"{what}: {why}. Make room elsewhere or raise MAX_DATABASE_SIZE_GB. {blocked}".strip()


@dataclass
class Pruning:
    """How far the pruning is: its fields are the run's cursor.

    ``current`` is the partition at work: ``event_table``, ``parent`` and ``partition`` (oids), ``name``, ``since``,
    ``until``, ``bytes``, ``about_rows``, and ``is_marked`` once it was seen detaching. ``to_free`` is the run's
    total in bytes; ``tries`` counts waits in a row at one place.
    """

    current: dict[str, Any] | None = None
    dropped: list[dict[str, Any]] = field(default_factory=list)
    to_free: int = 0
    tries: int = 0

    @property
    def is_marked(self) -> bool:
        return self.current is not None and bool(self.current["is_marked"])

    def look(self, db: JobDatabase) -> tuple[str | None, str]:
        """The current partition's state (None: there is none) and the statement that detaches it or puts it back."""
        if self.current is None:
            return None, ""
        found = db.read("partition_state", **self.identity("partition", "parent", "name", "since", "until"))[0]
        if found["state"] == "changed":
            self.current = None
        return found["state"], found["statement"]

    def identity(self, *names: str) -> dict[str, Any]:
        assert self.current is not None
        return {name: self.current[name] for name in names}

    def choose(self, month: dict[str, Any], over: int) -> bool:
        """Whether it is another one than before, which has to be recorded before anything happens to it."""
        self.to_free = max(self.to_free, self._freed() + over)
        if self.current and self.current["partition"] == month["partition"]:
            return False
        self.current = {name: value for name, value in month.items() if name != "blocked"} | {"is_marked": False}
        return True

    def mark(self) -> None:
        assert self.current is not None
        self.current["is_marked"] = True
        self.tries = 0

    def dropping(self) -> Progress:
        gone = self.identity("name", "bytes", "about_rows")
        self.dropped.append({"partition": gone["name"], "bytes": gone["bytes"], "about_rows": gone["about_rows"]})
        self.current, self.tries = None, 0
        return self.progress(f"Dropped {gone['name']}")

    def keeping(self) -> Progress:
        """Nobody may take it for unfinished later on."""
        (name,) = self.identity("name").values()
        self.current, self.tries = None, 0
        return self.progress(f"Put {name} back: the database is within its limit")

    def wait(self, *, forget: bool = False) -> Wait:
        """Raises JobError when it was one try too many.

        ``forget`` what is still attached: whoever detaches it by hand meanwhile wants to keep it.
        """
        (name, table) = self.identity("name", "event_table").values()
        self.tries += 1
        if self.tries >= TRIES:
            raise JobError(
                f"{name} could not be taken out of {table} in {TRIES} tries: a transaction or a lock on it stays open. "
                "End it (pg_stat_activity, oldest xact_start); the next run goes on with this partition."
            )
        if forget:
            self.current = None
        why = f"transactions that hold {name} of {table} open"
        return Wait(seconds=min(2**self.tries, LONGEST_WAIT_S), why=why, cursor=asdict(self))

    def progress(self, message: str) -> Progress:
        processed = min(self._freed(), self.to_free)
        return Progress(processed=processed, total=self.to_free, message=message, cursor=asdict(self))

    def result(self, **said: str) -> dict[str, Any]:
        return {"dropped": self.dropped, "bytes_freed": self._freed(), **said}

    def _freed(self) -> int:
        return sum(gone["bytes"] for gone in self.dropped)

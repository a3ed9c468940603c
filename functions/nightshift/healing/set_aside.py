"""Rows that the sweep could not heal: skipped for a while, then retried, and reported to the operator once."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from nightshift.base import metrics
from nightshift.base.errors import DatabaseBusy, DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.database.queries import Database
from nightshift.notify import outbox

# The number of rows that one mail names.
MAX_NAMED = 10

# The failures of the healers, as sentences. {key} is the row's key.
TROUBLES = {
    "slots": "The missed slots of {key} cannot be recorded",
    "silent": "The alert that {key} has not succeeded cannot be written",
    "expired": "Run {key} cannot be taken over from its lost worker",
    "deleted": "Run {key} cannot be cancelled, although its project or team was deleted",
    "moved": "Run {key} cannot be moved to its project's new team",
    "overlong": "Run {key} has exceeded its maximum duration and cannot be failed",
    "unclaimed": "The message of run {key} cannot be sent again",
    "untold": "The mails and the event of run {key} cannot be written",
    "unsent": "The mail or event {key} cannot be sent",
    "old_runs": "Run {key} is old and cannot be deleted",
    "old_alerts": "The mail {key} is old and cannot be deleted",
    "old_slots": "The slot {key} is old and cannot be deleted",
    "team_slots": "The team schedule {key} is due and its run cannot be started",
    "bulk_items": "The part {key} of a team's bulk action cannot be done",
    "keys": "The coming expiry of agent key {key} cannot be told to its team",
    "old_team_slots": "The slot {key} of a team schedule is old and cannot be deleted",
    "old_team_schedules": "The team schedule {key} has started its one run long ago and cannot be deleted",
    "old_audit_entries": "The audit's entry {key} is old and cannot be deleted",
    "alerts_of_runs": "The alerts about the ended run {key} cannot be written",
    "alerts_overdue": "The alert {key} cannot tell of overdue jobs",
    "alerts_due": "The alert {key} has something to send and cannot be sent",
    "alerts_paused": "The team of the alert {key} cannot be told that it is paused",
    "alerts_delivered": "The delivery {key} of an alert is old and cannot be deleted",
    "alerts_gone": "The alert {key} is of a deleted team, or was deleted, and cannot be deleted",
    "old_days": "The day {key} of the overview is old and cannot be deleted",
    "logs": "The log lines of the ended run {key} cannot be counted for its team's limit",
    "bulk_items_old": "The part {key} of a bulk action is old and cannot be deleted",
    "bulk_actions_old": "The bulk action {key} is old and cannot be deleted",
    "old_sign_ins": "The sign-in {key} has expired and cannot be deleted",
    "old_sign_in_shares": "The share of codes {key} is no longer needed and cannot be deleted",
    "old_sessions": "The session {key} has ended and cannot be deleted",
}

# The key of an entry about a healer whose failing batch used up all the time, before its rows could be healed one by
# one: the next sweep heals them one by one from the start.
SLOW = ""


def trouble(healer: str, key: str) -> str:
    return TROUBLES.get(healer, f"{healer}: {{key}}").format(key=key)


class SetAside:
    """The rows that one sweep skips: its own and, after ``load``, those of earlier sweeps."""

    def __init__(self, db: Database, counts: Counter[str]):
        self._db = db
        self._counts = counts
        self._keys: defaultdict[str, set[str]] = defaultdict(set)
        self._slow: set[str] = set()
        self._due: datetime | None = None
        self.count = 0
        """How many rows were set aside when this sweep began."""

    def load(self) -> None:
        for row in self._db.query("list_set_aside"):
            self._due = row["now"]
            if row["key"] == SLOW:
                self._slow.add(row["healer"])
            elif not row["is_due"]:
                self._keys[row["healer"]].add(row["key"])
        self.count = sum(map(len, self._keys.values()))

    def keys(self, healer: str) -> frozenset[str]:
        """Return the keys of the rows to skip."""
        return frozenset(self._keys[healer])

    def is_slow(self, healer: str) -> bool:
        return healer in self._slow

    def add_slow(self, healer: str, exc: Exception) -> None:
        """Note that the healer's batch took too long. Raises DatabaseGone."""
        self._note(healer, SLOW, exc)

    def add(self, healer: str, key: str, exc: Exception) -> None:
        """Set the row aside. If it cannot be noted, only this sweep skips it. Raises DatabaseGone."""
        self._keys[healer].add(key)
        self._counts.update(set_aside=1)
        metrics.count("RowsSetAside")
        logger.error(f"{trouble(healer, key)}: {sentence(exc)}", action="row_set_aside", healer=healer, key=key)
        self._note(healer, key, exc)

    def _note(self, healer: str, key: str, exc: Exception) -> None:
        passing = isinstance(exc, DatabaseGone | DatabaseBusy)
        try:
            self._db.query("set_aside", healer=healer, key=key, error=sentence(exc), passing=passing)
        except DatabaseGone:
            raise
        except Exception:
            logger.exception("Could not note a row that was set aside", action="set_aside_failed")

    def forget_healed(self, healers: Iterable[str]) -> None:
        """Delete the entries that were due and that these healers, having finished, did not set aside again."""
        if self._due:
            self._db.query("forget_set_aside", healers=list(healers), due=self._due)

    def tell(self) -> None:
        """Send the operator a mail about rows that were set aside since the last such mail."""
        if not any(self._keys.values()):
            return
        with self._db.transaction():
            rows = self._db.query("claim_set_aside")
            if rows:
                outbox.alert(_alert([(row["healer"], row["key"], row["error"]) for row in rows]), db=self._db)


def _alert(rows: list[tuple[str, str, str]]) -> outbox.Alert:
    lines = [f"{trouble(healer, key)}: {error}" for healer, key, error in rows[:MAX_NAMED]]
    if len(rows) > MAX_NAMED:
        lines.append(f"And {len(rows) - MAX_NAMED:,} more.")
    lines.append(
        "The sweep still heals all other rows and retries these every few minutes. `nightshift system health` shows "
        "the remaining ones; `nightshift system doctor` finds missing rights."
    )
    count = "a row" if len(rows) == 1 else f"{len(rows):,} rows"
    return outbox.Alert(subject=f"The sweep could not heal {count}", lines=lines)

"""The healer, once a minute: lost workers, lost messages, what is unsent, what never fired, what is too old."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from nightshift import metrics, outbox, queue, schedules, successes
from nightshift.database import Database, Row
from nightshift.log import logger
from nightshift.queue import Message
from nightshift.settings import Settings

# Rows of a kind that one statement deletes: its locks are held for as long as it takes.
PRUNE_BATCH = 200

# No batch is begun with less time left (seconds).
RESERVE_S = 20

COUNTS = ("recovered", "ended", "resent", "mails", "caught_up", "missed", "silent", "pruned", "refused")


def sweep(*, now: datetime, db: Database, settings: Settings, remaining_s: Callable[[], float]) -> dict[str, int]:
    """Heal what there is, batch after batch while time remains; returns how much of what was done.

    One statement where there is nothing to do. Two at once share the work (SKIP LOCKED). What is left when time is
    short is found by the next sweep. What fails takes no other's turn: the first exception is raised at the end.
    """
    retention_s = settings.retention_days * 86_400
    found = db.query("find_work", schedules_until=now - schedules.GRACE, retention_s=retention_s, again_if_gone=True)[0]
    work = _Work(db, settings, retention_s, remaining_s)
    healers: dict[str, Callable[[], None]] = {
        # First what needs no queue: where SQS does not answer, sending eats the time that there is.
        "slots": lambda: work.counts.update(schedules.account_for_missed(now=now, db=db, settings=settings)),
        "silent": lambda: work.counts.update(silent=successes.tell_of_overdue(db=db)),
        "expired": lambda: work.in_batches(settings.sweep_batch, work.expire_leases),
        "overlong": lambda: work.in_batches(settings.sweep_batch, work.end_overlong),
        "unclaimed": lambda: work.in_batches(settings.sweep_batch, work.resend),
        "unsent": lambda: work.in_batches(settings.sweep_batch, work.send_mails),
        "old_runs": lambda: work.in_batches(PRUNE_BATCH, partial(work.prune, "prune_runs")),
        "old_alerts": lambda: work.in_batches(PRUNE_BATCH, partial(work.prune, "prune_alerts")),
        "old_slots": lambda: work.in_batches(PRUNE_BATCH, partial(work.prune, "prune_slots")),
    }
    failures = []
    for what, heal in healers.items():
        if found[what]:
            try:
                heal()
            except Exception as exc:
                logger.exception(f"The sweep failed at {what}", action="sweep_failed")
                failures.append(exc)
    if work.counts.total():
        logger.info("Swept", action="swept", **dict[str, Any](work.counts))
    if failures:
        raise failures[0]
    return {name: work.counts[name] for name in COUNTS}


@dataclass
class _Work:
    """Each method heals one batch, and returns its rows."""

    db: Database
    settings: Settings
    retention_s: float
    remaining_s: Callable[[], float]
    counts: Counter[str] = field(default_factory=Counter)

    def in_batches(self, size: int, heal: Callable[[], list[Row]]) -> None:
        while self.remaining_s() > RESERVE_S and len(heal()) == size:
            pass

    def expire_leases(self) -> list[Row]:
        expired = self.db.query(
            "expire_leases",
            batch=self.settings.sweep_batch,
            lost_slices_limit=self.settings.lost_slices_limit,
            lost_slices_ceiling=self.settings.lost_slices_ceiling,
            resend_delay_s=self.settings.resend_delay_s,
        )
        for row in expired:
            logger.warning(
                "Took a run from a worker that stopped answering",
                action="slice_expired",
                run_id=str(row["id"]),
                slice=row["slice"],
                job_type=row["job_type"],
                status=row["status"],
            )
            metrics.count("SlicesLost")
            if row["status"] != "running":
                metrics.count_ending(row["status"], job_type=row["job_type"])
        recovered = [row for row in expired if row["status"] == "running"]
        ended = [str(row["id"]) for row in expired if row["status"] != "running"]
        self.counts.update(recovered=len(recovered), ended=len(ended))
        self._send_slices(recovered)
        if ended:
            outbox.dispatch(ended, db=self.db, settings=self.settings)
        return expired

    def end_overlong(self) -> list[Row]:
        ended = self.db.query("end_overlong", batch=self.settings.sweep_batch)
        for row in ended:
            logger.warning(
                "Failed a run that took longer than its job type allows",
                action="run_overlong",
                run_id=str(row["id"]),
                job_type=row["job_type"],
            )
            metrics.count_ending(row["status"], job_type=row["job_type"])
        self.counts.update(ended=len(ended))
        if ended:
            outbox.dispatch([str(row["id"]) for row in ended], db=self.db, settings=self.settings)
        return ended

    def resend(self) -> list[Row]:
        unclaimed = self.db.query(
            "resend_due",
            batch=self.settings.sweep_batch,
            resend_delay_s=self.settings.resend_delay_s,
            resend_ceiling_s=self.settings.resend_ceiling_s,
        )
        self.counts.update(resent=len(unclaimed))
        self._send_slices(unclaimed)
        return unclaimed

    def send_mails(self) -> list[Row]:
        unsent = self.db.query(
            "claim_unsent",
            batch=self.settings.sweep_batch,
            resend_delay_s=self.settings.resend_delay_s,
            resend_ceiling_s=self.settings.resend_ceiling_s,
        )
        self.counts.update(mails=len(unsent), refused=outbox.send_messages(unsent, settings=self.settings))
        return unsent

    def prune(self, query: str) -> list[Row]:
        gone = self.db.query(query, batch=PRUNE_BATCH, retention_s=self.retention_s)
        self.counts.update(pruned=len(gone))
        return gone

    def _send_slices(self, rows: list[Row]) -> None:
        self.counts.update(refused=queue.send_all(Message.of(row) for row in rows))

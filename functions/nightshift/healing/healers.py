"""One healer per kind of problem: a query that finds rows, and a statement that heals the given rows.

The query runs once in each sweep and locks no row. The healing statement therefore skips rows that other sessions have
locked, and checks the condition again on each locked row: another sweep or a worker may have been faster.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightshift.alerts import sending
from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import metrics
from nightshift.base.errors import NightshiftError
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, Row
from nightshift.healing import key_expiry
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify import outbox
from nightshift.runs import bulk_items
from nightshift.schedules import slots, successes, team_slots
from nightshift.schedules.slots import GRACE

# Rows that one statement deletes. It holds its locks for as long as it runs.
PRUNE_BATCH = 200
# Rows that a healer is given in one sweep; the next sweep finds the others. 7,000 runs a minute grow old at ten million
# a day.
AT_MOST = 100_000
PRUNE_AT_MOST = 20_000
# An ending is committed this many seconds after its completed_at at the latest: no statement and no idle transaction of
# our roles lasts as long.
LATE_ENDINGS_S = 120


class NotTold(NightshiftError):
    """The ending's mails and event cannot be written"""


@dataclass(frozen=True, kw_only=True)
class Healer:
    """``name`` is a column of find_work. ``heal`` gets keys that ``find`` returned; an exception undoes its changes.

    A query that several healers share returns the name of the healer beside each key.
    """

    name: str
    find: str
    heal: Callable[[list[str]], None]
    batch: int
    at_most: int = AT_MOST
    horizon: Mapping[str, Any] = field(default_factory=dict)
    shares: bool = False
    """Whether ``find`` gives each team a share. It is told which rows to pass over: they must use up none of it."""
    finish: Callable[[], None] | None = None
    """Called after a sweep that has healed all rows, apart from those set aside."""


def healers_of(*, now: datetime, counts: Counter[str], db: Database, settings: Settings) -> list[Healer]:
    """Return the healers in order: those that send no messages come first, because a failing SQS uses up the time.

    Healers add what they did to ``counts``.
    """
    work = _Work(now, db, settings, counts)
    size = settings.sweep_batch
    due = {"until": now - GRACE, "job_types": list(JOB_TYPES)}
    old = {"retention_s": settings.retention_days * 86_400}
    pruned: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
        ("old_runs", "old_runs", "prune_runs", old),
        ("old_alerts", "old_alerts", "prune_alerts", old),
        ("old_slots", "old_slots", "prune_slots", old),
        ("old_team_slots", "old_team_slots", "prune_team_slots", old),
        ("old_team_schedules", "old_team_schedules", "prune_team_schedules", old),
        ("old_audit_entries", "old_audit_entries", "prune_audit_entries", {}),
        ("old_sign_ins", "expired_sign_ins", "prune_sign_ins", {}),
        ("old_sign_in_shares", "unused_sign_in_shares", "prune_sign_in_shares", {}),
        ("old_sessions", "ended_sessions", "prune_sessions", {}),
        ("alerts_delivered", "old_deliveries", "prune_deliveries", old),
        ("bulk_items_old", "old_bulk_items", "prune_bulk_items", old),
        ("bulk_actions_old", "old_bulk_actions", "prune_bulk_actions", old),
        ("alerts_gone", "gone_alerts", "prune_gone_alerts", {}),
        ("old_days", "old_days", "prune_days", {}),
    )
    return [
        Healer(name="slots", find="overdue_schedules", heal=work.account_for, batch=size, horizon=due),
        Healer(name="silent", find="overdue_successes", heal=work.tell_of_overdue, batch=size),
        Healer(name="moved", find="misplaced_runs", heal=work.rehome, batch=size),
        Healer(name="deleted", find="misplaced_runs", heal=work.stop_deleted, batch=size),
        Healer(name="expired", find="due_runs", heal=work.expire_leases, batch=size),
        Healer(name="overlong", find="due_runs", heal=work.end_overlong, batch=size),
        Healer(name="unclaimed", find="due_runs", heal=work.resend, batch=size),
        Healer(
            name="team_slots",
            find="due_schedules",
            heal=work.start_due,
            batch=size,
            at_most=settings.scheduled_starts_per_minute,
            horizon={"now": now},
        ),
        Healer(
            name="bulk_items",
            find="open_bulk_items",
            heal=work.work_bulk_items,
            batch=size,
            horizon={"action_id": None, **bulk_items.shares(settings)},
            shares=True,
            finish=work.end_bulk_actions,
        ),
        Healer(name="keys", find="keys_to_look_at", heal=work.look_at_keys, batch=size),
        Healer(name="untold", find="untold_runs", heal=work.tell_of_endings, batch=size),
        Healer(name="unsent", find="unsent_notices", heal=work.send_notices, batch=size),
        Healer(
            name="alerts_of_runs",
            find="ended_runs",
            heal=work.tell_alerts_of_ended,
            batch=size,
            finish=work.note_ended_runs_seen,
        ),
        Healer(
            name="alerts_overdue",
            find="overdue_alerts",
            heal=work.tell_of_overdue_runs,
            batch=size,
            horizon={"now": now},
        ),
        Healer(name="alerts_due", find="due_alerts", heal=work.send_alerts, batch=size, horizon={"now": now}),
        Healer(name="alerts_paused", find="untold_pauses", heal=work.tell_of_paused_alerts, batch=size),
        Healer(
            name="logs",
            find="logged_runs",
            heal=work.count_log_lines,
            batch=size,
            horizon={"now": now, "late_s": LATE_ENDINGS_S},
            finish=work.note_logs_counted,
        ),
        *(
            Healer(
                name=name,
                find=find,
                heal=work.pruning(query),
                batch=PRUNE_BATCH,
                at_most=PRUNE_AT_MOST,
                horizon=horizon,
            )
            for name, find, query, horizon in pruned
        ),
    ]


@dataclass(frozen=True)
class _Work:
    now: datetime
    db: Database
    settings: Settings
    counts: Counter[str]

    def account_for(self, job_types: list[str]) -> None:
        for name in job_types:
            self.counts.update(slots.account_for_missed(name, now=self.now, db=self.db, settings=self.settings))

    def start_due(self, schedule_ids: list[str]) -> None:
        already = self.counts["scheduled"] + self.counts["skipped"]
        rows = team_slots.decide(schedule_ids, now=self.now, already=already, db=self.db, settings=self.settings)
        started = sum(row.starts for row in rows)
        self.counts.update(scheduled=started, skipped=len(rows) - started)

    def work_bulk_items(self, item_ids: list[str]) -> None:
        outcomes = bulk_items.work(item_ids, db=self.db, settings=self.settings)
        self.counts.update(bulk_items=outcomes.total())

    def end_bulk_actions(self) -> None:
        self.db.query("give_up_bulk_items")
        self.db.query("end_bulk_actions")

    def tell_of_overdue(self, job_types: list[str]) -> None:
        self.counts.update(silent=successes.tell_of_overdue(job_types, db=self.db))

    def look_at_keys(self, key_ids: list[str]) -> None:
        self.counts.update(expiring=key_expiry.tell_of_expiring(key_ids, db=self.db))

    def rehome(self, run_ids: list[str]) -> None:
        self.counts.update(rehomed=len(self.db.query("rehome_runs", keys=run_ids)))

    def stop_deleted(self, run_ids: list[str]) -> None:
        stopped = self.db.query("stop_deleted", keys=run_ids)
        for row in stopped:
            logger.warning(
                "Cancelled a run because its project or team was deleted",
                action="run_of_deleted",
                run_id=str(row["id"]),
                job_type=row["job_type"],
            )
        self.counts.update(stopped=len(stopped))
        self._tell_of_ended([row for row in stopped if row["status"] == "cancelled"])

    def expire_leases(self, run_ids: list[str]) -> None:
        expired = self.db.query(
            "expire_leases",
            keys=run_ids,
            lost_slices_limit=self.settings.lost_slices_limit,
            lost_slices_ceiling=self.settings.lost_slices_ceiling,
            resend_delay_s=self.settings.resend_delay_s,
        )
        for row in expired:
            _tell_of_expired(row)
        recovered = [row for row in expired if row["status"] == "running"]
        ended = [str(row["id"]) for row in expired if row["status"] != "running"]
        self.counts.update(recovered=len(recovered), ended=len(ended))
        self._send_slices(recovered)
        if ended:
            outbox.dispatch(ended, db=self.db, settings=self.settings)

    def end_overlong(self, run_ids: list[str]) -> None:
        ended = self.db.query("end_overlong", keys=run_ids)
        for row in ended:
            logger.warning(
                "Failed a run that took longer than its job type allows",
                action="run_overlong",
                run_id=str(row["id"]),
                job_type=row["job_type"],
            )
        self._tell_of_ended(ended)

    def resend(self, run_ids: list[str]) -> None:
        unclaimed = self.db.query(
            "resend_due",
            keys=run_ids,
            resend_delay_s=self.settings.resend_delay_s,
            resend_ceiling_s=self.settings.resend_ceiling_s,
        )
        self.counts.update(resent=len(unclaimed))
        self._send_slices(unclaimed)

    def tell_of_endings(self, run_ids: list[str]) -> None:
        """Write the mails and events of these endings. Raises NotTold if one still fails; the others are kept."""
        rows = self.db.query("tell_of_endings", keys=run_ids)
        told = [row["key"] for row in rows if row["untold"] is None]
        self.counts.update(told=len(told))
        outbox.dispatch(told, db=self.db, settings=self.settings)
        for row in rows:
            if row["untold"] is not None:
                raise NotTold(row["untold"])

    def send_notices(self, outbox_ids: list[str]) -> None:
        unsent = self.db.query(
            "claim_unsent",
            keys=outbox_ids,
            resend_delay_s=self.settings.resend_delay_s,
            resend_ceiling_s=self.settings.resend_ceiling_s,
        )
        self.counts.update(mails=len(unsent), refused=outbox.send_messages(unsent, settings=self.settings))

    def tell_alerts_of_ended(self, run_ids: list[str]) -> None:
        told = sending.tell_of_ended(run_ids, now=self.now, db=self.db, settings=self.settings)
        self.counts.update(alerts=told)
        self.db.query("move_alerts_past", keys=run_ids, late_s=LATE_ENDINGS_S)

    def note_ended_runs_seen(self) -> None:
        self.db.query("move_alerts_until", now=self.now, late_s=LATE_ENDINGS_S)

    def tell_of_overdue_runs(self, alert_ids: list[str]) -> None:
        told = sending.tell_of_overdue(alert_ids, now=self.now, db=self.db, settings=self.settings)
        self.counts.update(alerts=told)

    def send_alerts(self, alert_ids: list[str]) -> None:
        self.counts.update(refused=sending.send_due(alert_ids, now=self.now, db=self.db, settings=self.settings))

    def tell_of_paused_alerts(self, alert_ids: list[str]) -> None:
        sending.tell_of_pauses(alert_ids, db=self.db)

    def count_log_lines(self, run_ids: list[str]) -> None:
        most_bytes = self.settings.team_log_megabytes * 1_000_000
        with self.db.transaction():
            for row in self.db.query("count_log_lines", keys=run_ids, most_bytes=most_bytes):
                if row["is_above"]:
                    [shortened] = self.db.query("shorten_team_logs", team_id=row["team_id"], most_bytes=most_bytes)
                    self.counts.update(pruned=shortened["deleted"])

    def note_logs_counted(self) -> None:
        self.db.query("move_logs_until", now=self.now, late_s=LATE_ENDINGS_S)

    def pruning(self, query: str) -> Callable[[list[str]], None]:
        def prune(keys: list[str]) -> None:
            self.counts.update(pruned=len(self.db.query(query, keys=keys)))

        return prune

    def _tell_of_ended(self, rows: list[Row]) -> None:
        for row in rows:
            metrics.count_ending(row["status"], job_type=row["job_type"])
        self.counts.update(ended=len(rows))
        if rows:
            outbox.dispatch([str(row["id"]) for row in rows], db=self.db, settings=self.settings)

    def _send_slices(self, rows: list[Row]) -> None:
        self.counts.update(refused=queue.send_all(Message.of(row["id"], row["slice"], row["team_id"]) for row in rows))


def _tell_of_expired(row: Row) -> None:
    logger.warning(
        "Took over a run from a worker that stopped responding",
        action="slice_expired",
        run_id=str(row["id"]),
        slice=row["slice"],
        job_type=row["job_type"],
        status=row["status"],
    )
    metrics.count("SlicesLost")
    if row["status"] != "running":
        metrics.count_ending(row["status"], job_type=row["job_type"])

"""The alerts of a team: list, make, change, pause, resume, test, rotate and delete them, and replay deliveries."""

import os
import uuid
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from nightshift.alerts import sending, webhook_secrets
from nightshift.alerts.alert_choices import Wanted, address_of, columns_of, told_of
from nightshift.alerts.alert_views import alert_as_json, delivery_as_json
from nightshift.base.errors import Conflict, NotFound, Refused
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.notify.address_tokens import hash_of
from nightshift.notify.outbox import Alert
from nightshift.tenants import audit
from nightshift.tenants.audit import Author

# Addresses of a team that were asked within a day and have not confirmed. More would fill the inboxes of strangers.
MOST_WAITING = 20
# How long a webhook's old secret signs as well.
OVERLAP_S = 86_400
IPV6_NOTE = (
    "This deployment reaches the Internet by IPv6 alone (Egress=ipv6), and most endpoints have no IPv6 address. Send a "
    "test to see whether this one has."
)


class Stored(NamedTuple):
    """An alert that is about to be changed (lock_team_alert.sql)."""

    id: str
    name: str
    events: list[str]
    job_types: list[str] | None
    project_ids: list[str] | None
    channel: str
    config: dict[str, Any]
    minutes_between: int
    overdue_hours: int | None
    paused_at: Any

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            channel=self.channel,
            events=tuple(self.events),
            name=self.name,
            job_types=None if self.job_types is None else tuple(self.job_types),
            project_ids=None if self.project_ids is None else tuple(self.project_ids),
            admins=bool(self.config.get("admins")),
            addresses=tuple(self.config.get("addresses", ())),
            minutes_between=self.minutes_between,
            overdue_hours=self.overdue_hours,
        )


def make(wanted: Wanted, *, team_id: str, author: Author, db: Database, settings: Settings) -> dict[str, Any]:
    """Store the alert. Return ``{"alert", "secret", "notes"}``: a webhook's secret is shown this once.

    Raises Refused naming a bad field, Conflict if the team has as many alerts as it may have, and Unavailable if KMS
    does not encrypt.
    """
    if wanted.channel != "mail" and wanted.url is None:
        raise Refused("url is required", field="url")
    columns = columns_of(wanted, team_id=team_id, config={}, db=db, settings=settings)
    secret = webhook_secrets.new_secret() if wanted.channel == "webhook" else None
    hidden = secret or wanted.url
    encrypted = hidden and webhook_secrets.encrypted(hidden, team_id=team_id, settings=settings)
    alert_id = str(uuid.uuid4())
    with db.transaction():
        db.query("lock_alerts_of_team", team_id=team_id)
        if not db.query(
            "insert_team_alert",
            alert_id=alert_id,
            team_id=team_id,
            channel=wanted.channel,
            secret_encrypted=encrypted,
            created_by=author.triggered_by,
            at_most=settings.alerts_per_team,
            **columns,
        ):
            raise Conflict(f"This team has {settings.alerts_per_team:,} alerts, which is the limit. Delete one first")
        notes = _ask(wanted.addresses, team_id=team_id, db=db)
        _record(db, author, "alert.made", alert_id, team_id=team_id, channel=wanted.channel, **told_of(columns))
    return {"alert": get(alert_id, db=db), "secret": secret, "notes": notes + _notes(wanted)}


def change(
    alert_id: str, changes: dict[str, Any], *, team_id: str, author: Author, db: Database, settings: Settings
) -> dict[str, Any]:
    """Change these fields of the alert. ``enabled`` pauses or resumes it. Return as ``make`` does, without a secret."""
    enabled = changes.pop("enabled", None)
    with db.transaction():
        db.query("lock_alerts_of_team", team_id=team_id)
        stored = _locked(alert_id, team_id=team_id, db=db)
        wanted = replace(stored.wanted, **changes)
        notes: list[str] = []
        if changes:
            columns = columns_of(wanted, team_id=team_id, config=stored.config, db=db, settings=settings)
            is_secret = stored.channel == "slack" and wanted.url is not None
            encrypted = (
                webhook_secrets.encrypted(str(wanted.url), team_id=team_id, settings=settings) if is_secret else None
            )
            db.query("change_team_alert", alert_id=alert_id, secret_encrypted=encrypted, **columns)
            notes = _ask(wanted.addresses, team_id=team_id, db=db) + _notes(wanted)
            _record(db, author, "alert.changed", alert_id, team_id=team_id, **told_of(columns))
        if enabled is False and stored.paused_at is None:
            db.query("pause_team_alert", alert_id=alert_id, by=author.triggered_by, why="Paused by the team")
            _record(db, author, "alert.paused", alert_id, team_id=team_id, name=wanted.name)
        elif enabled and stored.paused_at is not None:
            db.query("resume_team_alert", alert_id=alert_id)
            _record(db, author, "alert.resumed", alert_id, team_id=team_id, name=wanted.name)
    return {"alert": get(alert_id, db=db), "secret": None, "notes": notes}


def delete(alert_id: str, *, team_id: str, author: Author, db: Database) -> None:
    """Delete the alert and its secrets. Raises NotFound."""
    with db.transaction():
        stored = _locked(alert_id, team_id=team_id, db=db)
        db.query("delete_team_alert", alert_id=alert_id)
        _record(db, author, "alert.deleted", alert_id, team_id=team_id, name=stored.name)


def test(alert_id: str, *, team_id: str, author: Author, db: Database, settings: Settings) -> dict[str, Any]:
    """Send a test now, also of a paused alert, and return its delivery. Raises Conflict while one is on its way."""
    delivery_id = str(uuid.uuid4())
    with db.transaction():
        stored = _locked(alert_id, team_id=team_id, db=db)
        if not db.query("insert_test_delivery", alert_id=alert_id, delivery_id=delivery_id):
            raise Conflict("A test of this alert is on its way. See its deliveries")
        _record(db, author, "alert.tested", alert_id, team_id=team_id, name=stored.name)
    return _dispatched(delivery_id, stored, team_id=team_id, db=db, settings=settings)


def replay(
    delivery_id: str, alert_id: str, *, team_id: str, author: Author, db: Database, settings: Settings
) -> dict[str, Any]:
    """Send a delivery that has ended again, under its id, and return it. Raises Conflict if the alert is paused."""
    with db.transaction():
        stored = _locked(alert_id, team_id=team_id, db=db)
        delivery = get_delivery(delivery_id, db=db)
        if stored.paused_at is not None and delivery["kind"] != "test":
            raise Conflict("The alert is paused. Resume it first")
        if not db.query("replay_delivery", delivery_id=delivery_id, alert_id=alert_id):
            raise Conflict(f"This delivery is {delivery['status']}. Only one that was sent or failed can be replayed")
        _record(db, author, "alert.replayed", alert_id, team_id=team_id, delivery_id=delivery_id)
    return _dispatched(delivery_id, stored, team_id=team_id, db=db, settings=settings)


def rotate(alert_id: str, *, team_id: str, author: Author, db: Database, settings: Settings) -> dict[str, Any]:
    """Give the webhook a new secret: ``{"secret", "old_secret_until"}``. Until then both sign its messages."""
    secret = webhook_secrets.new_secret()
    encrypted = webhook_secrets.encrypted(secret, team_id=team_id, settings=settings)
    with db.transaction():
        stored = _locked(alert_id, team_id=team_id, db=db)
        if stored.channel != "webhook":
            raise Refused(f"Only a webhook has a secret, and this alert goes to {stored.channel}")
        [rotated] = db.query("rotate_alert_secret", alert_id=alert_id, secret_encrypted=encrypted, overlap_s=OVERLAP_S)
        _record(db, author, "alert.secret_rotated", alert_id, team_id=team_id, name=stored.name)
    return {"secret": secret, "old_secret_until": timestamp(rotated["old_secret_until"])}


def confirm(token: str, *, db: Database) -> dict[str, Any]:
    """Confirm the address that the token's mail went to. Raises Refused for a token that is not valid any longer."""
    confirmed = db.one("confirm_address", token_hash=hash_of(token))
    if confirmed is None:
        raise Refused("This link is not valid: it was used, it is older than a week, or a newer mail replaced it")
    return {"confirmed": True, "address": confirmed["address"], "team": confirmed["team"]}


def find(alert_id: str, *, db: Database) -> dict[str, Any] | None:
    """Return the alert, of any team."""
    row = db.one("list_team_alerts", team_id=None, alert_id=alert_id)
    return row and alert_as_json(row)


def get(alert_id: str, *, db: Database) -> dict[str, Any]:
    """Return the alert, of any team. Raises NotFound."""
    if (alert := find(alert_id, db=db)) is None:
        raise NotFound("Alert not found")
    return alert


def list_of_team(team_id: str, *, db: Database) -> list[dict[str, Any]]:
    return [alert_as_json(row) for row in db.query("list_team_alerts", team_id=team_id, alert_id=None)]


def deliveries(
    alert_id: str, *, before_id: str | None, limit: int, db: Database
) -> tuple[list[dict[str, Any]], str | None]:
    """Return deliveries of the alert, newest first, and the cursor of the next page."""
    rows = db.query("list_deliveries", alert_id=alert_id, delivery_id=None, before_id=before_id, limit=limit + 1)
    page = [delivery_as_json(row) for row in rows[:limit]]
    return page, page[-1]["id"] if len(rows) > limit else None


def get_delivery(delivery_id: str, *, db: Database) -> dict[str, Any]:
    """Return the delivery, of any alert. Raises NotFound."""
    row = db.one("list_deliveries", alert_id=None, delivery_id=delivery_id, before_id=None, limit=1)
    if row is None:
        raise NotFound("Delivery not found")
    return delivery_as_json(row)


def _ask(addresses: tuple[str, ...], *, team_id: str, db: Database) -> list[str]:
    """Ask the owners of addresses outside the team to confirm. Return what the caller should know about it.

    Raises Refused if too many addresses of the team were asked within a day and have not confirmed.
    """
    if not addresses:
        return []
    content = asdict(
        Alert(
            subject="Confirm that you want alerts of a team",
            lines=[
                "A team wants to send its alerts about background jobs to this address.",
                "If you want them, open the link and confirm, within a week. Otherwise ignore this mail, and nothing "
                "is sent to you.",
            ],
            reason="You get this mail because an admin of the team has named your address in an alert.",
        )
    ) | {"confirms": True}
    named = list(dict.fromkeys(address_of(each) for each in addresses))
    [row] = db.query("ask_addresses", team_id=team_id, addresses=named, content=content)
    if row["waiting_count"] > MOST_WAITING:
        raise Refused(
            f"This team has asked {MOST_WAITING} addresses that have not confirmed within a day. Try again later",
            field="addresses",
        )
    return _notes_of_asked(row["asked_count"], row["left_count"])


def _notes_of_asked(asked: int, left: int) -> list[str]:
    notes = []
    if asked:
        they = "An address does" if asked == 1 else f"{asked} addresses do"
        notes.append(f"{they} not belong to the team. A mail asks to confirm; until then no alert is sent there.")
    if left:
        they = "An address was" if left == 1 else f"{left} addresses were"
        notes.append(
            f"{they} asked before and did not confirm. Until then no alert is sent there. Store the alert again to ask "
            "once more: a day later, then two days later, and so on."
        )
    return notes


def _notes(wanted: Wanted) -> list[str]:
    """Return what a caller should know about the alert that was just stored."""
    notes = []
    if wanted.channel != "mail" and os.environ.get("AWS_USE_DUALSTACK_ENDPOINT") == "true":
        notes.append(IPV6_NOTE)
    return notes


def _record(db: Database, author: Author, action: str, alert_id: str, *, team_id: str, **details: Any) -> None:
    audit.record(db, author, action, of=("alert", alert_id), team_id=team_id, **details)


def _locked(alert_id: str, *, team_id: str, db: Database) -> Stored:
    stored = db.one_as(Stored, "lock_team_alert", alert_id=alert_id, team_id=team_id)
    if stored is None:
        raise NotFound("Alert not found")
    return stored


def _dispatched(delivery_id: str, stored: Stored, *, team_id: str, db: Database, settings: Settings) -> dict[str, Any]:
    """Send the message for a delivery that is due. If that fails, and for a mail, the sweep does it within a minute."""
    if stored.channel != "mail":
        sending.send_messages([(stored.id, team_id)], settings=settings)
    return get_delivery(delivery_id, db=db)

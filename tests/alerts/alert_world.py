"""Alerts of a team, runs that end, and an endpoint on loopback that keeps what it received."""

import base64
import hashlib
import hmac
import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from nightshift.alerts import delivering, team_alerts
from nightshift.alerts.alert_choices import Wanted
from nightshift.tenants.audit import Author
from nightshift.testing.rows import sweep
from tests.support import http_server
from tests.support.world import trigger

AUTHOR = Author(actor="user:00000000-0000-4000-8000-00000000000a", request_id="r")


@dataclass
class Endpoint:
    """``status`` and ``answer`` of the next calls; ``hangs_up`` ends the connection without an answer."""

    url: str = ""
    status: int = 200
    answer: bytes = b"ok"
    hangs_up: bool = False
    requests: list = field(default_factory=list)

    @property
    def bodies(self):
        return [json.loads(request.body) for request in self.requests]

    @property
    def types(self):
        return [body["type"] for body in self.bodies]

    @property
    def ids(self):
        return [request.headers["webhook-id"] for request in self.requests]


@contextmanager
def endpoint():
    here = Endpoint()

    def answer(request):
        here.requests.append(request)
        return None if here.hangs_up else http_server.Reply(here.status, here.answer)

    with http_server.serve(answer) as url:
        here.url = url
        yield here


def is_signed(request, secret):
    """Verify the signature as a receiver does."""
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return expected in request.headers["webhook-signature"].split()


@dataclass
class World:
    """The parts of alerts with the time passed in. ``at(minutes)`` is that long after the start."""

    db: object
    owner: object
    settings: object
    team: object
    endpoint: Endpoint
    start: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self):
        self.settings = replace(self.settings, alert_sink_url=self.endpoint.url, dashboard_url="https://jobs.example/")

    def at(self, minutes):
        return self.start + timedelta(minutes=minutes)

    def make(self, *, of=None, **wanted):
        """Make an alert, by default a webhook of failures without a pause between messages. Return make's answer."""
        wanted = {"channel": "webhook", "events": ("failed",), "minutes_between": 0} | wanted
        if wanted["channel"] == "webhook":
            wanted = {"url": f"{self.endpoint.url}/hook"} | wanted
        team_id = (of or self.team).id
        made = team_alerts.make(Wanted(**wanted), team_id=team_id, author=AUTHOR, db=self.db, settings=self.settings)
        return made | {"id": made["alert"]["id"]}

    def end(self, status="failed", *, of=None, **overrides):
        """Trigger a run and end it. Return its id."""
        team = of or self.team
        wanted = {"project_id": team.project_id, "params": {"project_id": team.project_id}} | overrides
        run_id = str(trigger(team, db=self.db, settings=self.settings, **wanted)["id"])
        error = "'The provider refused the key'" if status == "failed" else "NULL"
        self.owner.run_script(
            f"UPDATE job_runs SET status = '{status}', started_at = clock_timestamp(), error = {error},"
            f" completed_at = clock_timestamp(), lease_expires_at = NULL, resend_at = NULL,"
            ' progress = CASE WHEN progress IS NULL THEN NULL ELSE progress || \'{"processed": 1, "total": 1}\' END'
            f" WHERE id = '{run_id}'"
        )
        return run_id

    def sweep(self, minutes=1, *, db=None):
        return sweep(db=db or self.db, settings=self.settings, now=self.at(minutes))

    def deliver(self, alert, minutes=1, *, remaining_s=60, **others):
        """Call the deliver function's loop for the alert. Return the number of calls."""
        return delivering.deliver(
            alert["id"],
            clock=lambda: self.at(minutes),
            db=self.db,
            settings=self.settings,
            remaining_s=lambda: remaining_s,
            **others,
        )

    def minute(self, alert, minutes):
        """Play a minute: the sweep and, if it sent a message for the alert, the delivery."""
        self.sweep(minutes)
        messaged = self.owner.run_script(
            f"SELECT FROM job_alerts WHERE id = '{alert['id']}' AND messaged_until > '{self.at(minutes)}'"
        )
        return self.deliver(alert, minutes) if messaged else 0

    def deliveries(self, alert):
        rows = self.owner.run_script(
            f"SELECT kind, status FROM job_alert_deliveries WHERE alert_id = '{alert['id']}' ORDER BY created_at, id"
        )
        return [tuple(row) for row in rows]

    def alert(self, alert):
        return team_alerts.get(alert["id"], db=self.db)

    def mails(self):
        rows = self.owner.run_script(
            "SELECT recipient, content ->> 'subject' FROM job_outbox"
            " WHERE content IS NOT NULL ORDER BY created_at, recipient"
        )
        return [tuple(row) for row in rows]

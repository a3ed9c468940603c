"""The message of a delivery: as the body of a webhook, as a text in Slack, and as a mail."""

import json
from collections.abc import Mapping
from typing import Any

from nightshift.base.wording import number, one_line
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify.outbox import Alert

# The events of a digest that a text lists; a webhook gets all that the delivery holds.
LISTED = 12
VERBS = {
    "failed": "failed",
    "completed": "completed",
    "cancelled": "was cancelled",
    "recovered": "works again",
    "overdue": "is overdue",
}


def webhook_body(kind: str, data: Mapping[str, Any], *, at: str, alert: Mapping[str, str], dashboard_url: str) -> bytes:
    """Return ``{"type", "timestamp", "data"}``. It is the same at each try. ``at`` is when the delivery was written."""
    said = dict(data) | {"alert": dict(alert), "url": link(data, dashboard_url=dashboard_url)}
    body = {"type": type_of(kind), "timestamp": _moment(data, at), "data": said}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def type_of(kind: str) -> str:
    """Return the event's name for webhooks: ``run.failed``, ``job.overdue``, ``alert.digest``, ``alert.test``."""
    group = {"overdue": "job", "digest": "alert", "test": "alert"}.get(kind, "run")
    return f"{group}.{kind}"


def slack_text(kind: str, data: Mapping[str, Any], *, alert_name: str, dashboard_url: str) -> bytes:
    """Return the body of a message in Slack, with Slack's own characters escaped."""
    lines = [f"*{_slack(headline(kind, data, alert_name=alert_name))}*", *map(_slack, details(kind, data))]
    if url := link(data, dashboard_url=dashboard_url):
        lines.append(f"<{_slack(url)}|Open the dashboard>")
    return json.dumps({"text": "\n".join(lines)}).encode()


def mail_of(kind: str, data: Mapping[str, Any], *, alert_name: str) -> Alert:
    """Return the mail. The notify function puts the dashboard's address before its link."""
    team = data.get("team") or (data.get("events") or [{}])[0].get("team") or {}
    return Alert(
        subject=headline(kind, data, alert_name=alert_name),
        lines=details(kind, data) or ["Nothing else is known."],
        page=_page(data),
        reason=f'You get this mail because the alert "{one_line(alert_name, longest=100)}" of the team '
        f"{one_line(str(team.get('name')), longest=100)} names you. An admin of the team can change it.",
    )


def headline(kind: str, data: Mapping[str, Any], *, alert_name: str) -> str:
    if kind == "test":
        return f"Test of the alert {one_line(alert_name, longest=100)}"
    if kind == "digest":
        failed = f", {number(data['failed'])} of them failures" if data["failed"] else ""
        return f"{number(data['count'])} events of {one_line(alert_name, longest=100)}{failed}"
    return one_line(f"{_label(data)} {VERBS[kind]}: {data['project']['name']}", longest=200)


def details(kind: str, data: Mapping[str, Any]) -> list[str]:
    """Return the sentences below the headline."""
    if kind == "test":
        return ["A team admin sent this message to see that it arrives."]
    if kind == "digest":
        events = data["events"]
        lines = [headline(each["kind"], each, alert_name="") + _why(each) for each in events[:LISTED]]
        left = data["count"] - len(lines)
        return [*lines, *([f"And {number(left)} more."] if left else [])]
    if kind == "overdue":
        since = data["last_success_at"]
        last = f"The last success was at {_short(since)} UTC." if since else "It has not succeeded yet."
        return [f"It has a schedule, and no run succeeded within {number(data['hours'])} hours. {last}"]
    return [one_line(data["error"], longest=1000)] if data["error"] else []


def link(data: Mapping[str, Any], *, dashboard_url: str) -> str:
    """Return the address of the run, or of the team's list, in the dashboard; empty without a dashboard."""
    return f"{dashboard_url.rstrip('/')}/{_page(data)}" if dashboard_url else ""


def _page(data: Mapping[str, Any]) -> str:
    if data.get("run_id"):
        return f"runs/{data['run_id']}"
    events = data.get("events") or [data]
    return f"?team={events[0]['team']['id']}"


def _why(event: Mapping[str, Any]) -> str:
    return f": {one_line(event['error'], longest=120)}" if event.get("error") else ""


def _label(data: Mapping[str, Any]) -> str:
    known = JOB_TYPES.get(data["job_type"])
    return known.label if known else str(data["job_type"])


def _moment(data: Mapping[str, Any], at: str) -> str:
    return str(data.get("completed_at") or at)


def _short(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

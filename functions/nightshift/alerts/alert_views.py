"""Alerts and deliveries as the API shows them."""

from typing import Any

from nightshift.alerts.public_endpoints import SLACK_HOST
from nightshift.base.wording import timestamp
from nightshift.database.queries import Row


def alert_as_json(row: Row) -> dict[str, Any]:
    config, states = row["config"], row["states"] or {}
    url = {"webhook": config.get("url"), "slack": f"https://{SLACK_HOST}/********"}.get(row["channel"])
    paused = row["paused_at"] and {
        "since": timestamp(row["paused_at"]),
        "by": row["paused_by"],
        "why": row["paused_why"],
    }
    return {
        "id": str(row["id"]),
        "team_id": str(row["team_id"]),
        "name": row["name"],
        "channel": row["channel"],
        "events": row["events"],
        "job_types": row["job_types"],
        "project_ids": row["project_ids"] and [str(each) for each in row["project_ids"]],
        "url": url,
        "admins": bool(config.get("admins")),
        "addresses": [{"address": each, "state": states[each]} for each in config.get("addresses", ())],
        "minutes_between": row["minutes_between"],
        "overdue_hours": row["overdue_hours"],
        "old_secret_until": timestamp(row["old_secret_until"]),
        "created_by": row["created_by"],
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
        "paused": paused,
        "failing": {"since": timestamp(row["failing_since"]), "failures": row["failures"]} if row["failures"] else None,
        "last": row["last_at"]
        and {
            "at": timestamp(row["last_at"]),
            "kind": row["last_kind"],
            "status": row["last_status"],
            "error": row["last_error"],
        },
    }


def delivery_as_json(row: Row) -> dict[str, Any]:
    moments = {name: timestamp(row[name]) for name in ("send_at", "created_at", "ended_at")}
    ids = {name: row[name] and str(row[name]) for name in ("id", "alert_id", "run_id", "digest_id")}
    return dict(row) | moments | ids

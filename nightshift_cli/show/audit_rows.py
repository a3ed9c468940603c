"""Rendering of the audit's entries."""

import json
from collections.abc import Mapping
from typing import Any

from nightshift_cli.base.text import clean
from nightshift_cli.show.times import minute

TEAM_HEADERS = ("WHEN", "BY", "CHANGE", "DETAILS")
SYSTEM_HEADERS = ("WHEN", "BY", "TEAM", "CHANGE", "DETAILS")
OPTIONAL = ("DETAILS",)


def change_of(entry: Mapping[str, Any]) -> str:
    """Return ``agent key ended``; the action of a later release is shown as it is."""
    return clean(entry.get("action")).replace("_", " ").replace(".", " ")


def details_of(entry: Mapping[str, Any]) -> str:
    """Return ``name=CI, days=90``, or the subject's id if there are no details."""
    details = entry.get("details")
    known = {name: value for name, value in details.items() if value is not None} if isinstance(details, dict) else {}
    words = [f"{clean(name)}={_word(value)}" for name, value in known.items()]
    return ", ".join(words) or f"{clean(entry.get('subject_type'))} {clean(entry.get('subject_id'))}"


def when(entry: Mapping[str, Any]) -> str:
    return minute(entry.get("occurred_at"))


def _word(value: object) -> str:
    return clean(value if isinstance(value, str) else json.dumps(value))

"""The audit: who made, changed, stored, paused or ended what, and when. The entries are kept for a year.

An entry is written in the transaction of the change that it tells of. Starts and cancels of runs by a team have no
entries: the runs themselves say who asked for them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.base.paging import fitting
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database

OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True)
class Author:
    """The person or the key that makes a change, and the request in which they do so."""

    actor: str
    """``user:<id>``, ``api_key:<id>``, or ``operator:<ARN>`` with the ARN that the command line claims."""
    request_id: str

    @property
    def triggered_by(self) -> str:
        """What runs and schedules store: ``manual:user:<id>``."""
        return f"manual:{self.actor}"


class Entry(NamedTuple):
    """An entry as list_audit_entries.sql returns it. ``team`` is the slug of a team that still exists."""

    id: UUID
    occurred_at: datetime
    team_id: UUID | None
    team: str | None
    actor: str
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]
    request_id: str

    def as_json(self, *, for_team: bool) -> dict[str, Any]:
        """Return the entry. Teams see that it was the operator, but no ARN, which names an account and its people."""
        shown = self._asdict() | {
            "id": str(self.id),
            "occurred_at": timestamp(self.occurred_at),
            "team_id": self.team_id and str(self.team_id),
        }
        if for_team:
            del shown["team"]
            shown["actor"] = actor_for_team(self.actor)
        return shown


def actor_for_team(actor: str | None) -> str | None:
    """Return an author's actor without the operator's ARN."""
    return OPERATOR if actor and actor.startswith(f"{OPERATOR}:") else actor


class AuditPage(NamedTuple):
    entries: list[dict[str, Any]]
    cursor: str | None
    """The cursor of the next page; None: this is the last page."""


def record(
    db: Database, author: Author, action: str, *, of: tuple[str, object], team_id: str | None, **details: Any
) -> None:
    """Write an entry. Call this in the transaction of the change. ``of`` is the type and the id of what changed.

    ``action`` is like ``integration.stored``; ``team_id`` None means the whole system. ``details`` hold no secret.
    """
    subject_type, subject_id = of
    db.query(
        "insert_audit_entry",
        team_id=team_id,
        actor=author.actor,
        action=action,
        subject_type=subject_type,
        subject_id=str(subject_id),
        details=details,
        request_id=author.request_id,
    )


def list_page(
    *,
    team_id: str | None,
    before_id: str | None,
    limit: int,
    db: Database,
    again_if_gone: bool = False,
) -> AuditPage:
    """Return entries, the newest first: of one team, or of all teams and the system if ``team_id`` is None.

    ``before_id`` is a cursor: the id of a page's last entry.
    """
    found = db.query_as(
        Entry,
        "list_audit_entries",
        again_if_gone=again_if_gone,
        team_id=team_id,
        before_id=before_id,
        limit=limit + 1,
    )
    shown = [entry.as_json(for_team=team_id is not None) for entry in found]
    page = shown[: fitting(shown[:limit])]
    return AuditPage(page, page[-1]["id"] if len(shown) > len(page) else None)

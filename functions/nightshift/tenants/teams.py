"""Teams and their members: the teams that a caller may access, and the names behind a run's ``triggered_by``."""

from collections.abc import Iterable
from itertools import dropwhile
from typing import Any

from nightshift.base.errors import Refused
from nightshift.base.paging import MAX_BYTES, fitting
from nightshift.base.validation import shown
from nightshift.database.queries import Database, Row
from nightshift.tenants.auth import Membership


def find(teams: Iterable[Membership], *, q: str | None, after: str | None, limit: int) -> tuple[list[Membership], str]:
    """Return a page of the caller's teams whose name or slug contains ``q``, and the cursor of the next page, or "".

    ``after`` is a cursor: the slug of a page's last team. Raise Refused if no team has it.
    """
    known = list(teams)
    if after is not None:
        ahead = list(dropwhile(lambda team: team.slug != after, known))
        if not ahead:
            raise Refused(f"cursor must be one that a list returned, got {shown(after)}")
        known = ahead[1:]
    wanted = (q or "").lower()
    found = [team for team in known if wanted in team.name.lower() or wanted in team.slug.lower()]
    page = found[: fitting([team.team_id, team.name, team.slug, team.role] for team in found[:limit])]
    return page, page[-1].slug if len(found) > len(page) else ""


def members(team_id: str, *, with_emails: bool, q: str | None, limit: int, db: Database) -> dict[str, Any]:
    """Return ``{"members": [{"id", "email", "role"}], "api_keys": [{"id", "name"}]}``.

    Emails are None unless ``with_emails``. Each list has at most ``limit`` entries; ``has_more`` is true if there are
    more. ``q`` is an id, or a part of an address or name.
    """
    listed: dict[str, list[Row]] = {
        "members": db.query("list_members", team_id=team_id, with_emails=with_emails, q=q, limit=limit + 1),
        "api_keys": db.query("list_api_keys", team_id=team_id, q=q, limit=limit + 1),
    }
    kept: dict[str, list[Row]] = {}
    for name, rows in listed.items():
        named = [row | {"id": str(row["id"])} for row in rows]
        kept[name] = named[: fitting(named[:limit], most_bytes=MAX_BYTES // len(listed))]
    more = any(len(kept[name]) < len(rows) for name, rows in listed.items())
    return kept | ({"has_more": True} if more else {})

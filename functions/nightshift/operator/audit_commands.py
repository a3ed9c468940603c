"""The command that lists the audit's entries, of all teams and of the operator."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from nightshift.database.queries import Database
from nightshift.tenants import audit


def list_entries(
    *, limit: Annotated[int, Field(ge=1, le=200)] = 50, cursor: UUID | None = None, db: Database
) -> dict[str, Any]:
    """Return ``{"entries": […], "cursor": …}``, the newest first. Without a ``cursor``, this is the last page."""
    before_id = str(cursor) if cursor else None
    page = audit.list_page(team_id=None, before_id=before_id, limit=limit, db=db, again_if_gone=True)
    return {"entries": page.entries, "cursor": page.cursor}

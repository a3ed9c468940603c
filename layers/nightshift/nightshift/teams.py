"""Who is in a team: the names behind a run's ``triggered_by``."""

from typing import Any

from nightshift.database import Database


def members(team_id: str, *, with_emails: bool, db: Database) -> dict[str, Any]:
    """``{"members": [{"id", "email", "role"}], "api_keys": [{"id", "name"}]}``; each email is None without them."""
    listed = {
        name: [row | {"id": str(row["id"])} for row in db.query(query, team_id=team_id)]
        for name, query in (("members", "list_members"), ("api_keys", "list_api_keys"))
    }
    if not with_emails:
        listed["members"] = [row | {"email": None} for row in listed["members"]]
    return listed

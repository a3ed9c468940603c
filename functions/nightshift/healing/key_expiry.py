"""Tell a team a week before one of its agent keys expires: one mail to each admin, once for each expiry."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from nightshift.base.wording import moment
from nightshift.database.queries import Database
from nightshift.notify import outbox


class ExpiringKey(NamedTuple):
    """A key that expires within a week, and whose team is told of it now (look_at_keys.sql)."""

    id: str
    team_id: str
    name: str
    key_prefix: str
    expires_at: datetime
    last_used_at: datetime | None
    team: str


def tell_of_expiring(key_ids: Sequence[str], *, db: Database) -> int:
    """Look at these keys, and write the mails about those that expire within a week. Return the number of these."""
    with db.transaction():
        expiring = db.query_as(ExpiringKey, "look_at_keys", keys=list(key_ids))
        for key in expiring:
            outbox.mail_team(key.team_id, _alert(key), db=db)
    return len(expiring)


def _alert(key: ExpiringKey) -> outbox.Alert:
    used = f"It was last used on {moment(key.last_used_at)}." if key.last_used_at else "No use of it is known."
    return outbox.Alert(
        subject=f"The agent key {key.name} of {key.team} expires in a week",
        lines=[
            f'The agent key "{key.name}" ({key.key_prefix}…) of the team {key.team} expires on '
            f"{moment(key.expires_at)}. From then on, the API refuses its requests. {used}",
            "If a script still needs it, replace it before that time: Rotate on the team's page of the dashboard, or "
            f"nightshift keys rotate {key.id}",
            "You get no further mail about this expiry.",
        ],
    )

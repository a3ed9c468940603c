"""A team's agent keys, as its admins make, list, rotate and end them: also by a key with the permission keys:write.

A key that acts here never gains by it: it makes, rotates and ends only keys with permissions that it has itself, none
that outlives it, and not itself.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from nightshift.base.errors import Conflict, Forbidden, NotFound, Refused, Unauthorized
from nightshift.base.validation import shown
from nightshift.base.wording import moment, timestamp
from nightshift.database.queries import Database, Row
from nightshift.tenants import audit
from nightshift.tenants.agent_keys import NewKey, new_agent_key
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import Principal
from nightshift.tenants.key_terms import AGENT_PERMISSIONS, PERMISSIONS

PERMISSION = "keys:write"
# Working keys of a team. People have to recognise each one in a list to know which to end.
MOST_KEYS = 100
# The operator and the platform may make more than that, and keys that have expired are listed as well.
MAX_LISTED = 1000


class StoredKey(NamedTuple):
    """A key of the team, locked by this session (lock_team_key.sql)."""

    id: str
    name: str
    key_prefix: str
    permissions: list[str]
    created_by: str | None
    expires_at: datetime | None
    ended: bool
    expired: bool
    replaced_by: str | None
    days: int | None


class _Maker(NamedTuple):
    """The person or the key that acts. A key acts for the same person as the key that made it."""

    person: str | None
    key: StoredKey | None

    @property
    def until(self) -> datetime | None:
        return self.key and self.key.expires_at

    def require(self, permissions: Sequence[str]) -> None:
        """Raise Forbidden unless the maker has these permissions. An admin has all of them."""
        for permission in permissions:
            if self.key and permission not in self.key.permissions:
                raise Forbidden(f"Missing permission: {permission}. A key can give and take only what it has itself")


def list_of_team(team_id: str, *, db: Database) -> tuple[list[dict[str, Any]], bool]:
    """Return the team's keys that are not ended, the newest first, and whether there are more."""
    rows = db.query("list_team_keys", team_id=team_id, key_id=None, limit=MAX_LISTED + 1)
    return [_as_json(row) for row in rows[:MAX_LISTED]], len(rows) > MAX_LISTED


def make(
    team_id: str, *, name: str, permissions: Sequence[str] | None, days: int | None, is_default: bool, who: Principal,
    author: Author, db: Database
) -> dict[str, Any]:  # fmt: skip
    """Make a key and return it, with the key itself in ``secret``. ``days`` None: it does not expire.

    With ``is_default``, a key that acts makes one that expires with it, if that is sooner.
    Raises Refused, Forbidden for a permission that the caller lacks, and Conflict if the team has too many keys.
    """
    wanted = list(dict.fromkeys(AGENT_PERMISSIONS if permissions is None else permissions))
    for permission in wanted:
        if permission not in PERMISSIONS:
            raise Refused(f"permissions must be among {', '.join(PERMISSIONS)}, got {shown(permission)}")
    with db.transaction():
        maker = _locked_maker(team_id, who=who, db=db)
        maker.require(wanted)
        if not is_default:
            _require_shorter_life(days, maker)
        _require_room(team_id, db=db)
        made = new_agent_key(
            db,
            author=author,
            team_id=team_id,
            created_by=maker.person,
            name=name,
            permissions=wanted,
            days=days,
            until=maker.until,
        )
    return _shown_once(made, team_id=team_id, db=db)


def rotate(
    team_id: str, key_id: str, *, grace_days: int, who: Principal, author: Author, db: Database
) -> dict[str, Any]:
    """Make a key with the name, permissions and lifetime of this one, which ends after ``grace_days``. Return the new.

    Raises NotFound, and Conflict if the key no longer works or was rotated before. With a grace, both work for a while,
    so it is Conflict, too, if the team has too many keys.
    """
    with db.transaction():
        maker = _locked_maker(team_id, who=who, db=db)
        old = _locked_other(team_id, key_id, maker=maker, verb="rotate", db=db)
        if old.ended or old.expired:
            raise Conflict(f"This key has {'ended' if old.ended else 'expired'}. Make a new one")
        if old.replaced_by:
            raise Conflict("This key was rotated before. Rotate the key that replaced it", replaced_by=old.replaced_by)
        if grace_days:
            _require_room(team_id, db=db)
        made = new_agent_key(
            db,
            author=author,
            team_id=team_id,
            created_by=maker.person,
            name=old.name,
            permissions=old.permissions,
            days=old.days,
            until=maker.until,
            replaces=old.key_prefix,
        )
        db.query("end_team_key", key_id=key_id, grace_days=grace_days)
        db.query("note_replaced_key", key_id=key_id, replaced_by=made.id)
        _record(old, "agent_key.rotated", team_id=team_id, author=author, db=db, grace_days=grace_days)
    return _shown_once(made, team_id=team_id, db=db)


def end(team_id: str, key_id: str, *, who: Principal, author: Author, db: Database) -> None:
    """End the key at once. A key that has ended stays as it is. Raises NotFound."""
    with db.transaction():
        maker = _locked_maker(team_id, who=who, db=db)
        old = _locked_other(team_id, key_id, maker=maker, verb="end", db=db)
        if not old.ended:
            db.query("end_team_key", key_id=key_id, grace_days=0)
            _record(old, "agent_key.ended", team_id=team_id, author=author, db=db)


def _locked_maker(team_id: str, *, who: Principal, db: Database) -> _Maker:
    """Wait for the callers before, and return the maker. Raises Unauthorized for a key that one of them has ended."""
    db.query("lock_keys_of_team", team_id=team_id)
    if who.kind == "user":
        return _Maker(who.id, None)
    key = db.one_as(StoredKey, "lock_team_key", team_id=team_id, key_id=who.id)
    if key is None or key.ended:
        raise Unauthorized("Invalid API key")
    if key.expired:
        raise Unauthorized("API key expired")
    return _Maker(key.created_by, key)


def _locked_other(team_id: str, key_id: str, *, maker: _Maker, verb: str, db: Database) -> StoredKey:
    found = db.one_as(StoredKey, "lock_team_key", team_id=team_id, key_id=key_id)
    if found is None:
        raise NotFound("Key not found")
    if maker.key and maker.key.id == found.id:
        raise Refused(f"A key cannot {verb} itself. Sign in as an admin of the team, or use another key")
    maker.require(found.permissions)
    return found


def _require_room(team_id: str, *, db: Database) -> None:
    """Raise Conflict if the team has no place for another working key."""
    if db.query("count_live_keys", team_id=team_id)[0]["live"] >= MOST_KEYS:
        raise Conflict(f"This team has {MOST_KEYS} working keys, which is the limit. End one first")


def _require_shorter_life(days: int | None, maker: _Maker) -> None:
    """Raise Refused if a key with this life would outlive the key that makes it."""
    until = maker.until
    if until and (days is None or datetime.now(UTC) + timedelta(days=days) > until):
        got = shown("never" if days is None else days)
        raise Refused(
            f"expires_in_days must not go beyond the expiry of the key that makes it, {moment(until)}, got {got}"
        )


def _record(key: StoredKey, action: str, *, team_id: str, author: Author, db: Database, **details: object) -> None:
    of = ("agent_key", key.id)
    audit.record(db, author, action, of=of, team_id=team_id, name=key.name, key_prefix=key.key_prefix, **details)


def _shown_once(made: NewKey, *, team_id: str, db: Database) -> dict[str, Any]:
    [row] = db.query("list_team_keys", team_id=team_id, key_id=made.id, limit=1)
    return _as_json(row) | {"secret": made.key}


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "key_prefix": row["key_prefix"],
        "permissions": row["permissions"],
        "made_by": audit.actor_for_team(row["made_by"]),
        "maker_has_left": row["maker_has_left"],
        "created_at": timestamp(row["created_at"]),
        "expires_at": timestamp(row["expires_at"]),
        "expired": row["expired"],
        "last_used_at": timestamp(row["last_used_at"]),
        "replaced_by": row["replaced_by"] and str(row["replaced_by"]),
    }

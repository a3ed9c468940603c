"""Bulk actions of teams: cancel many runs, or run many again. A preview fixes the runs, and a person confirms it.

The items of a confirmed action are worked in batches (bulk_items.py): the first by the request that confirms it, the
others by the sweep, once a minute.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from nightshift.base.errors import Conflict, NotFound, Refused, TooMany
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.runs import bulk_items
from nightshift.runs.reading import Filters, Searched, matches
from nightshift.tenants import audit
from nightshift.tenants.audit import Author

# The most runs of one action, and how many actions of a team may be at work, and be previews, at the same time.
MOST_RUNS, MOST_WORKING, MOST_PREVIEWS = 10_000, 5, 20
MOST_LISTED = 20
# Items that the request which confirms an action works itself, so that a person sees the end of a small one at once.
AT_ONCE = 50

Kind = Literal["cancel", "rerun"]


class BulkAction(NamedTuple):
    """An action with its figures (list_bulk_actions.sql)."""

    id: UUID
    action: Kind
    from_cursor: bool
    asked: dict[str, Any]
    created_by: str
    created_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    ended_at: datetime | None
    runs: int
    projects: int
    to_do: int
    started: int
    cancelled: int
    asked_to_stop: int
    superseded: int
    skipped: int
    reasons: list[dict[str, Any]] | None

    @property
    def state(self) -> str:
        return "ended" if self.ended_at else "working" if self.confirmed_at else "preview"

    def as_json(self) -> dict[str, Any]:
        figures = ("runs", "projects", "to_do", "started", "cancelled", "asked_to_stop", "superseded", "skipped")
        return {
            "id": str(self.id),
            "action": self.action,
            "from": "cursor" if self.from_cursor else "start",
            "state": self.state,
            "asked": self.asked,
            "made_by": self.created_by,
            "made_at": timestamp(self.created_at),
            "confirmed_by": self.confirmed_by,
            "confirmed_at": timestamp(self.confirmed_at),
            "ended_at": timestamp(self.ended_at),
            "figures": {name: getattr(self, name) for name in figures},
            "reasons": self.reasons or [],
        }


class BulkItem(NamedTuple):
    """A run of an action, and what became of it (list_bulk_items.sql). Without an outcome, it is still to be done."""

    run_id: UUID
    project_id: UUID
    job_type: str
    run_created_at: datetime
    outcome: str | None
    reason: str | None
    new_run_id: UUID | None

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": str(self.run_id),
            "project_id": str(self.project_id),
            "job_type": self.job_type,
            "run_created_at": timestamp(self.run_created_at),
            "outcome": self.outcome,
            "reason": self.reason,
            "new_run_id": self.new_run_id and str(self.new_run_id),
        }


def preview(
    kind: Kind,
    wanted: Filters | Sequence[str],
    *,
    asked: dict[str, Any],
    from_cursor: bool,
    team_id: str,
    created_by: str,
    db: Database,
) -> tuple[dict[str, Any], Searched | None]:
    """Fix the runs of an action: those that match, or those with these ids. Return it, and how far a search looked.

    Raises Refused if too many runs match, or none of the ids is a run of the team, TooMany if the team has too many
    previews, and NotFound for a project of another team.
    """
    searched = None
    if isinstance(wanted, Filters):
        found = matches(wanted, team_id=team_id, limit=MOST_RUNS, db=db)
        run_ids = found.ids
        if wanted.searches:
            searched = Searched(found.looked_at, found.last_created_at)
    else:
        run_ids = list(wanted)
    if len(run_ids) > MOST_RUNS:
        raise Refused(f"More than {MOST_RUNS:,} runs match, which is the limit. Choose a shorter time or more filters")
    action_id = str(uuid.uuid4())
    with db.transaction():
        db.query("lock_bulk_actions_of_team", team_id=team_id)
        _refuse_more("previews", MOST_PREVIEWS, team_id=team_id, db=db)
        db.query(
            "insert_bulk_action",
            action_id=action_id,
            team_id=team_id,
            action=kind,
            from_cursor=from_cursor,
            asked=asked,
            created_by=created_by,
        )
        db.query(
            "insert_bulk_items",
            action_id=action_id,
            team_id=team_id,
            action=kind,
            from_cursor=from_cursor,
            run_ids=run_ids,
        )
        made = _get(action_id, team_id=team_id, db=db)
        if made.runs == 0 and not isinstance(wanted, Filters):
            raise Refused("run_ids must be ids of this team's runs, got none")
    return made.as_json(), searched


def confirm(action_id: str, *, team_id: str, author: Author, db: Database, settings: Settings) -> dict[str, Any]:
    """Start the action, work its first items, and return it. A repeat returns it as it is.

    Raises NotFound, Conflict for a preview of more than an hour ago, and TooMany if too many actions are at work.
    """
    with db.transaction():
        db.query("lock_bulk_actions_of_team", team_id=team_id)
        found = _get(action_id, team_id=team_id, db=db)
        if found.state != "preview":
            return found.as_json()
        _refuse_more("working", MOST_WORKING, team_id=team_id, db=db)
        is_first = bool(db.query("confirm_bulk_action", action_id=action_id, confirmed_by=author.triggered_by))
        if is_first:
            audit.record(
                db, author, "bulk_action.confirmed", of=("bulk_action", action_id), team_id=team_id,
                kind=found.action, runs=found.to_do,
            )  # fmt: skip
    if is_first:
        try:
            bulk_items.work_first(action_id, at_most=AT_ONCE, db=db, settings=settings)
        except Exception as exc:
            # The action is stored, and the sweep works it.
            logger.warning(f"The first items of a bulk action failed: {exc}", action="bulk_items_failed")
    confirmed = _get(action_id, team_id=team_id, db=db)
    if confirmed.state == "preview":
        raise Conflict("This preview is more than an hour old. Make a new one: the runs have changed since")
    return confirmed.as_json()


def stop(action_id: str, *, team_id: str, author: Author, db: Database) -> dict[str, Any]:
    """Skip what is left to do, and return the action. What is done stays.

    Raises NotFound, or Conflict for a preview.
    """
    found = _get(action_id, team_id=team_id, db=db)
    if found.state == "preview":
        raise Conflict("This action was not confirmed: there is nothing to stop")
    with db.transaction():
        stopped = db.query("stop_bulk_action", action_id=action_id)
        if stopped:
            audit.record(
                db, author, "bulk_action.stopped", of=("bulk_action", action_id), team_id=team_id,
                kind=found.action, runs=len(stopped),
            )  # fmt: skip
    db.query("end_bulk_actions")
    return _get(action_id, team_id=team_id, db=db).as_json()


def get(action_id: str, *, team_id: str, db: Database) -> dict[str, Any]:
    """Return the action with its figures. Raises NotFound."""
    return _get(action_id, team_id=team_id, db=db).as_json()


def list_of_team(team_id: str, *, db: Database) -> list[dict[str, Any]]:
    """Return the newest actions that were confirmed."""
    found = db.query_as(BulkAction, "list_bulk_actions", action_id=None, team_id=team_id, limit=MOST_LISTED)
    return [action.as_json() for action in found]


def items_of(
    action_id: str, *, after_run_id: str | None, limit: int, team_id: str, db: Database
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of the action's runs, and the cursor of the next page if there is one. Raises NotFound."""
    _get(action_id, team_id=team_id, db=db)
    found = db.query_as(BulkItem, "list_bulk_items", action_id=action_id, after_run_id=after_run_id, limit=limit + 1)
    page = found[:limit]
    return [item.as_json() for item in page], str(page[-1].run_id) if len(found) > limit else None


def _get(action_id: str, *, team_id: str, db: Database) -> BulkAction:
    found = db.one_as(BulkAction, "list_bulk_actions", action_id=action_id, team_id=team_id, limit=1)
    if found is None:
        raise NotFound("Bulk action not found")
    return found


def _refuse_more(what: Literal["previews", "working"], most: int, *, team_id: str, db: Database) -> None:
    """Raise TooMany if the team has as many as it may have. The caller's lock keeps others from adding one."""
    if db.query("count_bulk_actions", team_id=team_id)[0][what] >= most:
        raise TooMany(
            f"This team has {most} previews of bulk actions, which is the limit. Each ends an hour after it was made"
            if what == "previews"
            else f"{most} bulk actions of this team are at work, which is the limit. Wait for one to end, or stop one"
        )

"""Where the users of a sync come from, phase by phase."""

from typing import Any

from nightshift.jobs import JobDatabase, Run
from nightshift_jobs.revenuecat_sync.crew import Item
from nightshift_jobs.revenuecat_sync.revenuecat.client import RevenueCat
from nightshift_jobs.revenuecat_sync.revenuecat.flight import Flight
from nightshift_jobs.revenuecat_sync.walk import Walk

PAGE_SIZE = 500
# The phases of each mode, in order.
PHASES = {"full": ("users",)}


class Phases:
    """The users of the walk's phase, or those that are tried again."""

    def __init__(self, run: Run, db: JobDatabase, walk: Walk, *, flight: Flight, client: RevenueCat):
        self._run, self._db, self._walk = run, db, walk
        self._flight, self._client = flight, client
        self.restart()

    def restart(self) -> None:
        """Begin behind the walk's position."""
        self._after, self._is_over = self._walk.after, False

    def move_on(self) -> bool:
        """Go to the next phase. Return False behind the last one."""
        walk, phases = self._walk, PHASES[self._walk.mode]
        following = phases.index(walk.phase) + 1 if walk.phase in phases else len(phases)
        walk.phase, walk.after = (*phases, "end")[following], None
        self.restart()
        return walk.phase != "end"

    def more(self) -> list[Item]:
        """Return the next users, or none at the end of the phase."""
        if self._is_over or (self._walk.phase == "end" and not self._walk.is_retrying):
            return []
        items = self._again() if self._walk.is_retrying else self._users()
        self._is_over = self._is_over or not items
        return items

    def _again(self) -> list[Item]:
        self._is_over = True
        ids = self._walk.retry
        rows = self._db.read("app_users_by_id", project_id=self._run.project_id, ids=ids)
        found: dict[str, dict[str, Any]] = {str(row["id"]): row for row in rows}
        return [Item(id, found.get(id)) for id in ids]

    def _users(self) -> list[Item]:
        rows = self._db.read("next_app_users", project_id=self._run.project_id, after=self._after, page_size=PAGE_SIZE)
        items = [Item(str(row["id"]), row, str(row["id"])) for row in rows]
        self._after = items[-1].after if items else self._after
        return items

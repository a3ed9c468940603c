"""Where the users of a sync come from, phase by phase."""

import json
import math
from collections.abc import Callable
from typing import Any

from nightshift.jobs import JobDatabase, Run
from nightshift_jobs.revenuecat_sync.crew import Item
from nightshift_jobs.revenuecat_sync.looks import LAST_MS
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import Postponed, RateLimited, Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.revenuecat.client import RevenueCat, landmarks, text_of
from nightshift_jobs.revenuecat_sync.revenuecat.flight import Flight
from nightshift_jobs.revenuecat_sync.revenuecat.governor import Governor
from nightshift_jobs.revenuecat_sync.walk import Walk

PAGE_SIZE = 500
# The part of the users with a running subscription, and of the others, at whom an incremental sync looks in turn.
ROTATION_OF_PAYERS, ROTATION = 7, 30
# Pages of the list of customers, which has a hundred on each. An endless list must not stop the sync.
MOST_LIST_PAGES = 20_000
# After so many waits for the list, the sync goes on without it: if RevenueCat is down, the next users show it.
WAITS_FOR_THE_LIST = 4


class Phases:
    """The users of the walk's phase, or those that are tried again."""

    def __init__(
        self,
        run: Run,
        db: JobDatabase,
        walk: Walk,
        *,
        flight: Flight,
        client: RevenueCat,
        governor: Governor,
        clock: Callable[[], float],
    ):
        self._run, self._db, self._walk = run, db, walk
        self._flight, self._client = flight, client
        self._governor, self._clock = governor, clock
        self.restart()

    def restart(self) -> None:
        """Begin behind the walk's position."""
        self._after, self._is_over = self._walk.after, False

    def move_on(self) -> bool:
        """Go to the next phase. Return False behind the last one."""
        self._walk.move_on()
        self.restart()
        return self._walk.phase != "end"

    def more(self) -> list[Item]:
        """Return the next users, or none at the end of the phase."""
        if self._is_over or (self._walk.phase == "end" and not self._walk.is_retrying):
            return []
        items = self._again() if self._walk.is_retrying else getattr(self, f"_{self._walk.phase}")()
        self._is_over = self._is_over or not items
        return items

    def _again(self) -> list[Item]:
        heard = []
        if self._governor.is_refused:
            # Without this call a 429 about one user would look like a rate limit that other clients use up.
            try:
                self._list(None)
                heard = [Item("", None)]
            except Postponed:
                raise
            except (Rejected, Unavailable):
                pass  # the users who are tried again show whether RevenueCat is down
        self._is_over = True
        ids = self._walk.next_tries()
        rows = self._db.read("app_users_by_id", project_id=self._run.project_id, ids=ids)
        found: dict[str, dict[str, Any]] = {str(row["id"]): row for row in rows}
        return [*heard, *(Item(id, found.get(id)) for id in ids)]

    def _users(self) -> list[Item]:
        return self._by_id("next_app_users")

    def _newcomers(self) -> list[Item]:
        return self._by_id("next_newcomers")

    def _by_id(self, query: str) -> list[Item]:
        rows = self._db.read(query, project_id=self._run.project_id, after=self._after, page_size=PAGE_SIZE)
        items = [Item(str(row["id"]), row, str(row["id"])) for row in rows]
        self._after = items[-1].after if items else self._after
        return items

    def _payers(self) -> list[Item]:
        after, after_id = self._after or (None, None)
        rows = self._db.read(
            "next_payers",
            project_id=self._run.project_id,
            began=self._walk.began,
            after=after,
            after_id=after_id,
            page_size=PAGE_SIZE,
        )
        items = [Item(str(row["id"]), row, [row["place"], str(row["id"])]) for row in rows]
        self._after = items[-1].after if items else self._after
        return items

    def _running(self) -> list[Item]:
        return self._in_turn(ROTATION_OF_PAYERS, is_running=True)

    def _others(self) -> list[Item]:
        return self._in_turn(ROTATION, is_running=False)

    def _in_turn(self, rotation: int, *, is_running: bool) -> list[Item]:
        after, after_id, left = self._after or (None, None, None)
        rows = self._db.read(
            "next_in_turn",
            is_running=is_running,
            project_id=self._run.project_id,
            began=self._walk.began,
            after=after,
            after_id=after_id,
            page_size=PAGE_SIZE if left is None else min(left, PAGE_SIZE),
        )
        if rows and left is None:
            left = math.ceil(rows[0]["others"] / rotation)
        items = [
            Item(str(row["id"]), row, [row["place"], str(row["id"]), (left or 0) - n])
            for n, row in enumerate(rows[:left], 1)
        ]
        self._after = items[-1].after if items else self._after
        return items

    def _seen(self) -> list[Item]:
        """Return the users of one page of RevenueCat's list who were seen lately, and the place behind them."""
        page, pages, known = self._after or (None, 0, [])
        try:
            rows, following = self._list(page)
        except Postponed:
            raise
        except (Rejected, Unavailable) as exc:
            if isinstance(exc, Unavailable) and self._walk.attempt < WAITS_FOR_THE_LIST:
                raise
            # Users whom the list would name are asked for after a later list, or have their turn among the others.
            self._walk.list_error = str(exc)
            return []
        ids = [text_of(row, "id") for row in rows]
        is_endless = (page and following == page) or (ids and ids[0] and ids[0] in known) or pages >= MOST_LIST_PAGES
        if not rows or is_endless:
            return []
        seen = {id: _seen_at(row) for id, row in zip(ids, rows, strict=True) if id}
        users = self._db.read(
            "seen_app_users", project_id=self._run.project_id, seen=json.dumps(seen), began=self._walk.began
        )
        self._is_over = following is None
        self._after = [following, pages + 1, landmarks(pages, ids[0], known)]
        return [*(Item(str(row["id"]), row) for row in users), Item("", None, self._after if following else None)]

    def _list(self, page: str | None) -> tuple[list[Any], str | None]:
        """Return a page of RevenueCat's list and the address behind it. Raises RateLimited if no call is left."""
        wait_s = self._governor.wait_s(self._clock(), 1, in_flight=self._flight.in_flight)
        if wait_s > 0:
            raise RateLimited("RevenueCat's rate limit was used up", "no call left for the list", wait_s=wait_s)
        answer: tuple[list[Any], str | None] = self._flight.run(self._client.customers(page))
        return answer


def _seen_at(row: dict[str, Any]) -> int | None:
    """Return the time in milliseconds, or None for anything that is not one."""
    seen_at = row.get("last_seen_at")
    return min(LAST_MS, max(0, seen_at)) if type(seen_at) is int else None

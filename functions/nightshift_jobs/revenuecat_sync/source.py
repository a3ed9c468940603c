"""One slice's connection to RevenueCat: the key, the project's catalogue, and the crew that looks at users."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Self

from nightshift.base.errors import JobError
from nightshift.base.settings import settings
from nightshift.base.wording import timestamp
from nightshift.jobs import JobDatabase, Run
from nightshift_jobs.revenuecat_sync.crew import Crew, Item, Outcome
from nightshift_jobs.revenuecat_sync.looks import Look, catalogue_as_json, catalogue_from_json, look_at
from nightshift_jobs.revenuecat_sync.phases import Phases
from nightshift_jobs.revenuecat_sync.place import ANOTHER_PROJECT, require_open, secret_of
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Missing,
    Postponed,
    RateLimited,
    Rejected,
    Unavailable,
)
from nightshift_jobs.revenuecat_sync.revenuecat.client import RevenueCat, text_of
from nightshift_jobs.revenuecat_sync.revenuecat.flight import Flight, Task
from nightshift_jobs.revenuecat_sync.revenuecat.governor import Governor
from nightshift_jobs.revenuecat_sync.revenuecat.http_calls import CallsOf
from nightshift_jobs.revenuecat_sync.revenuecat.mapping import Catalogue
from nightshift_jobs.revenuecat_sync.walk import Walk

# Products may be added during a long sync.
CATALOGUE_FOR_S = 3600
# The catalogue is a part of the cursor, which every commit writes. A larger one is read again in each slice.
LARGEST_CATALOGUE = 16_384
# So many customers of RevenueCat's list are asked for before an outage is believed.
LISTED_ASKED = 3


def count_users(run: Run, db: JobDatabase) -> int:
    """Return the number of the project's users."""
    total: int = db.read("count_app_users", project_id=run.project_id)[0]["total"]
    return total


class Source:
    """RevenueCat and the database, for one slice. ``open`` it before anything else, and close it."""

    def __init__(
        self,
        run: Run,
        db: JobDatabase,
        walk: Walk,
        place: dict[str, Any],
        *,
        clock: Callable[[], float],
        calls: CallsOf,
    ):
        self._run, self._db, self._walk, self._place = run, db, walk, place
        self._clock, self._calls = clock, calls
        self.fingerprint: str = place["fingerprint"]
        is_same_key = walk.fingerprint == self.fingerprint
        self.governor = Governor(walk.governor if is_same_key else None)
        self._flight: Flight | None = None
        self._catalogue: Catalogue | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._flight:
            self._flight.close()

    def open(self) -> None:
        """Open the connection and read the catalogue, unless the cursor has it.

        Raises Unavailable if a wait may help, Denied if RevenueCat refuses the key, or JobError.
        """
        walk, run = self._walk, self._run
        secret = secret_of(self._place, run)
        self._flight = Flight(
            self._calls(secret), self.governor, secret=secret, clock=self._clock, remaining_s=lambda: run.remaining_s
        )
        self.client = RevenueCat(
            base_url=settings().revenuecat_url,
            project_id=self._place["wanted_project"] or self._known_project(),
            environment=None if run.params.get("include_sandbox") else "production",
        )
        self._flight.run(self.client.open())
        if walk.project not in (None, self.client.project_id):
            raise JobError(ANOTHER_PROJECT)
        walk.project, walk.fingerprint = self.client.project_id, self._place["fingerprint"]
        if self._must_begin_anew():
            walk.begin("full", count_users(run, self._db))
        self._read_catalogue()
        self.phases = Phases(
            run,
            self._db,
            walk,
            flight=self._flight,
            client=self.client,
            governor=self.governor,
            clock=self._clock,
        )
        self.crew = Crew(
            self._flight,
            self.governor,
            more=self.phases.more,
            look=self._look,
            clock=self._clock,
            remaining_s=lambda: run.remaining_s,
            slice_left_s=lambda: run.slice_left_s,
            failed_before=walk.attempt > 0,
            is_first=walk.processed == 0,
        )

    def trouble(self, taken: list[tuple[Item, Outcome]]) -> Exception | None:
        """Ask RevenueCat about users that it should know. Return its error if it does not answer about any."""
        assert self._flight
        trouble: Exception | None = self.crew.trouble
        users = [(item.user["user_id"], outcome) for item, outcome in taken if item.user]
        failed = {user_id for user_id, outcome in users if isinstance(outcome, Unavailable)}
        known = next((user_id for user_id, outcome in users if isinstance(outcome, Look)), self._walk.known)
        try:
            for user_id in self._others_than(failed, known):
                try:
                    self._flight.run(self.client.customer(user_id, with_attributes=True))
                    return None
                except Postponed:
                    raise
                except Unavailable as exc:
                    trouble = exc
        except Rejected:
            return None
        except RateLimited as exc:
            # With few calls a minute there may never be one left to ask others: then the try counts without.
            return None if self._walk.is_retrying else exc
        except Exception as exc:
            return exc
        return trouble

    def knows_others(self) -> bool:
        """Return whether RevenueCat answers about a user that it should know, although about none of this sync."""
        assert self._flight
        try:
            for user_id in self._others_than(set(self._walk.ids["errors"]), self._walk.known):
                try:
                    self._flight.run(self.client.customer(user_id, with_attributes=False))
                except Postponed:
                    raise
                except (Rejected, Unavailable):
                    continue
                return True
        except Postponed:
            return True  # it cannot be asked now, which says nothing against it
        except (Rejected, Unavailable):
            return False
        return False

    def _others_than(self, failed: set[str], known: str | None) -> Iterator[str]:
        """Yield a user that was synced, then some of RevenueCat's list. During an outage, the first is enough."""
        assert self._flight
        if known and known not in failed:
            yield known
        if self._walk.attempt == 0:
            rows, _ = self._flight.run(self.client.customers(None))
            listed = [id for row in rows if (id := text_of(row, "id")) and id not in failed | {known}]
            # Customers side by side on the list may have the same trouble.
            yield from listed[:: math.ceil(len(listed) / LISTED_ASKED) or 1]

    def write(self, taken: list[tuple[Item, Outcome]]) -> dict[str, Any]:
        """Write the looks, in one statement. Raises KeyChanged or JobError if they must not be written any longer."""
        users = [
            {"id": item.id} | (outcome.as_row() if isinstance(outcome, Look) else {})
            for item, outcome in taken
            if isinstance(outcome, Look | Missing)
        ]
        if not users:
            return {"shared": 0, "gone": [], "refused": {}}
        answer = self._db.write(
            "write_app_users",
            fingerprint=self._place["fingerprint"],
            users=json.dumps(users),
            **self._of_the_sync(),
        )[0]
        require_open(answer["state"])
        written: dict[str, Any] = answer["written"]
        return written

    def note_failed(self, ids: list[str]) -> None:
        """Record that users had their turn without an answer, so that it is now the turn of others."""
        self._db.write("note_failed_looks", ids=ids)

    def complete(self) -> str | None:
        """Record that the sync is complete. Return when RevenueCat was last asked about the user who waits longest."""
        [row] = self._db.write("complete_sync", began=self._walk.began, **self._of_the_sync())
        return timestamp(row["oldest_look"])

    def save(self) -> float:
        """Note in the walk what the next slice should know. Return the time."""
        now = self._clock()
        self._walk.governor = self.governor.saved(now)
        self._walk.calls_a_minute = self.governor.calls_a_minute(now)
        return now

    def _must_begin_anew(self) -> bool:
        """Return whether a sync with other parameters has overwritten what this one builds on. It may have run between
        this run and the one whose cursor it continues from."""
        wrote_last = {name: self._place[name] for name in ("include_sandbox", "revenuecat_project")}
        is_ours = wrote_last.items() <= self._of_the_sync().items()
        if self._walk.mode == "incremental":
            return not (is_ours and self._place["is_complete"])
        return self._walk.has_written and not is_ours

    def _of_the_sync(self) -> dict[str, Any]:
        include_sandbox = bool(self._run.params.get("include_sandbox"))
        return {
            "project_id": self._run.project_id,
            "include_sandbox": include_sandbox,
            "revenuecat_project": self._walk.project,
        }

    def _known_project(self) -> str | None:
        return self._walk.project if self._walk.fingerprint == self._place["fingerprint"] else None

    def _read_catalogue(self) -> None:
        assert self._flight
        walk, now = self._walk, self._clock()
        if walk.catalogue and now - walk.catalogue_read_at < CATALOGUE_FOR_S:
            self._catalogue = catalogue_from_json(walk.catalogue)
            return
        self._catalogue = self._flight.run(self.client.catalogue())
        saved = catalogue_as_json(self._catalogue)
        is_small = len(json.dumps(saved)) <= LARGEST_CATALOGUE
        walk.catalogue, walk.catalogue_read_at = (saved if is_small else None), now

    def _look(self, user: dict[str, Any]) -> Task:
        assert self._catalogue
        record = yield from self.client.customer(user["user_id"], with_attributes=user["asks_attribution"])
        return look_at(user["user_id"], record, self._catalogue, now_ms=self._clock() * 1000)

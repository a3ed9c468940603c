"""The progress of a sync: its position, its counts, and its waits in a row."""

from dataclasses import asdict, dataclass, field
from typing import Any

from nightshift.base.errors import JobError
from nightshift.jobs import Progress, Wait
from nightshift_jobs.revenuecat_sync.api_errors import Missing, Unavailable
from nightshift_jobs.revenuecat_sync.mapping import Subscriber
from nightshift_jobs.revenuecat_sync.page import Page

# The number of ids that the result names for each kind of problem.
IDS_SHOWN = 10
# Waits in a row without a synced user. They double from 5 s, so the run gives up after about ten minutes.
ATTEMPTS, IN_WORDS, FIRST_WAIT_S = 8, "eight", 5


@dataclass
class Walk:
    """The progress of the sync. Its fields are the run's cursor.

    ``total`` is the number of users at the start; ``attempt`` counts the waits of ``run_id`` since the last user.
    """

    total: int
    after: str | None = None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("synced", "skipped", "active", "inactive", "not_found", "errors"), 0)
    )
    ids: dict[str, list[str]] = field(default_factory=lambda: {"not_found": [], "errors": []})
    attempt: int = 0
    run_id: str = ""

    def take(self, users: list[dict[str, Any]], page: Page) -> list[dict[str, Any]]:
        """Count the page's outcomes and move past them. Return the rows to write."""
        rows = []
        for user, outcome in zip(users, page.outcomes, strict=False):
            self.after = str(user["id"])
            match outcome:
                case Subscriber():
                    self._count("synced", "active" if outcome.active else "inactive")
                    rows.append(
                        {
                            "id": self.after,
                            "properties": outcome.properties,
                            "attribution": outcome.attribution,
                            "revenue_usd_cents": outcome.revenue_usd_cents,
                        }
                    )
                case None:
                    self._count("skipped")
                case Missing():
                    self._count("skipped", "not_found")
                    self._note("not_found", user["user_id"])
                case _:
                    self._count("errors")
                    self._note("errors", user["user_id"])
        return rows

    def progress(self) -> Progress:
        counts, processed = self.counts, self._processed()
        message = f"Synced {counts['synced']} users, {counts['skipped']} skipped"
        if counts["errors"]:
            message += f", {counts['errors']} failed"
        return Progress(processed=min(processed, self.total), total=self.total, message=message, cursor=self._cursor())

    def waiting(self, trouble: Unavailable) -> Wait:
        """Return a Wait. Raises JobError after too many waits."""
        self.attempt += 1
        if self.attempt >= ATTEMPTS:
            raise JobError(f"{trouble.what} {IN_WORDS} times in a row: {trouble.detail}") from trouble
        seconds = max(trouble.wait_s, FIRST_WAIT_S * 2 ** (self.attempt - 1))
        return Wait(seconds=seconds, why=trouble.waiting_for, cursor=self._cursor(), progress=self.progress())

    def result(self) -> dict[str, Any]:
        return {
            "total": self._processed(),
            **self.counts,
            "not_found_ids": self.ids["not_found"],
            "error_ids": self.ids["errors"],
        }

    def _processed(self) -> int:
        return self.counts["synced"] + self.counts["skipped"] + self.counts["errors"]

    def _count(self, *names: str) -> None:
        for name in names:
            self.counts[name] += 1

    def _note(self, kind: str, user_id: str) -> None:
        if len(self.ids[kind]) < IDS_SHOWN:
            self.ids[kind].append(user_id)

    def _cursor(self) -> dict[str, Any]:
        return asdict(self)

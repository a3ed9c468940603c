"""The progress of a backfill: the page of RevenueCat's list, and the counts."""

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from nightshift.base.errors import JobError
from nightshift.jobs import Progress, Wait
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import RateLimited, Unavailable
from nightshift_jobs.revenuecat_sync.revenuecat.client import landmarks, text_of
from nightshift_jobs.revenuecat_sync.walk import ATTEMPTS, FIRST_WAIT_S, IN_WORDS, MOST_STARVED_S

# A longer id does not fit into the index on it. In bytes.
LONGEST_ID = 2_000


@dataclass
class Tour:
    """The fields are the run's cursor. ``page`` is the address of the next page of the list, ``landmarks`` are the
    first customers of some pages. ``attempt`` counts the waits of ``run_id`` since the last page."""

    run_id: str
    page: str | None = None
    pages: int = 0
    landmarks: list[str] = field(default_factory=list)
    is_over: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("read", "made", "known", "skipped"), 0))
    attempt: int = 0
    waits: int = 0
    starved_since: float | None = None
    is_denied: bool = False
    governor: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    project: str | None = None

    @classmethod
    def of(cls, cursor: dict[str, Any] | None, *, run_id: str) -> "Tour":
        tour = cls(**deepcopy(cursor)) if cursor else cls(run_id=run_id)
        if tour.run_id != run_id:
            tour.run_id, tour.attempt, tour.starved_since, tour.is_denied = run_id, 0, None, False
        return tour

    def wanted(self, rows: list[dict[str, Any]]) -> list[str]:
        """Return the ids of the customers that may become users."""
        ids = dict.fromkeys(text_of(row, "id") for row in rows)
        return [id for id in ids if _fits(id) and not id.startswith("$RCAnonymousID:")]

    def take(self, rows: list[dict[str, Any]], following: str | None, *, wanted: int, made: int) -> None:
        """Count a page and move past it. A list that repeats itself is over."""
        beginning = text_of(rows[0], "id") if rows else ""
        is_endless = (beginning and beginning in self.landmarks) or (self.pages > 0 and following == self.page)
        self.landmarks = landmarks(self.pages, beginning, self.landmarks)
        self.is_over = not rows or not following or is_endless
        self.page, self.pages = following, self.pages + 1
        self.attempt, self.starved_since, self.is_denied = 0, None, False
        if not is_endless:
            numbers = {"read": len(rows), "made": made, "known": wanted - made, "skipped": len(rows) - wanted}
            self.counts = {name: count + numbers[name] for name, count in self.counts.items()}

    def progress(self) -> Progress:
        read = self.counts["read"]
        message = f"{read:,} customers read, {self.counts['made']:,} users created"
        return Progress(processed=read, total=read + (not self.is_over), message=message, cursor=asdict(self))

    def wait(self, seconds: float, why: str) -> Wait:
        self.waits += 1
        return Wait(seconds=seconds, why=why, cursor=asdict(self), progress=self.progress())

    def waiting(self, trouble: Unavailable, now: float) -> Wait:
        """Return a Wait for RevenueCat. Raises JobError after too many waits, or after hours without a call."""
        if isinstance(trouble, RateLimited):
            self.starved_since = self.starved_since or now
            if now - self.starved_since > MOST_STARVED_S:
                raise JobError(
                    f"Other clients have used up the rate limit of the RevenueCat key for {MOST_STARVED_S // 3600} "
                    "hours. Rerun the backfill from its cursor when they use less of it."
                )
            return self.wait(trouble.wait_s, trouble.waiting_for)
        self.attempt += 1
        if self.attempt >= ATTEMPTS:
            raise JobError(f"{trouble.what} {IN_WORDS} times in a row: {trouble.detail}") from trouble
        return self.wait(max(trouble.wait_s, FIRST_WAIT_S * 2 ** (self.attempt - 1)), trouble.waiting_for)


def _fits(id: str) -> bool:
    return 0 < len(id.encode()) <= LONGEST_ID

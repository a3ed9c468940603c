"""The progress of a sync: its position, its counts, and the users that are tried again at its end."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from nightshift.base.errors import JobError
from nightshift.base.wording import short_duration
from nightshift.jobs import Progress, Wait
from nightshift_jobs.revenuecat_sync.crew import Item, Outcome
from nightshift_jobs.revenuecat_sync.looks import Look
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Denied,
    Missing,
    OutOfTime,
    RateLimited,
    Unavailable,
)

# The phases of each mode, in order. Incremental: users whose period ends, users at whom no sync has looked, those that
# RevenueCat's list has seen lately, a share of those with a running subscription, and a share of the others.
PHASES = {"full": ("users",), "incremental": ("payers", "newcomers", "seen", "running", "others")}
# The number of ids that the result names for each kind of problem.
IDS_SHOWN = 10
# Waits in a row without an answer. They double from 5 s, so the run gives up after about ten minutes.
ATTEMPTS, IN_WORDS, FIRST_WAIT_S = 8, "eight", 5
# Users that are kept for another try. If there are more, they are tried before the others go on.
MOST_RETRIES = 200
# A user without an answer is tried so many times, then counts as an error.
TRIES = 3
# How long other clients may use up the rate limit before the run gives up.
MOST_STARVED_S = 6 * 3600
# A refused key is looked at again after so many seconds.
SECOND_LOOK_S = 30
# Fewer users do not show how fast the sync is.
USERS_FOR_A_PACE = 10
CALLS_A_USER = 3
# A user that does not fit into so many slices counts as an error.
SHORT_SLICES = 3


@dataclass
class Walk:
    """The progress of the sync. Its fields are the run's cursor.

    ``total`` is the number of users at the start. ``phase`` and ``after`` are the position. ``retry`` has the ids of
    users without an answer so far, each with the number of its tries. ``attempt`` counts the waits of ``run_id`` since
    the last answer, ``waits`` all of them, and ``starved_since`` is when others left us no call.
    ``pace`` is when this run began to count, and from where. ``governor`` and ``catalogue`` are what the last slice
    knew, ``project`` is RevenueCat's own id of it. ``list_error`` is why its list of customers was not read to the end.
    """

    total: int
    run_id: str = ""
    mode: str = "full"
    began: str = ""
    phase: str = "users"
    after: Any = None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("synced", "skipped", "active", "inactive", "not_found", "errors"), 0)
    )
    ids: dict[str, list[str]] = field(default_factory=lambda: {"not_found": [], "errors": []})
    shared: int = 0
    retry: dict[str, int] = field(default_factory=dict)
    is_retrying: bool = False
    known: str | None = None
    said: str = ""
    attempt: int = 0
    waits: int = 0
    starved_since: float | None = None
    is_denied: bool = False
    pace: list[float] = field(default_factory=lambda: [0, 0])
    calls_a_minute: int = 480
    governor: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    catalogue: dict[str, Any] | None = None
    catalogue_read_at: float = 0
    project: str | None = None
    list_error: str | None = None

    @classmethod
    def of(cls, cursor: dict[str, Any], *, run_id: str, now: float) -> "Walk":
        """Return the walk of a cursor. The waits of another run do not count."""
        walk = cls(**deepcopy(cursor))
        if walk.run_id != run_id:
            walk.run_id, walk.attempt, walk.starved_since, walk.is_denied = run_id, 0, None, False
            walk.pace = [now, walk.processed]
        return walk

    def begin(self, mode: str, total: int) -> None:
        """Go to the first user. What was counted before does not count."""
        new = Walk(total)
        self.mode, self.phase, self.after, self.total = mode, PHASES[mode][0], None, total
        self.counts, self.ids, self.shared, self.retry, self.is_retrying = new.counts, new.ids, 0, {}, False
        self.pace = [self.pace[0], 0]

    def move_on(self) -> None:
        """Go to the next phase; ``end`` is behind the last one."""
        phases = (*PHASES[self.mode], "end")
        self.phase, self.after = phases[min(phases.index(self.phase) + 1, len(phases) - 1)], None

    @property
    def has_written(self) -> bool:
        return self.counts["synced"] + self.counts["not_found"] > 0

    @property
    def processed(self) -> int:
        return self.counts["synced"] + self.counts["skipped"] + self.counts["errors"]

    def take(self, taken: list[tuple[Item, Outcome]], written: dict[str, Any], *, is_outage: bool) -> list[str]:
        """Count the users and move past them. Return the ids of those that count as errors.

        ``written`` is the answer of job_revenuecat_write.
        ``is_outage``: RevenueCat answers about no user, so this was no try.
        """
        gone, refused, failed = set(written["gone"]), written["refused"], list[str]()
        self.shared += written["shared"]
        for item, outcome in taken:
            if item.after is not None:
                self.after = item.after
            if not item.id:  # a page of RevenueCat's list
                self._hear(None)
                continue
            tries, errors = self.retry.pop(item.id, 0), self.counts["errors"]
            if item.id in gone or item.user is None or outcome is None:
                self._count("skipped")
            elif item.id in refused:
                self._fail(item, f"Postgres refused the user: {refused[item.id]}")
            else:
                self._take(item, item.user["user_id"], outcome, tries=tries, is_outage=is_outage)
            if self.counts["errors"] > errors:
                failed.append(item.id)
        return failed

    def _take(self, item: Item, user_id: str, outcome: Outcome, *, tries: int, is_outage: bool) -> None:
        match outcome:
            case Look(subscriber=subscriber):
                self._count("synced", "active" if subscriber.active else "inactive")
                self._hear(user_id)
            case Missing():
                self._count("skipped", "not_found")
                self._note("not_found", user_id)
                self.said = self.said or str(outcome)
                self._hear(None)
            case OutOfTime() if self.is_retrying and self.attempt >= SHORT_SLICES:
                self._fail(item, str(outcome))
            case RateLimited(had_room=False) | OutOfTime() | Denied():
                self.retry[item.id] = tries
            case RateLimited() if not self.is_retrying:
                self.retry[item.id] = tries
            case Unavailable() if is_outage or tries + 1 < TRIES:
                self.retry[item.id] = tries if is_outage else tries + 1
                self.said = str(outcome)
            case _:
                self._fail(item, str(outcome))

    def next_tries(self) -> list[str]:
        """Return the users that are tried again next: those with the fewest tries, so that each has its turn."""
        fewest = min(self.retry.values(), default=0)
        return [id for id, tries in self.retry.items() if tries == fewest]

    def _hear(self, user_id: str | None) -> None:
        """Note that RevenueCat has answered: about a user that it knows, or that it knows no such user."""
        self.attempt, self.starved_since = 0, None
        if user_id:
            self.known, self.is_denied = user_id, False

    def _fail(self, item: Item, said: str) -> None:
        self._count("errors")
        self._note("errors", item.user["user_id"] if item.user else item.id)
        self.said = said

    def progress(self, now: float) -> Progress:
        if self.mode == "incremental":  # the list of customers names more users on each page
            is_over = self.phase == "end" and not self.retry
            self.total = self.processed if is_over else max(self.total, self.processed + 1)
        processed = min(self.processed, self.total)
        return Progress(processed=processed, total=self.total, message=self._message(now), cursor=asdict(self))

    def wait(self, seconds: float, why: str, now: float) -> Wait:
        self.waits += 1  # the executor refuses a Wait that leaves the cursor as it was
        return Wait(seconds=seconds, why=why, cursor=asdict(self), progress=self.progress(now))

    def waiting(self, trouble: Unavailable, now: float) -> Wait:
        """Return a Wait for RevenueCat. Raises JobError after too many waits, or after hours without a call."""
        if isinstance(trouble, RateLimited):
            return self.waiting_for_the_limit(trouble.wait_s, now)
        self.attempt += 1
        if self.attempt >= ATTEMPTS:
            raise JobError(f"{trouble.what} {IN_WORDS} times in a row: {trouble.detail}") from trouble
        return self.wait(max(trouble.wait_s, FIRST_WAIT_S * 2 ** (self.attempt - 1)), trouble.waiting_for, now)

    def waiting_for_the_limit(self, seconds: float, now: float) -> Wait:
        self.starved_since = self.starved_since or now
        if now - self.starved_since > MOST_STARVED_S:
            raise JobError(
                f"Other clients have used up the rate limit of the RevenueCat key for {MOST_STARVED_S // 3600} hours. "
                "Start the sync again when they use less of it, or give the sync a key of its own."
            )
        return self.wait(seconds, "RevenueCat's rate limit", now)

    def require_success(self, knows_others: Callable[[], bool]) -> None:
        """Raise JobError if users were asked for and none was synced.

        An incremental sync may meet unknown users alone. It may also meet users without an answer alone, as long as
        RevenueCat ``knows_others``: few users are asked for, and one that has no answer must not fail each sync.
        """
        unknown, failed = self.counts["not_found"], self.counts["errors"]
        if self.counts["synced"] or not (unknown or failed):
            return
        if self.mode == "full" or not (unknown or knows_others()):
            raise JobError(f"No user was synced: {unknown:,} are unknown to RevenueCat, {failed:,} failed. {self.said}")

    def result(self, oldest_look: str | None) -> dict[str, Any]:
        """Return the run's result. ``oldest_look`` is when RevenueCat was asked about the user who waits longest."""
        of_its_mode = {"oldest_look_at": oldest_look, "list_error": self.list_error}
        return {
            "mode": self.mode,
            "total": self.processed,
            **self.counts,
            "not_found_ids": self.ids["not_found"],
            "error_ids": self.ids["errors"],
            # Other clients of the platform read the lists under these names.
            "not_found_users": self.ids["not_found"],
            "error_users": self.ids["errors"],
            "shared_customers": self.shared,
            **(of_its_mode if self.mode == "incremental" else {}),
        }

    def _message(self, now: float) -> str:
        counts, left = self.counts, self.total - self.processed
        failed = f", {counts['errors']} failed" if counts["errors"] else ""
        if left <= 0:
            return f"Synced {counts['synced']} users, {counts['skipped']} skipped{failed}"
        began_at, began_with = self.pace
        a_minute = self.calls_a_minute / CALLS_A_USER
        if (done := self.processed - began_with) >= USERS_FOR_A_PACE and now > began_at:
            a_minute = min(a_minute, done / (now - began_at) * 60)
        about = f", {round(a_minute):,} a minute, about {short_duration(max(1, left / a_minute * 60))} left"
        # Other clients may leave less than a user a minute, and the last users wait for their next try.
        has_pace = self.processed and a_minute >= 1 and self.phase != "end"
        return f"{self.processed:,} of {self.total:,}{about if has_pace else ''}{failed}"

    def _count(self, *names: str) -> None:
        for name in names:
            self.counts[name] += 1

    def _note(self, kind: str, user_id: str) -> None:
        if len(self.ids[kind]) < IDS_SHOWN:
            self.ids[kind].append(user_id)

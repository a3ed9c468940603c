"""RevenueCat Sync: updates subscriber data and revenue of all users of a project, one page of users per step."""

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import JobError
from nightshift.base.settings import settings
from nightshift.jobs import JobDatabase, Progress, Run, Steps, Wait
from nightshift.tenants.integrations import decrypt_secret
from nightshift_jobs.revenuecat_sync.api_errors import Denied, Missing, OutOfTime, Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.client import RESERVE_S, RevenueCat
from nightshift_jobs.revenuecat_sync.mapping import Catalogue, Subscriber
from nightshift_jobs.revenuecat_sync.page import WORKERS, Page, fetch_page

PAGE_SIZE = 125
# The number of ids that the result names for each kind of problem.
IDS_SHOWN = 10
# Waits in a row without a synced user. They double from 5 s, so the run gives up after about ten minutes.
ATTEMPTS, IN_WORDS, FIRST_WAIT_S = 8, "eight", 5
# Waits in a row at the same user, after which the users behind that one are tried.
SUSPECT_AFTER = 4
NEW_KEY = Unavailable("The key was refused", "another one was stored", wait_s=0, waiting_for="the new RevenueCat key")


def revenuecat_sync(
    run: Run,
    db: JobDatabase,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Steps:
    """Sync the project's users by primary key: three calls per user, one statement per page.

    Raises JobError if RevenueCat refuses the key or the project, or is unavailable for too long.
    """
    if run.cursor:
        walk = Walk(**deepcopy(run.cursor))
        if walk.run_id != run.id:  # this run was started from another run's cursor
            walk.attempt, walk.run_id = 0, run.id
    else:
        walk = Walk(run_id=run.id, total=db.read("count_app_users", project_id=run.project_id)[0]["total"])
    catalogue: Catalogue | None = None
    seconds_a_user = 0.0
    integration = _integration(run, db)
    client: RevenueCat | None = None
    while client is None:
        try:
            client = _client(run, integration, clock=clock, sleep=sleep)
        except Unavailable as trouble:
            yield walk.waiting(trouble)
    with client:
        while True:
            try:
                catalogue = catalogue or client.catalogue()
            except Unavailable as trouble:
                yield walk.waiting(trouble)
                continue
            except Denied:
                if _integration(run, db) == integration:
                    raise
                yield walk.waiting(NEW_KEY)
                continue
            page_size = _page_size(run.remaining_s, seconds_a_user)
            users = db.read("next_app_users", project_id=run.project_id, after=walk.after, page_size=page_size)
            if not users:
                return walk.result()

            started = clock()
            try:
                page = _fetch(client, catalogue, users, walk)
            except Denied:
                if _integration(run, db) == integration:
                    raise
                yield walk.waiting(NEW_KEY)
                continue
            if page.outcomes:
                seconds_a_user = (clock() - started) / len(page.outcomes)

            if rows := walk.take(users, page):
                db.write("write_app_users", project_id=run.project_id, users=json.dumps(rows))
            if page.outcomes:
                walk.attempt = 0
            if page.trouble is None or (page.outcomes and isinstance(page.trouble, OutOfTime)):
                yield walk.progress()
            else:
                yield walk.waiting(page.trouble)


def _fetch(client: RevenueCat, catalogue: Catalogue, users: list[dict[str, Any]], walk: "Walk") -> Page:
    """Return the page. If its first user fails repeatedly but others succeed, count that user as an error."""
    page = fetch_page(client, catalogue, users)
    if page.outcomes or walk.attempt < SUSPECT_AFTER:
        return page
    first, others = users[0], users[1:]
    rest = fetch_page(client, catalogue, others)
    if any(outcome is not None for outcome in rest.outcomes):
        return Page([Rejected(f"RevenueCat has no answer for {first['user_id']}"), *rest.outcomes], rest.trouble)
    if others and rest.trouble:
        return Page([], rest.trouble)
    # There are no other users to try. If users were synced before, RevenueCat is available, and this user is the cause.
    if not walk.counts["synced"]:
        return page
    return Page([Rejected(f"RevenueCat has no answer for {first['user_id']}")], None)


def _integration(run: Run, db: JobDatabase) -> dict[str, Any]:
    rows = db.read("revenuecat_integration", project_id=run.project_id)
    if not rows:
        raise JobError(
            "This project has no RevenueCat integration. Ask the operator of this server to store a v2 secret key "
            "for it (nightshift system revenuecat-key), then start the sync again."
        )
    return rows[0]


def _client(
    run: Run, integration: dict[str, Any], *, clock: Callable[[], float], sleep: Callable[[float], None]
) -> RevenueCat:
    try:
        key = decrypt_secret(integration["secret_encrypted"], project_id=str(run.project_id)).strip()
    except (AwsRefused, AwsUnreachable) as exc:
        # The error names accounts and roles, which teams must not see. The log has it.
        said = exc.code if isinstance(exc, AwsRefused) else "KMS did not answer"
        if not exc.passing:
            raise JobError(
                f"The stored RevenueCat key could not be decrypted: {said}. Tell the operator of this server."
            ) from exc
        raise Unavailable("The stored RevenueCat key was not decrypted", said, wait_s=0) from exc
    # The HTTP library's error message would quote such a key.
    if not (key and key.isascii() and key.isprintable()):
        raise JobError("The stored RevenueCat key is empty or contains invalid characters. Store it again.")
    return RevenueCat(
        base_url=settings().revenuecat_url,
        key=key,
        project_id=integration["config"].get("project_id"),
        environment=None if run.params.get("include_sandbox") else "production",
        connections=WORKERS,
        remaining_s=lambda: run.remaining_s,
        clock=clock,
        sleep=sleep,
    )


def _page_size(remaining_s: float, seconds_a_user: float) -> int:
    """Return the number of users that fit into the slice at the speed so far."""
    if not seconds_a_user:
        return PAGE_SIZE
    return max(1, min(PAGE_SIZE, int((remaining_s - RESERVE_S) / seconds_a_user)))


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

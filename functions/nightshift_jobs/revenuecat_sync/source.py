"""The source of a sync: the project's users in the order of their ids, and RevenueCat's answers about them."""

from collections.abc import Callable
from typing import Any, Self

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import JobError
from nightshift.base.settings import settings
from nightshift.jobs import JobDatabase, Run
from nightshift.tenants.integrations import decrypt_secret
from nightshift_jobs.revenuecat_sync.api_errors import Denied, Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.client import RESERVE_S, RevenueCat
from nightshift_jobs.revenuecat_sync.mapping import Catalogue
from nightshift_jobs.revenuecat_sync.page import WORKERS, Page, fetch_page
from nightshift_jobs.revenuecat_sync.walk import Walk

PAGE_SIZE = 125
# Waits in a row at the same user, after which the users behind that one are tried.
SUSPECT_AFTER = 4


class Source:
    """Fetches the next page of users. It opens its client and reads the catalogue with the first page of a slice.

    Raises JobError if the project has no integration.
    """

    def __init__(
        self, run: Run, db: JobDatabase, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._run, self._db = run, db
        self._clock, self._sleep = clock, sleep
        self._integration = _integration(run, db)
        self._client: RevenueCat | None = None
        self._catalogue: Catalogue | None = None
        self._seconds_a_user = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._client:
            self._client.close()

    def next_page(self, walk: Walk) -> tuple[list[dict[str, Any]], Page]:
        """Return the users behind the walk's position and RevenueCat's answers; no users at the end.

        Raises Unavailable if a wait may help: RevenueCat or KMS cannot be used, or another key was stored. Raises
        Denied or JobError if no wait helps.
        """
        try:
            return self._next_page(walk)
        except Denied as exc:
            if _integration(self._run, self._db) == self._integration:
                raise
            raise Unavailable(
                "The key was refused", "another one was stored", wait_s=0, waiting_for="the new RevenueCat key"
            ) from exc

    def _next_page(self, walk: Walk) -> tuple[list[dict[str, Any]], Page]:
        client = self._client = self._client or _client(
            self._run, self._integration, clock=self._clock, sleep=self._sleep
        )
        catalogue = self._catalogue = self._catalogue or client.catalogue()
        page_size = _page_size(self._run.remaining_s, self._seconds_a_user)
        users = self._db.read("next_app_users", project_id=self._run.project_id, after=walk.after, page_size=page_size)
        if not users:
            return [], Page([], None)
        started = self._clock()
        page = _fetch(client, catalogue, users, walk)
        if page.outcomes:
            self._seconds_a_user = (self._clock() - started) / len(page.outcomes)
        return users, page


def _fetch(client: RevenueCat, catalogue: Catalogue, users: list[dict[str, Any]], walk: Walk) -> Page:
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

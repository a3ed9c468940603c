"""RevenueCat's REST API v2: reads all pages of a list, respects the rate limit and the slice's time limit."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import urllib3

from nightshift.base.errors import JobError
from nightshift.base.wording import with_full_stop
from nightshift_jobs.revenuecat_sync.api_errors import Denied, Missing, OutOfTime, RateLimited, Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.governor import Governor
from nightshift_jobs.revenuecat_sync.mapping import Catalogue, CustomerRecord, Product, storable

CUSTOMERS, CONFIGURATION = "customer information", "project configuration"
RATE_LIMIT = "RevenueCat-Rate-Limit-Current"

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 15
# How long a call may sleep, and how often it is tried, before the job yields a Wait.
PATIENCE_S, TRIES = 5, 3
# Reserved of the slice for writing fetched rows, and the shortest remaining time in which a call is made.
RESERVE_S, SHORTEST_CALL_S = 3, 1
# Default back-off, and the longest back-off we honour, in seconds.
BACKOFF_S, LONGEST_WAIT_S = 1, 3600


class RevenueCat:
    """Reads one project's data with its secret key. Threads may share it. Close it after use.

    ``project_id`` None means the key's own project. ``environment`` None includes sandbox rows.
    ``remaining_s()`` bounds every call; ``clock`` and ``sleep`` in seconds.
    """

    def __init__(
        self,
        *,
        base_url: str,
        key: str,
        project_id: str | None,
        environment: str | None,
        connections: int,
        remaining_s: Callable[[], float],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ):
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._project_id = project_id
        self._environment = f"&environment={environment}" if environment else ""
        self._remaining_s, self._sleep = remaining_s, sleep
        self._governor = Governor(clock=clock, sleep=sleep)
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json", "User-Agent": "nightshift"}
        self._http = urllib3.PoolManager(maxsize=connections, headers=headers, retries=False)

    def close(self) -> None:
        self._http.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def catalogue(self) -> Catalogue:
        """Return every entitlement and product.

        Raises Denied, Unavailable, and JobError if the key cannot read the project or reads several.
        """
        try:
            project = self._project()
            entitlements = self._list(f"{project}/entitlements?limit=100", CONFIGURATION)
            products = self._list(f"{project}/products?limit=100", CONFIGURATION)
        except Rejected as exc:
            raise JobError(f"RevenueCat does not show the project's entitlements and products. {exc}") from exc
        return Catalogue(
            entitlements={row["id"]: row["lookup_key"] for row in entitlements},
            products={
                row["id"]: Product(
                    store_identifier=row["store_identifier"],
                    type=row.get("type"),
                    duration=(row.get("subscription") or {}).get("duration"),
                )
                for row in products
            },
        )

    def customer(self, user_id: str) -> CustomerRecord:
        """Return all rows about one customer: three calls, unless a list has more pages.

        Raises Missing if RevenueCat does not know the id, Rejected, Denied, Unavailable.
        """
        # urllib3 would resolve a path segment of dots; quote() handles all other characters.
        segment = quote(user_id, safe="") if user_id.strip(".") else user_id.replace(".", "%2E")
        url = f"{self._project()}/customers/{segment}"
        customer = self._get(f"{url}?expand=attributes", CUSTOMERS)
        rows = f"limit=100{self._environment}"
        return CustomerRecord(
            active_entitlements=self._items(customer.get("active_entitlements") or {"items": []}, url, CUSTOMERS),
            attributes=self._items(customer.get("attributes") or {"items": []}, url, CUSTOMERS),
            subscriptions=self._list(f"{url}/subscriptions?{rows}", CUSTOMERS),
            purchases=self._list(f"{url}/purchases?{rows}", CUSTOMERS),
        )

    def _project(self) -> str:
        if not self._project_id:
            projects = self._list(f"{self._base_url}/projects", CONFIGURATION)
            if len(projects) != 1:
                raise JobError(
                    f"The RevenueCat key can read {len(projects)} projects. "
                    "Set project_id in the integration's config to the project to sync."
                )
            self._project_id = projects[0]["id"]
        return f"{self._base_url}/projects/{quote(self._project_id, safe='')}"

    def _list(self, url: str, budget: str) -> list[dict[str, Any]]:
        return self._items(self._get(url, budget), url, budget)

    def _items(self, page: dict[str, Any], url: str, budget: str) -> list[dict[str, Any]]:
        """Return the rows of all pages of the list whose first page is ``page``, read from ``url``."""
        items, seen = [], {url}
        while True:
            if not isinstance(page.get("items"), list):
                raise Rejected(f"RevenueCat answered {urlsplit(url).path} with a list that has no items")
            items += page["items"]
            if not page.get("next_page"):
                return items
            url = urljoin(url, str(page["next_page"]))
            if urlsplit(url)[:2] != urlsplit(self._base_url)[:2]:
                raise Rejected(f"RevenueCat named a next page on another server: {urlsplit(url).netloc}")
            if url in seen:
                raise Rejected(f"RevenueCat named the same next page twice: {urlsplit(url).path}")
            seen.add(url)
            page = self._get(url, budget)

    def _get(self, url: str, budget: str) -> dict[str, Any]:
        tries_left = TRIES
        while True:
            tries_left -= 1
            try:
                return self._call(url, budget)
            except Unavailable as trouble:
                if not tries_left or trouble.wait_s > min(PATIENCE_S, self._time_left_s()):
                    raise
                if not isinstance(trouble, RateLimited):  # for rate limits, the governor makes every thread wait
                    self._sleep(trouble.wait_s)

    def _call(self, url: str, budget: str) -> dict[str, Any]:
        ticket = self._governor.start(budget, patience_s=min(PATIENCE_S, self._time_left_s()))
        usage = limit = None
        try:
            left_s = self._time_left_s()
            timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, left_s), read=min(READ_TIMEOUT_S, left_s))
            answer = self._http.request("GET", url, timeout=timeout, redirect=False, preload_content=False)
            data = self._read(answer)
            usage, limit = (_number(answer.headers.get(f"{RATE_LIMIT}-{what}")) for what in ("Usage", "Limit"))
            return self._body(answer, data)
        except urllib3.exceptions.HTTPError as exc:
            is_late = isinstance(exc, urllib3.exceptions.TimeoutError)
            detail = "no answer in time" if is_late else "the connection failed"
            raise Unavailable("RevenueCat could not be reached", detail, wait_s=BACKOFF_S) from exc
        finally:
            self._governor.finish(budget, ticket, usage=usage, limit=limit)

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        """Return the whole body. The read timeout only applies between two packets, so check the slice's time, too."""
        content = bytearray()
        while chunk := answer.read1(65_536):
            content += chunk
            try:
                self._time_left_s()
            except OutOfTime:
                answer.close()
                raise
        answer.release_conn()
        return bytes(content)

    def _body(self, answer: urllib3.BaseHTTPResponse, data: bytes) -> dict[str, Any]:
        """Return the body of a successful response. Raises the error for any other."""
        status, what, body = answer.status, f"RevenueCat answered {answer.status}", _json(data)
        if status == 200 and body is not None:
            return body
        body = body or {}
        # This text becomes the run's error: it must not contain the key, nor characters that Postgres cannot store.
        said = body.get("message") or answer.reason or "without a reason"
        detail = storable(str(said).replace(self._key, "sk_…"))[:500]
        if status in (401, 403):
            said = with_full_stop(f"{what}: {detail}")
            raise Denied(
                f"{said} The project needs another RevenueCat key: ask the operator of this server to store it."
            )
        if status == 404:
            raise Missing(f"{what}: {detail}")
        retry_after_s, backoff_ms = _number(answer.headers.get("Retry-After")), _number(str(body.get("backoff_ms")))
        asked_s = (retry_after_s, None if backoff_ms is None else backoff_ms / 1000)
        wait_s = min(LONGEST_WAIT_S, max((wait for wait in asked_s if wait is not None), default=BACKOFF_S))
        if status == 429:
            self._governor.hold(wait_s)
            raise RateLimited(what, detail, wait_s=wait_s)
        if 400 <= status < 500 and status != 423:
            raise Rejected(f"{what}: {detail}")
        raise Unavailable(what, detail if status != 200 else "the body is not JSON", wait_s=wait_s)

    def _time_left_s(self) -> float:
        left_s = self._remaining_s() - RESERVE_S
        if left_s < SHORTEST_CALL_S:
            raise OutOfTime
        return left_s


def _json(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object, with amounts as exact decimals, or None for anything else."""
    try:
        body = json.loads(data, parse_float=Decimal)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _number(header: str | None) -> int | None:
    return int(header) if header and header.isdecimal() and len(header) < 16 else None

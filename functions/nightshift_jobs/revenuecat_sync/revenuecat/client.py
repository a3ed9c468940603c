"""RevenueCat's REST API v2 as tasks: each yields its calls and returns rows, from all pages of each list."""

from collections.abc import Generator
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from nightshift.base.errors import JobError
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import Rejected
from nightshift_jobs.revenuecat_sync.revenuecat.flight import Call, Task
from nightshift_jobs.revenuecat_sync.revenuecat.governor import CONFIGURATION, CUSTOMERS
from nightshift_jobs.revenuecat_sync.revenuecat.mapping import (
    Catalogue,
    CustomerRecord,
    Product,
    lists_entitlements,
    storable,
)

# Pages of one list. A customer with a hundred rows on each has ten thousand.
MOST_PAGES = 100
# The address of a page is a part of the cursor.
LONGEST_ADDRESS = 4_000

Rows = Generator[Call, dict[str, Any], list[dict[str, Any]]]


class RevenueCat:
    """One project of RevenueCat. ``project_id`` None means the key's own project, which ``open`` finds out.

    ``environment`` None includes sandbox rows.
    """

    def __init__(self, *, base_url: str, project_id: str | None, environment: str | None):
        self._base_url = base_url.rstrip("/")
        self.project_id = project_id
        self._environment = f"&environment={environment}" if environment else ""

    def open(self) -> Task:
        """Find out which project the key belongs to. Raises JobError if it can read none or several."""
        if self.project_id:
            return
        try:
            projects = yield from self._list(f"{self._base_url}/projects", CONFIGURATION)
        except Rejected as exc:
            raise JobError(f"RevenueCat does not show the key's project. {exc}") from exc
        ids = [*_by_id(projects)]
        if len(ids) != 1:
            raise JobError(
                f"The RevenueCat key can read {len(ids)} projects. "
                "Set project_id in the integration's config to the project to sync."
            )
        self.project_id = ids[0]

    def catalogue(self) -> Task:
        """Return every entitlement and product as a Catalogue. Raises JobError if RevenueCat does not show them."""
        try:
            entitlements = yield from self._list(f"{self._project}/entitlements?limit=100", CONFIGURATION)
            products = yield from self._list(f"{self._project}/products?limit=100", CONFIGURATION)
        except Rejected as exc:
            raise JobError(f"RevenueCat does not show the project's entitlements and products. {exc}") from exc
        return Catalogue(
            entitlements={id: text_of(row, "lookup_key") or id for id, row in _by_id(entitlements).items()},
            products={
                id: Product(
                    store_identifier=text_of(row, "store_identifier") or id,
                    type=text_of(row, "type") or None,
                    duration=text_of(row.get("subscription"), "duration") or None,
                )
                for id, row in _by_id(products).items()
            },
        )

    def customer(self, user_id: str, *, with_attributes: bool) -> Task:
        """Return all rows about one customer as a CustomerRecord: two calls, three with its attributes.

        The subscriptions come first, so that an unknown id costs one call. Raises Missing if RevenueCat does not know
        the id, and the other errors of api_errors.
        """
        url = self._customer(user_id)
        rows = f"limit=100{self._environment}"
        subscriptions = yield from self._list(f"{url}/subscriptions?{rows}", CUSTOMERS, of_a_customer=True)
        purchases = yield from self._list(f"{url}/purchases?{rows}", CUSTOMERS, of_a_customer=True)
        record = CustomerRecord(subscriptions=subscriptions, purchases=purchases)
        names_them = lists_entitlements(record)
        if with_attributes or not names_them:
            customer = yield Call(f"{url}?expand=attributes")
            record.first_seen_at, record.id = customer.get("first_seen_at"), customer.get("id")
            record.attributes = yield from self._embedded(customer, "attributes", url)
            if not names_them:
                record.active_entitlements = yield from self._embedded(customer, "active_entitlements", url)
        return record

    def customers(self, page: str | None) -> Task:
        """Return one page of the project's list of customers, and the address of the next page or None."""
        url = page or f"{self._project}/customers?limit=100"
        body = yield Call(url, of_a_customer=False)
        return _items(body, url), self._next_page(body, url)

    @property
    def _project(self) -> str:
        return f"{self._base_url}/projects/{quote(str(self.project_id), safe='')}"

    def _customer(self, user_id: str) -> str:
        # urllib3 would resolve a path segment of dots; quote() handles all other characters.
        segment = quote(user_id, safe="") if user_id.strip(".") else user_id.replace(".", "%2E")
        return f"{self._project}/customers/{segment}"

    def _embedded(self, customer: dict[str, Any], name: str, url: str) -> Rows:
        """Return the rows of a list inside the customer. A list that is missing is asked for: it is not empty."""
        page = customer.get(name)
        if page is None:
            return (yield from self._list(f"{url}/{name}?limit=100", CUSTOMERS, of_a_customer=True))
        return (yield from self._pages(page, url, CUSTOMERS, of_a_customer=True))

    def _list(self, url: str, budget: str, *, of_a_customer: bool = False) -> Rows:
        page = yield Call(url, budget, of_a_customer)
        return (yield from self._pages(page, url, budget, of_a_customer=of_a_customer))

    def _pages(self, page: dict[str, Any], url: str, budget: str, *, of_a_customer: bool) -> Rows:
        """Return the rows of all pages of the list whose first page is ``page``, read from ``url``."""
        items, seen = [*_items(page, url)], {url}
        while following := self._next_page(page, url):
            if following in seen:
                raise Rejected(f"RevenueCat named the same next page twice: {urlsplit(following).path}")
            if len(seen) == MOST_PAGES:
                raise Rejected(f"RevenueCat named more than {MOST_PAGES} pages of {urlsplit(following).path}")
            seen.add(following)
            page, url = (yield Call(following, budget, of_a_customer)), following
            items += _items(page, url)
        return _once(items)

    def _next_page(self, page: dict[str, Any], url: str) -> str | None:
        """Return the absolute address of the next page. Raises Rejected if it is on another server, or no address."""
        if not page.get("next_page"):
            return None
        address = text_of(page, "next_page")
        if not address or len(address) > LONGEST_ADDRESS:
            raise Rejected(f"RevenueCat named a next page of {urlsplit(url).path} that is not an address")
        following = urljoin(url, address)
        if urlsplit(following)[:2] != urlsplit(self._base_url)[:2]:
            raise Rejected(f"RevenueCat named a next page on another server: {urlsplit(following).netloc}")
        return following


def text_of(row: object, name: str) -> str:
    """Return this value of a row, or "" if it is not text that Postgres can store."""
    value = row.get(name) if isinstance(row, dict) else None
    return value if isinstance(value, str) and value == storable(value) else ""


def landmarks(pages: int, beginning: str, known: list[str]) -> list[str]:
    """Return the customers that the beginnings of later pages are compared with. ``pages`` were read before this one.

    They are the beginning of the first page, and that of the second, third, fifth, ninth, and so on: a list that
    repeats itself comes back to one of them.
    """
    return [*known[:1], beginning] if pages & (pages - 1) == 0 else known


def _by_id(rows: list[Any]) -> dict[str, dict[str, Any]]:
    """Return the rows by their ids. Rows without an id are left out."""
    return {id: row for row in rows if (id := text_of(row, "id"))}


def _once(rows: list[Any]) -> list[Any]:
    """Return each row once. A row that is added between two calls moves another one to the next page, for the second
    time."""
    return [*{text_of(row, "id") or n: row for n, row in enumerate(rows)}.values()]


def _items(page: dict[str, Any], url: str) -> list[dict[str, Any]]:
    if not isinstance(page.get("items"), list):
        raise Rejected(f"RevenueCat answered {urlsplit(url).path} with a list that has no items")
    items: list[dict[str, Any]] = page["items"]
    return items

"""Fetches a page of users concurrently, and returns the part of it that is complete."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from nightshift_jobs.revenuecat_sync.api_errors import Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.client import RevenueCat
from nightshift_jobs.revenuecat_sync.mapping import Catalogue, Subscriber, map_subscriber

# At 0.8 s per call, the latency in production, this many concurrent calls use the limit of eight calls per second.
WORKERS = 7


class Page(NamedTuple):
    """The outcomes of the users before the first that could not be fetched, in order.

    An outcome is a Subscriber, the user's own Rejected (or Missing), or None for a user that is not synced.
    ``trouble`` is the reason why there are fewer outcomes than users.
    """

    outcomes: list[Subscriber | Rejected | None]
    trouble: Unavailable | None


def fetch_page(client: RevenueCat, catalogue: Catalogue, users: list[dict[str, Any]]) -> Page:
    """Fetch the users. Raises Denied, or an unexpected exception, without fetching the remaining users."""
    stops: list[Exception] = []

    def fetch(user: dict[str, Any]) -> Any:
        if stops:
            return stops[0]
        try:
            return _fetch(client, catalogue, user)
        except Rejected as exc:
            return exc
        except Exception as exc:
            stops.append(exc)
            return exc

    with ThreadPoolExecutor(WORKERS) as pool:
        fetched = list(pool.map(fetch, users))
    troubles = []
    for stop in stops:
        if not isinstance(stop, Unavailable):
            raise stop
        troubles.append(stop)
    complete = next((n for n, outcome in enumerate(fetched) if isinstance(outcome, Unavailable)), len(fetched))
    # Use the longest wait: all threads call the same service.
    return Page(fetched[:complete], max(troubles, key=lambda trouble: trouble.wait_s, default=None))


def _fetch(client: RevenueCat, catalogue: Catalogue, user: dict[str, Any]) -> Subscriber | None:
    if user["is_anonymous"] or user["user_id"].startswith("$RCAnonymousID:"):
        return None
    try:
        return map_subscriber(client.customer(user["user_id"]), catalogue)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as exc:
        raise Rejected(f"RevenueCat's rows about this customer have an unknown shape: {exc!r}") from exc

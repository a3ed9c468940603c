"""Pagination, and the query parameters of lists."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
ENVIRONMENTS = ("production", "sandbox")


class BadParameter(Exception):
    """A query parameter or path segment that API v2 refuses; ``param`` is its name."""

    def __init__(self, param: str, message: str):
        super().__init__(message)
        self.param = param


def page(url: str, query: Mapping[str, str], rows: Callable[[int, int], list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one page of the list at ``url``. ``rows(offset, limit)`` returns its items.

    A full page always names a next page, even if that one is empty. An invalid cursor, such as the id of the last row,
    starts at the beginning of the list.
    """
    limit = _limit(query)
    offset = _offset(query.get("starting_after", ""))
    items = rows(offset, limit)
    next_page = None
    if len(items) == limit:
        kept = {name: query[name] for name in ("environment", "limit") if name in query}
        next_page = f"{url}?{urlencode(kept | {'starting_after': _cursor(offset + limit)})}"
    return {"object": "list", "items": items, "next_page": next_page, "url": url}


def page_of(url: str, query: Mapping[str, str], items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one page of ``items``."""
    return page(url, query, lambda offset, limit: items[offset : offset + limit])


def environment(query: Mapping[str, str]) -> str | None:
    """Return the requested environment, or None for both."""
    asked = query.get("environment")
    if asked is not None and asked not in ENVIRONMENTS:
        raise BadParameter("environment", f"environment must be one of {', '.join(ENVIRONMENTS)}, got '{asked}'.")
    return asked


def expands_attributes(query: Mapping[str, str]) -> bool:
    asked = query.get("expand")
    if asked not in (None, "attributes"):
        raise BadParameter("expand", f"expand must be 'attributes', got '{asked}'.")
    return asked is not None


def _limit(query: Mapping[str, str]) -> int:
    asked = query.get("limit", str(DEFAULT_LIMIT))
    try:
        return min(max(int(asked), 1), MAX_LIMIT)
    except ValueError:
        raise BadParameter("limit", f"limit must be an integer, got '{asked}'.") from None


def _cursor(offset: int) -> str:
    # The slash and the equals sign detect clients that URL-encode the cursor twice.
    return f"rows/{offset}="


def _offset(cursor: str) -> int:
    known = re.fullmatch(r"rows/([0-9]{1,9})=", cursor)
    return int(known[1]) if known else 0

"""Check the database, at most once a second: anyone may call GET /v1/health, and calls must not load the database."""

import time
from functools import lru_cache

from nightshift.base.errors import NightshiftError
from nightshift.database.queries import database


def check() -> None:
    """Raise an error if the database does not answer or does not accept writes."""
    trouble = _trouble_at(int(time.monotonic()))
    if trouble:
        raise trouble


@lru_cache(maxsize=1)
def _trouble_at(_second: int) -> Exception | None:
    """Return the error, if any. Failures are cached too: checking an unreachable database takes the most time."""
    try:
        database().require_writable()
    except NightshiftError as exc:
        return exc
    return None

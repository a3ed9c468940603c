"""Whether the database answers, asked at most once a second: anyone may call, and calls must not load it."""

import time
from functools import lru_cache

from nightshift.database import database
from nightshift.errors import NightshiftError


def check() -> None:
    """Raises the error of a database that does not answer, or takes no writes."""
    trouble = _trouble_at(int(time.monotonic()))
    if trouble:
        raise trouble


@lru_cache(maxsize=1)
def _trouble_at(_second: int) -> Exception | None:
    """Kept for its second, a failure too: an unreachable database costs more time than one that answers."""
    try:
        database().require_writable()
    except NightshiftError as exc:
        return exc
    return None

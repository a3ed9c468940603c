"""Pages of lists: as many items as fit into one Lambda response of at most 6 MB."""

import json
from collections.abc import Iterable
from typing import Any

# Leaves ample space for the rest of the response.
MAX_BYTES = 5_000_000


def fitting(items: Iterable[Any], *, most_bytes: int = MAX_BYTES) -> int:
    """Return how many items, from the first on, fit into one response: at least one, if there are any.

    An item's size is that of its JSON inside a JSON string, because Lambda's response contains the body as text.
    """
    count = weight = 0
    for item in items:
        weight += len(json.dumps(json.dumps(item)))
        if count and weight > most_bytes:
            break
        count += 1
    return count

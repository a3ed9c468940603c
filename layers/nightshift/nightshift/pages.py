"""Lists in parts: as many items as fit into one answer of Lambda, which takes 6 MB."""

import json
from collections.abc import Iterable
from typing import Any

# What surrounds the items stays far below the difference.
MAX_BYTES = 5_000_000


def fitting(items: Iterable[Any], *, most_bytes: int = MAX_BYTES) -> int:
    """How many of the items, from the first on, fit into one answer; at least one, where there is one.

    An item weighs what it has as JSON within a JSON string: Lambda's answer holds the body as text.
    """
    count = weight = 0
    for item in items:
        weight += len(json.dumps(json.dumps(item)))
        if count and weight > most_bytes:
            break
        count += 1
    return count

"""The number of rows that a step may delete, so that it is short on any disk."""

# The target duration of a step. A step that is 2.5 times as slow as the last one still ends within 250 ms.
TARGET_S = 0.1

# Steps start small, because the speed is unknown, and stay small enough for their row addresses to fit in memory.
FIRST_BATCH = 200
MAX_BATCH = 10_000


def next_batch(batch: int, *, deleted: int, took_s: float) -> int:
    """Return the size of the next step, after one of ``batch`` rows that deleted ``deleted`` in ``took_s`` seconds.

    A step that was not full says little about speed, unless it was slow. The size at most doubles, so that one
    unusually fast step does not determine the next.
    """
    if deleted < batch and took_s <= TARGET_S:
        return batch
    fitting = int(deleted * TARGET_S / max(took_s, 1e-6))
    return max(1, min(fitting, 2 * batch, MAX_BATCH))

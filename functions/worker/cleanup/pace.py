"""How many rows a step may delete, so that it is over soon on any disk."""

# A step is aimed at this, so that one two and a half times as slow as the last still ends within 250 ms.
TARGET_S = 0.1

# A step is small at first, because nothing is known yet, and never so large that its rows' addresses matter in memory.
FIRST_BATCH = 200
MAX_BATCH = 10_000


def next_batch(batch: int, *, deleted: int, took_s: float) -> int:
    """The size of the step after one of ``batch`` rows that deleted ``deleted`` in ``took_s`` seconds.

    A step that was not full says little about speed, unless it was slow. Growth is by doubling: one lucky step must not
    set the size of the next.
    """
    if deleted < batch and took_s <= TARGET_S:
        return batch
    fitting = int(deleted * TARGET_S / max(took_s, 1e-6))
    return max(1, min(fitting, 2 * batch, MAX_BATCH))

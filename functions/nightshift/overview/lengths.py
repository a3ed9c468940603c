"""Histograms of durations, which can be added, and their medians.

A bucket is a quarter of a doubling (``job_endings`` in sql/jobs/0022_overview.sql), so a median from a histogram is at
most 9 % away from the true one. Sums of medians of days would have no such bound.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

BUCKETS_PER_DOUBLING = 4
# With fewer runs in a half of the period, a trend would show chance.
LEAST_RUNS = 3
# Each median may be wrong by 9 %. A smaller change than this shows nothing.
NOTICEABLE = 1.25


def added(histograms: Iterable[Mapping[str, int]]) -> Counter[int]:
    """Return the sum of histograms, whose buckets are JSON's text."""
    total = Counter[int]()
    for histogram in histograms:
        for bucket, runs in histogram.items():
            total[int(bucket)] += runs
    return total


def median_ms(histogram: Counter[int]) -> int | None:
    """Return the median in milliseconds; None without runs. Of an even number, it is the lower one of the middle."""
    left = (histogram.total() + 1) // 2
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= 0:
            return round(2 ** ((bucket + 0.5) / BUCKETS_PER_DOUBLING))
    return None


def trend(earlier: Counter[int], recent: Counter[int]) -> str | None:
    """Return how the median has changed: ``faster``, ``slower`` or ``steady``; None if there are too few runs."""
    before, after = median_ms(earlier), median_ms(recent)
    if before is None or after is None or min(earlier.total(), recent.total()) < LEAST_RUNS:
        return None
    if after >= before * NOTICEABLE:
        return "slower"
    return "faster" if before >= after * NOTICEABLE else "steady"

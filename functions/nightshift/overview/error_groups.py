"""Failed runs in groups of the same error, with what to do about each."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.base.wording import one_line, timestamp

# Patterns of the parts that differ between two runs with the same error. They are replaced in this order.
VARYING = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"https?://[^\s\"'<>)]+", "<address>"),
        # Only where such text begins: from each of its characters, a long one would be read to its end again.
        (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<mail>"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "<time>"),
        # Ids of providers: letters and digits together, such as $RCAnonymousID:87c6049c58069238dce29853916d624c.
        (r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{8,}\b", "<id>"),
        # An HTTP status stays: it is what the error says.
        (r"(?<![\w<.,])(?![45]\d\d(?![\w.,]*\d))\d+(?:[.,]\d+)*", "<n>"),
    )
)
LONGEST = 200

# Advice for an error, by words that the error contains. The first match counts.
ADVICE = tuple(
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (
            r"^Server restarted during execution|longer than|^This release has no code|^The database "
            r"|^Lost the database|^Query |^\w+(Error|Exception): ",
            "A team cannot fix this. Run the job again; if it fails again, tell the operator and name the run's id.",
        ),
        (
            r"no .*integration|integration .*(disabled|missing)|cannot be decrypted",
            "Store the provider's key on the team's page, then run the job again.",
        ),
        (
            r"\b(401|403)\b|api key|invalid key|unauthori[sz]ed|forbidden|refused the key|not permitted|permission",
            "Check the provider's key on the team's page: it may have expired or lack a right. Then run the job again.",
        ),
        (
            r"\b429\b|rate limit|too many requests",
            "The provider limits requests. Run the job less often, or at another time of day.",
        ),
        (
            r"\b5\d\d\b|timed? ?out|unavailable|unreachable|connection|could not be reached|in a row",
            "The provider did not answer. If its status page shows no outage, run the job again from its cursor.",
        ),
    )
)
OTHERWISE = "Open the last of these runs: its timeline shows the step at which it failed."


class Failure(NamedTuple):
    """A failed run, as recent_failures.sql and all_failures.sql return it."""

    id: UUID
    job_type: str
    project_id: UUID | None
    completed_at: datetime
    error: str


def pattern_of(error: str) -> str:
    """Return the error with placeholders for ids, addresses, times and numbers."""
    for varying, name in VARYING:
        error = varying.sub(name, error)
    return one_line(error, longest=LONGEST)


def advice_for(error: str) -> str:
    """Return what a team admin can do about the error."""
    return next((advice for words, advice in ADVICE if words.search(error)), OTHERWISE)


def grouped(failures: Iterable[Failure], *, at_most: int) -> list[dict[str, Any]]:
    """Return the groups of failures, the largest first. ``failures`` are in order, the newest first."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.job_type, pattern_of(failure.error)), []).append(failure)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))[:at_most]
    return [
        {
            "error": pattern,
            "job_type": job_type,
            "runs": len(those),
            "projects": len({failure.project_id for failure in those}),
            "last_run_id": str(those[0].id),
            "last_at": timestamp(those[0].completed_at),
            "advice": advice_for(those[0].error),
        }
        for (job_type, pattern), those in largest
    ]

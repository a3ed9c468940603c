"""Reads an answer of RevenueCat: its body, or the error that it stands for."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from nightshift.base.wording import with_full_stop
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Denied,
    Forbidden,
    Missing,
    RateLimited,
    Rejected,
    Unavailable,
)
from nightshift_jobs.revenuecat_sync.revenuecat.mapping import storable

RATE_LIMIT = "revenuecat-rate-limit-current"

# Default back-off, and the longest back-off that is honoured, in seconds.
BACKOFF_S, LONGEST_WAIT_S = 1, 3600
# RevenueCat's window is a minute, so no wait for the rate limit has to be longer.
LONGEST_LIMIT_S = 61
# Older pages of RevenueCat say that Retry-After is in milliseconds. No wait in seconds is that long.
LONGEST_IN_SECONDS = 600


LATE = "no answer in time"


class Answer(NamedTuple):
    """An HTTP answer, with its headers in lower case. ``failure`` is the reason for no answer (status 0)."""

    status: int
    headers: Mapping[str, str] = {}
    data: bytes = b""
    reason: str = ""
    failure: str = ""


def body_of(answer: Answer, *, key: str, of_a_customer: bool, now: float) -> dict[str, Any]:
    """Return the body of a successful answer. Raises the error that any other answer stands for.

    Only JSON of RevenueCat refuses the key: a 403 may also come from a proxy in front. ``of_a_customer``: the call was
    about one customer, so a 403 may be about that customer alone. ``now`` (seconds since 1970) is for dates.
    """
    if answer.failure:
        raise Unavailable("RevenueCat could not be reached", answer.failure, wait_s=BACKOFF_S)
    body = _json(answer.data)
    if answer.status == 200 and body is not None:
        return body
    _raise(answer, body, key=key, of_a_customer=of_a_customer, now=now)
    raise AssertionError  # pragma: no cover


def usage_of(answer: Answer) -> tuple[int | None, int | None]:
    """Return what the headers say about the last minute: the calls made with the key, and the limit.

    A 429 says more than its headers.
    """
    if answer.status == 429:
        return None, None
    usage, limit = (_whole(answer.headers.get(f"{RATE_LIMIT}-{what}")) for what in ("usage", "limit"))
    return usage, limit


def _raise(answer: Answer, body: dict[str, Any] | None, *, key: str, of_a_customer: bool, now: float) -> None:
    status, what = answer.status, f"RevenueCat answered {answer.status}"
    # A proxy's JSON has a message alone.
    is_own = body is not None and "message" in body and not body.keys().isdisjoint(("object", "type", "code"))
    body = body or {}
    # This text becomes the run's error: it must not contain the key, nor characters that Postgres cannot store.
    said = body.get("message") or answer.reason or "without a reason"
    detail = storable(str(said).replace(key, "sk_…"))[:500]
    asked_s = _asked_s(answer.headers.get("retry-after"), body.get("backoff_ms"), now=now)
    if status == 429:
        raise RateLimited(what, detail, wait_s=None if asked_s is None else min(asked_s, LONGEST_LIMIT_S))
    wait_s = min(LONGEST_WAIT_S, BACKOFF_S if asked_s is None else asked_s)
    if is_own and status == 403 and of_a_customer:
        raise Forbidden(what, detail, wait_s=wait_s)
    if is_own and status in (401, 403):
        raise refusal(f"{what}: {detail}")
    if is_own and status == 404:
        raise Missing(f"{what}: {detail}")
    if 400 <= status < 500 and status not in (401, 403, 404, 408, 423, 425):
        raise Rejected(f"{what}: {detail}")
    raise Unavailable(what, detail if status != 200 else "the body is not JSON", wait_s=wait_s)


def refusal(said: str) -> Denied:
    """Return the error of a key that RevenueCat does not accept."""
    return Denied(
        f"{with_full_stop(said)} The project needs another RevenueCat key: a team admin stores it (nightshift "
        "integrations change revenuecat)."
    )


def _asked_s(header: str | None, backoff_ms: object, *, now: float) -> float | None:
    """Return the back-off that RevenueCat asks for, in seconds, or None. Its body is more exact than the header."""
    milliseconds = _number(str(backoff_ms))
    if milliseconds is not None:
        return milliseconds / 1000
    number = _number(header)
    if number is not None:
        return number / 1000 if number > LONGEST_IN_SECONDS else number
    try:
        when = parsedate_to_datetime(header or "")
        return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{0,12})?", (text or "").strip(), re.ASCII):
        return None
    number = float(str(text))
    return number if math.isfinite(number) else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else None


def _json(data: bytes) -> dict[str, Any] | None:
    """Return a JSON object, with amounts as exact decimals, or None for anything else."""
    try:
        body = json.loads(data, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None

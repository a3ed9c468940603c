"""Count and log refused sign-ins. The log gets the beginning of a key, never the whole key."""

from nightshift.base import metrics
from nightshift.base.errors import Unauthorized
from nightshift.base.logger import logger
from nightshift.tenants.key_terms import API_KEY_PREFIX, PREFIX_LENGTH

# Our keys are much longer. The beginning of a shorter token could reveal most of it.
SHORTEST_KEY = 2 * PREFIX_LENGTH


def note_refused(authorization: str | None, exc: Unauthorized) -> None:
    """Count and log the refusal. A request without credentials was not an attempt to sign in."""
    if not authorization:
        return
    count_refused(str(exc), key_prefix=_prefix(authorization))


def count_refused(said: str, *, key_prefix: str | None = None) -> None:
    metrics.count("SignInsRefused")
    logger.warning(f"Refused a sign-in: {said}", action="sign_in_refused", key_prefix=key_prefix)


def _prefix(authorization: str) -> str | None:
    """Return the beginning of a key, as ``nightshift system keys`` shows it; None for a user's token."""
    token = authorization.partition(" ")[2].strip()
    return token[:PREFIX_LENGTH] if token.startswith(API_KEY_PREFIX) and len(token) >= SHORTEST_KEY else None

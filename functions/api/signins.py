"""Sign-ins that were refused: counted, and told in the log by the beginning of the key, never by the key."""

from nightshift import metrics
from nightshift.agent_keys import PREFIX_LENGTH
from nightshift.auth import API_KEY_PREFIX
from nightshift.errors import Unauthorized
from nightshift.log import logger

# Far less than a key of ours has: a shorter token could be given away by its beginning.
SHORTEST_KEY = 2 * PREFIX_LENGTH


def note_refused(authorization: str | None, exc: Unauthorized) -> None:
    """Count the refusal and write its line; a request without credentials did not try to sign in."""
    if not authorization:
        return
    metrics.count("SignInsRefused")
    logger.warning(f"Refused a sign-in: {exc}", action="sign_in_refused", key_prefix=_prefix(authorization))


def _prefix(authorization: str) -> str | None:
    """As ``nightshift system keys`` shows it. Of a user's token nothing is told."""
    token = authorization.partition(" ")[2].strip()
    return token[:PREFIX_LENGTH] if token.startswith(API_KEY_PREFIX) and len(token) >= SHORTEST_KEY else None

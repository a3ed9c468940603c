"""The codes that are mailed to people who sign in. They follow from the sign-in's id and a secret of the stack.

So no table, queue or log holds a code: the API stores a hash to compare with, and the notify function computes the code
while it writes the mail.
"""

import hashlib
import hmac
import time
from functools import cache

from nightshift.base.errors import NightshiftError, Unavailable
from nightshift.base.logger import logger
from nightshift.base.settings import Settings

DIGITS = 8
# As in job_sign_ins.expires_at.
LASTS_S = 600
# A changed secret is read within this time (seconds). Codes that were mailed before no longer fit.
SECRET_TTL_S = 300


def code_of(sign_in_id: str, *, settings: Settings) -> str:
    """Return the code of this sign-in. Raise Unavailable if the secret cannot be read."""
    number = int.from_bytes(_hmac("code", sign_in_id, settings=settings)) % 10**DIGITS
    return f"{number:0{DIGITS}}"


def hash_of(sign_in_id: str, code: str, *, settings: Settings) -> bytes:
    """Return what the database compares. Raise Unavailable if the secret cannot be read."""
    return _hmac("hash", f"{sign_in_id} {code}", settings=settings)


def _hmac(purpose: str, text: str, *, settings: Settings) -> bytes:
    key = _secret(settings.sign_in_secret_id, int(time.monotonic() / SECRET_TTL_S))
    return hmac.digest(key, f"{purpose} {text}".encode(), hashlib.sha256)


@cache
def _secret(secret_id: str, _period: int) -> bytes:
    from nightshift.aws.secret import secret_text

    try:
        secret = secret_text(secret_id)
    except (NightshiftError, KeyError) as exc:  # KeyError: the secret is not text
        logger.error(f"The secret of the codes cannot be read: {type(exc).__name__}", action="sign_in_misconfigured")
        raise Unavailable("Codes cannot be made or checked at the moment. Try again in a moment.") from exc
    if not secret.strip():
        logger.error("The secret of the codes is empty", action="sign_in_misconfigured")
        raise Unavailable("Codes cannot be made or checked at the moment. Try again in a moment.")
    return secret.encode()

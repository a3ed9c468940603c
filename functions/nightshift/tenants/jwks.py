"""The public keys that an identity provider publishes to verify its signatures (RFC 7517)."""

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from nightshift.base.errors import NightshiftError, Unavailable, sentence
from nightshift.base.logger import logger

# The longest time that a withdrawn key is still accepted (seconds). The set is read again at half of it, so that an
# outage of the provider for a few minutes has no effect.
LIFETIME_S, REFRESH_S = 600, 300
# The shortest time between two reads, even if many tokens name an unknown key; and the time after a failed read.
PAUSE_S, RETRY_S = 30, 5

MOST_BYTES = 256 * 1024
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, WHOLE_TIMEOUT_S = 2, 3, 5

# The kind of key for each algorithm, so that a token cannot make us use a key with a wrong algorithm.
FITS = {
    "RS256": {"kty": "RSA"},
    "PS256": {"kty": "RSA"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP"},
}


class BadKeySet(NightshiftError):
    """The identity provider's response is not a key set"""


class KeySet:
    """The keys at one URL, cached for a while.

    ``clock`` returns the time of day, because it continues while an execution environment is frozen.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time):
        self._url, self._clock = url, clock
        self._keys: list[dict[str, object]] = []
        self._read_at: float | None = None
        self._ask_again_at = 0.0

    def find(self, kid: str, algorithm: str) -> Any:
        """Return the public key, or None if the set has no such key for this algorithm.

        Raise Unavailable if the keys are too old because the provider has not answered.
        """
        found = self._usable(kid, algorithm)
        if (found is None or self._age() >= REFRESH_S) and self._may_ask():
            self._read()
            found = self._usable(kid, algorithm)
        if self._age() >= LIFETIME_S:
            raise Unavailable("The identity provider cannot be reached. Try again in a moment.")
        return found

    def _usable(self, kid: str, algorithm: str) -> Any:
        import jwt

        for jwk in self._keys:
            if jwk.get("kid") == kid and fits(jwk, algorithm):
                try:
                    return jwt.PyJWK(jwk, algorithm=algorithm).key
                except Exception as exc:
                    # A malformed key must not affect the other keys.
                    logger.warning(f"Skipped a published key: {sentence(exc)}", action="key_unusable")
        return None

    def _age(self) -> float:
        if self._read_at is None:
            return LIFETIME_S
        age = self._clock() - self._read_at
        # Negative if the clock was set back: the age is unknown then, so read again.
        return age if age >= 0 else LIFETIME_S

    def _may_ask(self) -> bool:
        # Also true if the clock was set back.
        return not 0 <= self._ask_again_at - self._clock() <= PAUSE_S

    def _read(self) -> None:
        now = self._clock()
        try:
            self._keys, self._read_at = read(self._url), now
            self._ask_again_at = now + PAUSE_S
        except Exception as exc:
            logger.warning(f"Could not read the identity provider's keys: {sentence(exc)}", action="keys_unread")
            self._ask_again_at = now + RETRY_S


@cache
def key_set(url: str) -> KeySet:
    """Return the key set of this URL, cached for the life of the execution environment."""
    return KeySet(url)


def read(url: str) -> list[dict[str, object]]:
    """Read once, without following redirects. Raise BadKeySet, or botocore's errors if there is no response."""
    from botocore.awsrequest import AWSRequest
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    until = time.monotonic() + WHOLE_TIMEOUT_S
    session = URLLib3Session(proxies=get_environ_proxies(url), timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        answer = session.send(AWSRequest(method="GET", url=url, headers=headers, stream_output=True).prepare())
        if answer.status_code != 200:
            raise BadKeySet(f"{url} answered {answer.status_code}")
        content = b""
        while chunk := answer.raw.read1(MOST_BYTES):
            content += chunk
            if len(content) > MOST_BYTES:
                raise BadKeySet(f"{url} answered with more than {MOST_BYTES:,} bytes")
            if time.monotonic() > until:
                raise BadKeySet(f"{url} took longer than {WHOLE_TIMEOUT_S} s to answer")
    finally:
        session.close()
    return _keys_in(content, url=url)


def _keys_in(content: bytes, *, url: str) -> list[dict[str, object]]:
    try:
        keys = json.loads(content)["keys"]
        found = [key for key in keys if isinstance(key, dict)]
    except (ValueError, TypeError, LookupError, RecursionError) as exc:
        raise BadKeySet(f"{url} did not answer with a key set") from exc
    if not found:
        raise BadKeySet(f"{url} answered with an empty key set")
    return found


def fits(jwk: dict[str, object], algorithm: str) -> bool:
    """Tell whether the key's fields allow signatures with this algorithm."""
    operations = jwk.get("key_ops", ["verify"])
    return (
        all(jwk.get(name) == value for name, value in FITS[algorithm].items())
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and jwk.get("alg", algorithm) == algorithm
    )

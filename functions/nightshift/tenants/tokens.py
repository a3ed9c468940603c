"""Users' tokens (JWT), signed with a shared secret or with keys that an identity provider publishes."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from nightshift.base.errors import NightshiftError, Unauthorized, Unavailable
from nightshift.base.logger import logger
from nightshift.base.settings import Settings

# A rotated JWT secret is picked up within this time (seconds).
SECRET_TTL_S = 300
# How much the provider's clock may differ from ours (seconds).
LEEWAY_S = 60
# The claim that identifies a person by e-mail address. Any other claim holds a users.id.
EMAIL = "email"
# The token must not choose the algorithm: otherwise an attacker could use a public key as a shared secret.
SHARED, PUBLISHED = ("HS256",), ("RS256", "ES256", "PS256", "EdDSA")
LOOPBACK = ("127.0.0.1", "localhost", "::1")

CANNOT_VERIFY = "Tokens cannot be verified at the moment. Try again, or use an API key."


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The person that a token identifies: by id, or by an address that the identity provider has verified."""

    user_id: str | None = None
    email: str | None = None


def verify(token: str, *, settings: Settings) -> Subject:
    """Return the person that the token identifies, if it is signed, valid now and issued for this server.

    Raise Unauthorized otherwise, and Unavailable if tokens cannot be verified now.
    """
    import jwt  # half of a cold start's budget, so only for callers with a token

    if trouble := trouble_with(settings):
        logger.error(f"Users' tokens cannot be verified: {trouble}", action="tokens_misconfigured")
        raise Unavailable(CANNOT_VERIFY)
    try:
        header = jwt.get_unverified_header(token)
    except Exception as exc:
        raise Unauthorized from exc
    algorithm, claim = str(header.get("alg")), settings.jwt_user_claim
    if algorithm not in (PUBLISHED if settings.jwks_url else SHARED):
        raise Unauthorized
    key = _key_for(header, settings)
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            leeway=LEEWAY_S,
            issuer=settings.jwt_issuer or None,
            options={"require": ["exp", claim], "verify_aud": False, "verify_sub": claim == "sub"},
        )
        if settings.jwt_audience and not _is_meant_for(settings.jwt_audience, claims):
            raise Unauthorized
        return _subject(claims, claim)
    # The caller controls the token, so every exception here is the caller's error, for example an overflow.
    except Exception as exc:
        logger.info(f"Refused a token: {type(exc).__name__}", action="token_refused")
        raise Unauthorized from exc


def trouble_with(settings: Settings) -> str | None:
    """Say why the stack's settings make it unsafe to accept tokens, and what to do. Return None if they are safe."""
    if settings.jwks_url:
        if not _is_trustworthy(settings.jwks_url):
            return f"JwksUrl must begin with https://, got {settings.jwks_url!r}"
        # Providers sign tokens for many applications, and some for many customers, with the same keys.
        for parameter, value in (("JwtIssuer", settings.jwt_issuer), ("JwtAudience", settings.jwt_audience)):
            if not value:
                return f"JwksUrl needs {parameter}: without it, tokens issued for other applications would be accepted"
    if settings.jwt_user_claim == EMAIL and not settings.jwt_issuer:
        return "JwtUserClaim=email needs JwtIssuer: without it, any issuer could claim any address"
    return None


def _is_trustworthy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        )
    except ValueError:
        return False


def _key_for(header: Mapping[str, Any], settings: Settings) -> Any:
    if not settings.jwks_url:
        return _secret(settings.jwt_secret_id, int(time.monotonic() / SECRET_TTL_S))
    from nightshift.tenants.jwks import key_set

    kid = header.get("kid")
    key = key_set(settings.jwks_url).find(kid, str(header["alg"])) if isinstance(kid, str) else None
    if key is None:
        raise Unauthorized
    return key


def _is_meant_for(audience: str, claims: Mapping[str, Any]) -> bool:
    # Cognito's access tokens name the application in client_id, and have no aud.
    named = claims["aud"] if "aud" in claims else claims.get("client_id")
    return audience in named if isinstance(named, list) else audience == named


def _subject(claims: Mapping[str, Any], claim: str) -> Subject:
    value = claims[claim]
    if claim == EMAIL:
        verified = claims.get("email_verified")
        # Some providers write the boolean as text.
        if not ((verified is True or verified == "true") and isinstance(value, str) and value.isprintable()):
            raise Unauthorized
        return Subject(email=value)
    if not isinstance(value, str) or len(value) != 36:
        raise Unauthorized
    return Subject(user_id=str(uuid.UUID(value)))


@cache
def _secret(secret_id: str, _period: int) -> str:
    from nightshift.aws.secret import secret_text

    try:
        secret = secret_text(secret_id)
    except (NightshiftError, KeyError) as exc:  # KeyError: the secret is not text
        raise Unavailable(CANNOT_VERIFY) from exc
    if not secret.strip():
        logger.error("The secret that signs users' tokens is empty", action="tokens_misconfigured")
        raise Unavailable(CANNOT_VERIFY)
    return secret

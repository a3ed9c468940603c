"""The secrets of webhooks and their signatures, as in Standard Webhooks: https://www.standardwebhooks.com"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime

from nightshift.aws import kms
from nightshift.base.errors import Unavailable
from nightshift.base.logger import logger
from nightshift.base.settings import Settings

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + b64encode(secrets.token_bytes(32)).decode()


def signed_headers(message_id: str, body: bytes, keys: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Return the headers that sign the message with each of these secrets."""
    timestamp = str(int(now.timestamp()))
    signatures = [_signature(key, f"{message_id}.{timestamp}.".encode() + body) for key in keys]
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def encrypted(secret: str, *, team_id: str, settings: Settings) -> bytes:
    """Return ciphertext that can be decrypted only for an alert of the same team. Raise Unavailable if KMS fails."""
    from nightshift.aws.aws_http import AwsRefused, AwsUnreachable

    try:
        return kms.encrypt(secret, key_id=settings.integrations_key_id, context=_context(team_id))
    except (AwsRefused, AwsUnreachable) as exc:
        # KMS's words name accounts and roles.
        logger.warning(f"KMS did not encrypt an alert's secret: {exc}", action="key_not_encrypted")
        raise Unavailable("The secret could not be encrypted, so nothing was stored. Try again in a moment.") from None


def decrypted(ciphertext: bytes, *, team_id: str) -> str:
    """Raise the errors of nightshift.aws.aws_http."""
    return kms.decrypt(ciphertext, context=_context(team_id))


def _signature(key: str, content: bytes) -> str:
    digest = hmac.new(b64decode(key.removeprefix(PREFIX)), content, hashlib.sha256).digest()
    return f"v1,{b64encode(digest).decode()}"


def _context(team_id: str) -> dict[str, str]:
    # Another name than that of integrations, so that no function's rights reach both.
    return {"alerts_of_team": team_id}

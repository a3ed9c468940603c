"""Provider secrets: encrypted by KMS with the project as encryption context, and decrypted only in the worker."""

from base64 import b64decode, b64encode

from nightshift.aws.clients import client
from nightshift.base.errors import JobError, NightshiftError, NotFound
from nightshift.base.settings import settings
from nightshift.database.queries import Database


def require_revenuecat(project_id: str, *, db: Database) -> None:
    """Raise NotFound for a project without a RevenueCat integration."""
    if not db.query("has_revenuecat", project_id=project_id):
        raise NotFound("RevenueCat integration not found")


def encrypt_secret(secret: str, *, project_id: str) -> bytes:
    """Return ciphertext that can be decrypted only for the same project. Raise NightshiftError if KMS fails."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = client("kms").encrypt(
            KeyId=settings().integrations_key_id, Plaintext=secret.encode(), EncryptionContext=_context(project_id)
        )
    except (BotoCoreError, ClientError) as exc:
        raise NightshiftError(f"KMS did not encrypt the RevenueCat key, so nothing was stored: {exc}") from exc
    ciphertext: bytes = answer["CiphertextBlob"]
    return ciphertext


def decrypt_secret(ciphertext: bytes, *, project_id: str) -> str:
    """Decrypt the secret. Raise JobError if the ciphertext belongs to another project or is damaged."""
    from nightshift.aws.aws_http import AwsRefused, endpoint_of, post, regional_host

    body = {"CiphertextBlob": b64encode(ciphertext).decode(), "EncryptionContext": _context(project_id)}
    endpoint = endpoint_of("KMS", host=regional_host("kms"))
    try:
        # A boto3 client would slow down every slice of a sync, which begins with this call.
        answer = post("kms", body, endpoint=endpoint, target="TrentService.Decrypt")
    except AwsRefused as exc:
        if exc.code != "InvalidCiphertextException":
            raise
        raise JobError(
            "The stored RevenueCat key cannot be decrypted for this project. "
            "Ask the operator of this server to store it again."
        ) from exc
    return b64decode(answer["Plaintext"]).decode()


def _context(project_id: str) -> dict[str, str]:
    return {"project_id": str(project_id)}

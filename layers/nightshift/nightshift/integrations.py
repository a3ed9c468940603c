"""Provider secrets: encrypted by KMS with the project as encryption context, decrypted in the worker alone."""

from typing import Any

from nightshift.aws import client
from nightshift.errors import JobError
from nightshift.settings import settings


def encrypt_secret(secret: str, *, project_id: str) -> bytes:
    """Ciphertext that only decrypts again for the same project."""
    answer = client("kms").encrypt(
        KeyId=settings().integrations_key_id, Plaintext=secret.encode(), EncryptionContext=_context(project_id)
    )
    ciphertext: bytes = answer["CiphertextBlob"]
    return ciphertext


def decrypt_secret(ciphertext: bytes, *, project_id: str) -> str:
    """Raises JobError when the ciphertext belongs to another project or was damaged."""
    kms: Any = client("kms")
    try:
        answer = kms.decrypt(CiphertextBlob=ciphertext, EncryptionContext=_context(project_id))
    except kms.exceptions.InvalidCiphertextException as exc:
        raise JobError("The stored RevenueCat key cannot be decrypted for this project. Store it again.") from exc
    secret: str = answer["Plaintext"].decode()
    return secret


def _context(project_id: str) -> dict[str, str]:
    return {"project_id": str(project_id)}

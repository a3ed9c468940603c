"""Encrypt and decrypt with KMS. The context is bound to the ciphertext: only the same one decrypts it."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any


def encrypt(text: str, *, key_id: str, context: Mapping[str, str]) -> bytes:
    """Return the ciphertext. Raise aws_http's errors."""
    body = {"KeyId": key_id, "Plaintext": b64encode(text.encode()).decode(), "EncryptionContext": dict(context)}
    return b64decode(_call("Encrypt", body)["CiphertextBlob"])


def decrypt(ciphertext: bytes, *, context: Mapping[str, str]) -> str:
    """Return the text. Raise aws_http's errors; AwsRefused with InvalidCiphertextException for another context."""
    body = {"CiphertextBlob": b64encode(ciphertext).decode(), "EncryptionContext": dict(context)}
    return b64decode(_call("Decrypt", body)["Plaintext"]).decode()


def _call(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    # Imported here, because each trigger imports this module. Without a boto3 client, which would slow down every slice
    # of a sync.
    from nightshift.aws.aws_http import endpoint_of, post, regional_host

    endpoint = endpoint_of("KMS", host=regional_host("kms"))
    return post("kms", body, endpoint=endpoint, target=f"TrentService.{operation}")

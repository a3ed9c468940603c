"""Read and change secrets of Secrets Manager."""

import uuid
from typing import Any

from nightshift.aws.aws_http import endpoint_of, post, regional_host

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


def secret_text(secret_id: str, *, stage: str = CURRENT) -> str:
    """Return a secret's text, by its name or ARN. Raise aws_http's errors, and KeyError if the secret is binary.

    ``stage`` is the version: a secret that was changed also has the PREVIOUS one.
    """
    text: str = _call("GetSecretValue", {"SecretId": secret_id, "VersionStage": stage})["SecretString"]
    return text


def change_secret(secret_id: str, text: str) -> None:
    """Make the text the secret's CURRENT version. The one before becomes the PREVIOUS one. Raise aws_http's errors."""
    # With the token, a second attempt after a lost response makes no second version.
    token = str(uuid.uuid4())
    _call("PutSecretValue", {"SecretId": secret_id, "SecretString": text, "ClientRequestToken": token})


def _call(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    endpoint = endpoint_of("SECRETS_MANAGER", host=regional_host("secretsmanager"))
    return post("secretsmanager", body, endpoint=endpoint, target=f"secretsmanager.{operation}")

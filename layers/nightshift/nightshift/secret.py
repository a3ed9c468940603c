"""A secret's text, from Secrets Manager."""

from nightshift.aws_http import endpoint_of, post, regional_host


def secret_text(secret_id: str) -> str:
    """``secret_id`` is a name or an ARN. Raises aws_http's errors, and KeyError for a secret that is no text."""
    text: str = post(
        "secretsmanager",
        {"SecretId": secret_id},
        endpoint=endpoint_of("SECRETS_MANAGER", host=regional_host("secretsmanager")),
        target="secretsmanager.GetSecretValue",
    )["SecretString"]
    return text

"""Read secrets from Secrets Manager."""

from nightshift.aws.aws_http import endpoint_of, post, regional_host


def secret_text(secret_id: str) -> str:
    """Return a secret's text, by its name or ARN. Raise aws_http's errors, and KeyError if the secret is binary."""
    text: str = post(
        "secretsmanager",
        {"SecretId": secret_id},
        endpoint=endpoint_of("SECRETS_MANAGER", host=regional_host("secretsmanager")),
        target="secretsmanager.GetSecretValue",
    )["SecretString"]
    return text

"""Read secrets from Secrets Manager."""

from nightshift.aws.aws_http import endpoint_of, post, regional_host

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


def secret_text(secret_id: str, *, stage: str = CURRENT) -> str:
    """Return a secret's text, by its name or ARN. Raise aws_http's errors, and KeyError if the secret is binary.

    ``stage`` is the version: a secret that was changed also has the PREVIOUS one.
    """
    text: str = post(
        "secretsmanager",
        {"SecretId": secret_id, "VersionStage": stage},
        endpoint=endpoint_of("SECRETS_MANAGER", host=regional_host("secretsmanager")),
        target="secretsmanager.GetSecretValue",
    )["SecretString"]
    return text

"""The password of a database connection: an IAM token of the function's role, a secret, or none."""

import json
from collections.abc import Iterator

from nightshift.base.errors import ConfigurationError, DatabaseGone
from nightshift.base.settings import Settings

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.Python.html
TOKEN_LIFETIME_S = 900


def passwords_for(config: Settings) -> Iterator[str | None]:
    """Yield the passwords to try, in this order; each is looked up when the server has refused those before it.

    Called for each new connection, because tokens expire and secrets change. "either" is for the schema owner: members
    of rds_iam, direct or inherited, can only sign in with a token on RDS. Since Postgres 16 the creator of a role
    becomes a member of it, so creating our roles may disable the owner's password.
    Raise ConfigurationError for a secret without a password, and DatabaseGone if Secrets Manager does not answer.
    """
    if config.database_auth == "none":
        yield config.database_password or None
    if config.database_auth in ("secret", "either"):
        yield from _passwords_in(config.database_secret_id or secret_of(config.database_user, config))
    if config.database_auth in ("iam", "either"):
        yield _token(config)


def secret_of(role: str, config: Settings) -> str:
    """Return the name of the secret with the role's password."""
    return f"{config.database_role_secrets}{role}"


def _passwords_in(secret: str) -> Iterator[str]:
    """Yield the password in the secret. If it is refused, read the secret again, and then its previous version.

    A rotation changes the secret first and the server later. In between, the server accepts the previous version.
    """
    from nightshift.aws.secret import PREVIOUS

    refused = password_in(secret)
    yield refused
    if (changed := password_in(secret)) != refused:
        yield changed
    elif previous := password_in(secret, stage=PREVIOUS):
        yield previous


def password_in(secret: str, *, stage: str = "AWSCURRENT") -> str:
    """Return the password in the version ``stage`` of the secret, or an empty text without such a version."""
    from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
    from nightshift.aws.secret import CURRENT, secret_text

    try:
        return str(json.loads(secret_text(secret, stage=stage))["password"])
    except (AwsRefused, AwsUnreachable) as exc:
        if stage != CURRENT and isinstance(exc, AwsRefused) and exc.code == "ResourceNotFoundException":
            return ""
        kind = DatabaseGone if exc.passing else ConfigurationError
        raise kind(f"The password cannot be read from the secret {secret}: {exc}") from exc
    except (KeyError, TypeError, ValueError):
        # Without the cause, because it would quote the secret.
        raise ConfigurationError(f'The secret {secret} must be JSON with a "password"') from None


def _token(config: Settings) -> str:
    """Sign a request to the database, and return its URL: RDS accepts it as a password. The request is never sent."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    from nightshift.aws.sigv4 import credentials, region

    request = AWSRequest(
        "GET",
        f"https://{config.database_server_name or config.database_host}:{config.database_port}/",
        params={"Action": "connect", "DBUser": config.database_user},
    )
    SigV4QueryAuth(credentials(), "rds-db", region(), expires=TOKEN_LIFETIME_S).add_auth(request)
    return str(request.prepare().url).removeprefix("https://")

"""The password of a database connection: an IAM token of the function's role, a secret, or none."""

import json

from nightshift.base.errors import ConfigurationError, DatabaseGone
from nightshift.base.settings import Settings

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.Python.html
TOKEN_LIFETIME_S = 900


def passwords_for(config: Settings) -> list[str | None]:
    """Return the passwords to try, in this order. Called for each new connection, because tokens expire.

    The schema owner has two. Members of rds_iam, direct or inherited, can only sign in with a token on RDS. Since
    Postgres 16 the creator of a role becomes a member of it, so creating our roles may disable the owner's password.
    Raise ConfigurationError for a secret without a password, and DatabaseGone if Secrets Manager does not answer.
    """
    match config.database_auth:
        case "none":
            return [config.database_password or None]
        case "iam":
            return [_token(config)]
        case "secret":
            return [_password(config), _token(config)]


def _password(config: Settings) -> str:
    from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
    from nightshift.aws.secret import secret_text

    name = config.database_secret_id or f"{config.database_role_secrets}{config.database_user}"
    try:
        return str(json.loads(secret_text(name))["password"])
    except (AwsRefused, AwsUnreachable) as exc:
        kind = DatabaseGone if exc.passing else ConfigurationError
        raise kind(f"The password of {config.database_user} cannot be read from the secret {name}: {exc}") from exc
    except (KeyError, TypeError, ValueError):
        # Without the cause, because it would quote the secret.
        raise ConfigurationError(f'The secret {name} must be JSON with a "password"') from None


def _token(config: Settings) -> str:
    """Sign a request to the database, and return its URL: RDS accepts it as a password. The request is never sent."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    from nightshift.aws.sigv4 import credentials, region

    request = AWSRequest(
        "GET",
        f"https://{config.database_host}:{config.database_port}/",
        params={"Action": "connect", "DBUser": config.database_user},
    )
    SigV4QueryAuth(credentials(), "rds-db", region(), expires=TOKEN_LIFETIME_S).add_auth(request)
    return str(request.prepare().url).removeprefix("https://")

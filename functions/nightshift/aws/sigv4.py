"""AWS request signatures without a client: credentials, region and the signed request.

Creating a client reads megabytes of service descriptions, which takes longer than all other work of a cold start.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest

from nightshift.base.errors import ConfigurationError

if TYPE_CHECKING:
    from botocore.session import Session


class Credentials(NamedTuple):
    """Credentials, with the field names that botocore's signers expect."""

    access_key: str
    secret_key: str
    token: str | None


def credentials() -> Credentials:
    """Return the credentials from Lambda's environment variables, else those that botocore finds and refreshes.

    Developers' machines have profiles, and a Lambda restored from a snapshot has an endpoint instead of variables.
    Raise ConfigurationError if there are none.
    """
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return Credentials(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN") or None)
    found = _session().get_credentials()
    if found is None:
        raise ConfigurationError("No AWS credentials found: set AWS_ACCESS_KEY_ID or configure a profile")
    return Credentials(*found.get_frozen_credentials()[:3])


def region() -> str:
    """Return the AWS region. Raise ConfigurationError if none is configured."""
    named: str | None = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    named = named or _session().get_config_variable("region")
    if not named:
        raise ConfigurationError("No AWS region found: set AWS_REGION or configure a profile with a region")
    return named


def signed(service: str, request: AWSRequest) -> AWSPreparedRequest:
    """Sign the request. It must be sent within five minutes."""
    SigV4Auth(credentials(), service, region()).add_auth(request)
    return request.prepare()


@cache
def _session() -> "Session":
    import botocore.session

    return botocore.session.get_session()

"""AWS's signature without a client: who signs, for which region, and a request that carries it.

Making a client reads megabytes of service descriptions, which costs a cold start more than everything else it does.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest

from nightshift.errors import ConfigurationError

if TYPE_CHECKING:
    from botocore.session import Session


class Credentials(NamedTuple):
    """Named as botocore's signers ask for them."""

    access_key: str
    secret_key: str
    token: str | None


def credentials() -> Credentials:
    """Lambda's, from the environment; elsewhere whatever botocore finds, refreshed when it is due.

    A machine has profiles, and a Lambda that was restored from a snapshot has an endpoint instead of variables.
    Raises ConfigurationError where there are none.
    """
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return Credentials(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN") or None)
    found = _session().get_credentials()
    if found is None:
        raise ConfigurationError("There are no AWS credentials: AWS_ACCESS_KEY_ID is not set, and no profile has any")
    return Credentials(*found.get_frozen_credentials()[:3])


def region() -> str:
    """Raises ConfigurationError where nothing names one."""
    named: str | None = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    named = named or _session().get_config_variable("region")
    if not named:
        raise ConfigurationError("There is no AWS region: AWS_REGION is not set, and no profile has one")
    return named


def signed(service: str, request: AWSRequest) -> AWSPreparedRequest:
    """The request, to be sent within five minutes."""
    SigV4Auth(credentials(), service, region()).add_auth(request)
    prepared: Any = request.prepare()
    return prepared


@cache
def _session() -> "Session":
    import botocore.session

    return botocore.session.get_session()

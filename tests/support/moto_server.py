"""moto over HTTP. It listens inside botocore's clients, which refuse requests without a signature."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore import loaders
from botocore.awsrequest import AWSPreparedRequest, HTTPHeaders
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.models import botocore_stubber
from moto.kms.models import generate_private_key

from nightshift.base.settings import DEAD_LETTERS
from tests.support import http_server
from tests.support.service_models import Loader

# Headers that the server sets itself.
OF_THE_CONNECTION = ("content-length", "date", "server")

REGION = "us-east-1"


@contextmanager
def cheap() -> Iterator[None]:
    """Save a tenth of a second per test.

    moto makes an RSA key for each key, which a symmetric key never uses, and registers each URL of each service for the
    library ``requests``, which calls no AWS here.
    """
    with (
        patch.object(loaders, "Loader", Loader),
        patch("moto.kms.models.generate_private_key", cache(generate_private_key)),
        patch("moto.core.models.RESPONSES_METHODS", []),
    ):
        yield


@contextmanager
def serve() -> Iterator[str]:
    """Yield the endpoint of every service. Its state belongs to the mock_aws around each request."""

    def answer(request: http_server.Request) -> http_server.Reply:
        # Credential=<key>/<day>/<region>/<service>/aws4_request
        _, _, region, service, _ = request.headers["Authorization"].split(",")[0].split("/")
        host = f"{'email' if service == 'ses' else service}.{region}.amazonaws.com"
        headers = HTTPHeaders.from_dict(dict(request.headers) | {"Host": host})
        url = f"https://{host}{request.path}"
        prepared = AWSPreparedRequest("POST", url, headers, request.body, stream_output=False)
        status, answered, content = botocore_stubber.process_request(prepared)
        kept = {name: str(value) for name, value in answered.items() if name.lower() not in OF_THE_CONNECTION}
        return http_server.Reply(status, content.encode() if isinstance(content, str) else content, kept)

    with cheap(), http_server.serve(answer, keep_alive=True) as url:
        yield url


def dead_letters() -> str:
    """Create the dead-letter queues, and return their names as the operate function gets them."""
    return ",".join(queue(f"{name}-dead").rpartition("/")[2] for name in DEAD_LETTERS)


def queue(name: str) -> str:
    """Create a queue inside a mock_aws and return its URL. A request would take longer than most tests."""
    made: str = _backend("sqs").create_queue(name).url(urlsplit(f"https://sqs.{REGION}.amazonaws.com"))
    return made


def secret(name: str, content: str) -> str:
    """Create a secret inside a mock_aws and return its ARN."""
    options = dict.fromkeys(("secret_binary", "description", "tags", "kms_key_id", "client_request_token"))
    made = _backend("secretsmanager").create_secret(
        name, secret_string=content, replica_regions=[], force_overwrite=False, **options
    )
    arn: str = json.loads(made)["ARN"]
    return arn


def key() -> str:
    """Create a symmetric key inside a mock_aws and return its id."""
    made: str = _backend("kms").create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", None).id
    return made


def _backend(service: str) -> Any:
    return get_backend(service)[DEFAULT_ACCOUNT_ID][REGION]

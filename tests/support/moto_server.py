"""moto over HTTP. It listens inside botocore's clients, which refuse requests without a signature."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

from botocore import loaders
from botocore.awsrequest import AWSPreparedRequest, HTTPHeaders
from moto.core.models import botocore_stubber
from moto.kms.models import generate_private_key

from tests.support import http_server
from tests.support.service_models import Loader

# Headers that the server sets itself.
OF_THE_CONNECTION = ("content-length", "date", "server")


@contextmanager
def cheap() -> Iterator[None]:
    """Save a tenth of a second per test. moto makes an RSA key for each key, which a symmetric key never uses."""
    with (
        patch.object(loaders, "Loader", Loader),
        patch("moto.kms.models.generate_private_key", cache(generate_private_key)),
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

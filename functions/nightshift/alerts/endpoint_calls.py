"""Call an endpoint that a team has chosen: one POST, in ten seconds at most, to an address that was checked."""

import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from functools import cache
from http.client import HTTPException, HTTPResponse
from threading import Thread
from typing import Any, NamedTuple

from nightshift.alerts.public_endpoints import Endpoint, NotPublic, resolve
from nightshift.base.wording import visible

# For all: name, connection, TLS, request and answer.
CALL_S = 10.0
# The part of an answer that is kept, in bytes.
MAX_ANSWER = 1024
# Timeout, too early, too many requests.
NOT_NOW = (408, 425, 429)
# An endpoint with several addresses is tried at this many.
MOST_ADDRESSES = 2


class Called(NamedTuple):
    """The answer of an endpoint. Without a ``status`` it did not, and ``error`` says why."""

    status: int | None = None
    answer: str | None = None
    error: str | None = None

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_of_the_message(self) -> bool:
        """Whether the endpoint works and refuses this message, so that others may be accepted."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in NOT_NOW


def call(endpoint: Endpoint, body: bytes, headers: Mapping[str, str], *, within_s: float = CALL_S) -> Called:
    """Post the body. Never raise: an endpoint in trouble is an answer. Redirects are not followed."""
    ends_at = time.monotonic() + within_s
    try:
        addresses = _within(ends_at, resolve, endpoint)
    except NotPublic as exc:
        return Called(error=str(exc))
    except TimeoutError:
        return Called(error=f"The name {endpoint.host} was not found in {within_s:g} s")
    except OSError:
        return Called(error=f"The name {endpoint.host} was not found")
    try:
        with _connected(endpoint, addresses, ends_at) as connection:
            connection.settimeout(_left(ends_at))
            connection.sendall(_request(endpoint, body, headers))
            return _read(connection, ends_at)
    except TimeoutError:
        return Called(error=f"{endpoint.host} did not answer in {within_s:g} s")
    except ssl.SSLCertVerificationError as exc:
        return Called(error=f"The certificate of {endpoint.host} is not valid: {exc.verify_message}")
    except (OSError, HTTPException, ValueError) as exc:
        return Called(error=f"The call of {endpoint.host} failed: {visible(str(exc))[:200] or type(exc).__name__}")


def _connected(endpoint: Endpoint, addresses: Sequence[str], ends_at: float) -> socket.socket:
    """Connect to one of the addresses. TLS checks that the certificate is that of the endpoint's name."""
    tried = addresses[:MOST_ADDRESSES]
    for place, address in enumerate(tried, start=1):
        # An address that does not answer must leave time for the next one.
        timeout = _left(ends_at) / (2 if place < len(tried) else 1)
        try:
            connection = socket.create_connection((address, endpoint.port), timeout=timeout)
        except OSError:
            if place == len(tried):
                raise
            continue
        if endpoint.is_sink:
            return connection
        try:
            connection.settimeout(_left(ends_at))
            return _tls().wrap_socket(connection, server_hostname=endpoint.host)
        except BaseException:
            connection.close()
            raise
    raise OSError("it has no address")


def _request(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> bytes:
    host = f"{endpoint.host}:{endpoint.port}" if endpoint.is_sink else endpoint.host
    fields = {"Host": host, "Content-Length": str(len(body)), "Connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {endpoint.target} HTTP/1.1\r\n{head}\r\n".encode() + body


def _read(connection: socket.socket, ends_at: float) -> Called:
    answer = HTTPResponse(_Until(connection, ends_at), method="POST")  # type: ignore[arg-type]
    answer.begin()
    try:
        text = answer.read(MAX_ANSWER).decode("utf-8", "replace")
    except (OSError, HTTPException, ValueError):
        # The status has come, which decides. An answer that does not end is cut.
        text = ""
    said = None if 200 <= answer.status < 300 else f"It answered with HTTP {answer.status}"
    if 300 <= answer.status < 400:
        said = f"{said}, and redirects are not followed"
    return Called(answer.status, "\n".join(visible(line) for line in text.splitlines()), said)


class _Until(io.RawIOBase):
    """A connection whose reads all end at one time: an endpoint that sends a byte now and then does not prolong it."""

    def __init__(self, connection: socket.socket, ends_at: float):
        self._connection, self._ends_at = connection, ends_at

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._ends_at))
        return self._connection.recv_into(buffer)


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _within(ends_at: float, ask: Any, *arguments: Any) -> Any:
    """Return the answer of a function that has no time limit of its own. Raise TimeoutError, and what it raises."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(ask(*arguments))
        except BaseException as exc:
            future.set_exception(exc)

    Thread(target=run, daemon=True).start()
    return future.result(timeout=_left(ends_at))


@cache
def _tls() -> ssl.SSLContext:
    # The roots that AWS's own calls use, because a runtime may have none.
    from botocore.httpsession import get_cert_path

    return ssl.create_default_context(cafile=get_cert_path(True))

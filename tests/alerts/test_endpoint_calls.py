"""One call of an endpoint, which may be slow, endless, broken, or have another host's certificate."""

import itertools
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from nightshift.alerts import endpoint_calls
from nightshift.alerts.endpoint_calls import call
from nightshift.alerts.public_endpoints import Endpoint
from tests.support import http_server

SHORT_S = 0.3


@contextmanager
def raw_server(talk):
    """Accept connections and let ``talk`` use each. Yield the endpoint, as the local stack's sink."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", "/", listening.getsockname()[1], is_sink=True)
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def answered(head, body=b""):
    def talk(connection):
        connection.recv(65536)
        connection.sendall(head + b"\r\n\r\n" + body)

    return talk


def dripping(connection):
    connection.recv(65536)
    for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(ord("x"))):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def silent(connection):
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("talk", [dripping, silent])
def test_an_endpoint_that_takes_long_costs_its_time_and_no_more(talk):
    began = time.monotonic()
    with raw_server(talk) as endpoint:
        called = call(endpoint, b"{}", {}, within_s=SHORT_S)
    assert (called.status, called.error) == (None, f"127.0.0.1 did not answer in {SHORT_S} s")
    assert time.monotonic() - began < 10 * SHORT_S


def test_the_status_counts_if_the_answer_does_not_end():
    def endless(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\npart")
        silent(connection)

    with raw_server(endless) as endpoint:
        assert call(endpoint, b"{}", {}, within_s=SHORT_S).is_accepted


@pytest.mark.parametrize(
    ("head", "body", "status", "answer"),
    [
        (b"HTTP/1.1 204 No Content", b"", 204, ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", 200, "hello"),
        (b"HTTP/1.0 202 Fine", b"a\x00b\x1b[31m\xff\nc", 202, None),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/", b"", 302, ""),
        (b"HTTP/1.1 500 No", b"x" * 5000, 500, "x" * 1024),
    ],
)
def test_answers(head, body, status, answer):
    with raw_server(answered(head, body)) as endpoint:
        called = call(endpoint, b"{}", {})
    assert (called.status, called.is_accepted) == (status, status < 300)
    assert answer is None or called.answer == answer
    assert "\x00" not in called.answer
    assert "\x1b" not in called.answer
    assert (called.error is None) == called.is_accepted


def test_redirects_are_not_followed():
    asked = []

    def answer(request):
        asked.append(request.path)
        return http_server.Reply(307, b"", {"Location": "/elsewhere"})

    with http_server.serve(answer) as url:
        called = call(Endpoint("127.0.0.1", "/here", int(url.rpartition(":")[2]), is_sink=True), b"{}", {})
    assert (asked, called.error) == (["/here"], "It answered with HTTP 307, and redirects are not followed")


@pytest.mark.parametrize(
    "garbage", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200]
)
def test_garbage_is_a_failure(garbage):
    with raw_server(lambda connection: (connection.recv(65536), connection.sendall(garbage))) as endpoint:
        called = call(endpoint, b"{}", {}, within_s=2)
    assert called.status is None
    assert called.error.startswith("The call of 127.0.0.1 failed: ")


def test_the_certificate_must_be_of_the_name(monkeypatch, tmp_path):
    from botocore.httpsession import get_cert_path

    assert get_cert_path(True)
    context = endpoint_calls._tls()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    called = call(Endpoint("127.0.0.1", "/", port, is_sink=True), b"{}", {})
    assert called.error.startswith("The call of 127.0.0.1 failed: ")


def test_a_name_that_is_not_found_in_time(monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(endpoint_calls, "resolve", lambda endpoint: waiting.wait(5))
    called = call(Endpoint("hooks.example.com", "/"), b"{}", {}, within_s=SHORT_S)
    waiting.set()
    assert called.error == f"The name hooks.example.com was not found in {SHORT_S} s"

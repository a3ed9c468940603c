"""The errors of an API that disconnects, hangs, sends nonsense or never stops: readable, and within limited time."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
import urllib3

from nightshift_cli.base.failures import Unreachable
from nightshift_cli.remote import api
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.config import Config

# The client must not use the connection again: it may send before it learns that the server has closed it.
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
Serve = Callable[[socket.socket], None]


def hang_up(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def say(data: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.close()

    return serve


@pytest.fixture
def server() -> Iterator[Callable[[Serve], str]]:
    """Serve every connection in the same way after reading its request. Yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as _:
        kept = []

        def serve_all(serve: Serve) -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                kept.append(connection)
                connection.recv(65536)
                serve(connection)

        def start(serve: Serve) -> str:
            threading.Thread(target=serve_all, args=(serve,), daemon=True).start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield start
        listening.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def asked(url: str, **how: object) -> tuple[str, list[str]]:
    """Return the sentence of a failed call, and the sentences before each retry."""
    notices: list[str] = []
    config = Config(api_url=url, token="x", api_from="", token_from="")
    called = Api(config, sleep=lambda s: None, notice=notices.append, **how)  # type: ignore[arg-type]
    with pytest.raises(Unreachable) as raised:
        called.whoami()
    called.close()
    return raised.value.message.replace(url, "URL"), notices


@pytest.mark.parametrize(
    ("serve", "sentence"),
    [
        (hang_up, "The connection to URL failed: the server closed it without a response."),
        (reset, "The connection to URL failed: connection reset by peer."),
        (say(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "The connection to URL failed: the response is not HTTP."),
        (
            say(OK + b"Content-Length: 100\r\n\r\n{"),
            "The connection to URL failed: the response was cut off.",
        ),
        (
            say(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "The connection to URL failed: the response was cut off.",
        ),
        (
            say(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x00\x01\x02\x03"),
            "URL sent a response that cannot be decompressed.",
        ),
        (
            say(OK + b"Content-Length: 2\r\n\r\n[]"),
            "URL responded with status 200 and JSON that is not an object. Check the URL.",
        ),
    ],
)
def test_a_connection_that_breaks_is_told_in_words(server: Callable[[Serve], str], serve: Serve, sentence: str) -> None:
    said, notices = asked(server(serve))
    assert said == sentence
    if "not an object" not in sentence:
        assert [notice.rpartition("Trying")[2] for notice in notices] == [" again (2 of 3).", " again (3 of 3)."]


def test_an_api_that_does_not_answer_is_told_of_at_the_first_retry_and_given_up_on(
    server: Callable[[Serve], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "TIMEOUT", urllib3.Timeout(connect=5, read=0.05))
    # The clock adds 31 seconds for each attempt, so the third one would end after a minute and a half.
    ticks = iter(range(0, 10_000, 31))
    said, notices = asked(server(lambda connection: None), clock=lambda: next(ticks))
    assert said == "URL did not respond in time."
    assert [notice.partition(". ")[2] for notice in notices] == ["Trying again (2 of 3)."] * len(notices)
    assert len(notices) <= 1


def test_an_answer_without_an_end_is_given_up_on(server: Callable[[Serve], str]) -> None:
    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
            while True:
                connection.sendall(b" ")
        except OSError:
            pass

    ticks = iter(range(10_000))
    said, _ = asked(server(drip), clock=lambda: next(ticks))
    assert said == "URL did not finish its response within 40 seconds."


def test_an_answer_beyond_all_bounds_is_given_up_on(
    server: Callable[[Serve], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MOST_BYTES", 1024 * 1024)
    said, _ = asked(server(say(OK + b"\r\n" + b" " * 1024 * 1024 * 2)), clock=lambda: 0)
    assert said == "URL sent more than 1 MB. Check the URL."


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_cannot_be_is_a_sentence(host: str) -> None:
    said, _ = asked(f"https://{host}")
    assert said == "URL has an invalid host name: a part of it is empty or too long."


def test_a_proxy_that_refuses_is_told_in_words(server: Callable[[Serve], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server(say(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    said, _ = asked("https://api.example.com")
    assert said == (
        "Cannot reach URL through the proxy from the environment: "
        "Tunnel connection failed: 407 Proxy Authentication Required."
    )

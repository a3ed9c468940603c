"""Which requests the local servers accept, tested without the stack over real connections to two of them."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from local import mailbox
from local.gate import refusal
from local.ports import free_port
from local.revenuecat.server import Sandbox, serve

HOST = "127.0.0.1:4566"
VISIT = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}


def is_let_in(method: str = "GET", *, is_page: bool = False, **headers: str) -> bool:
    named = {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(method, named.items(), is_page=is_page) is None


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:1", "LOCALHOST", "host.docker.internal:4566"])
def test_a_program_on_this_machine_is_let_in(host: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert is_let_in(method, Host=host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:4566",
        "127.0.0.1.evil.test:4566",
        "localhost.evil.test",
        "[::1]:4566",
        "",
        "10.0.0.1:4566",
    ],
)
def test_a_name_that_leads_here_and_is_not_ours_is_refused(host: str) -> None:
    for method in ("GET", "POST"):
        assert not is_let_in(method, Host=host)
        # Not as a page either: with its own name the page would have the same origin as the answer.
        assert not is_let_in(method, is_page=True, **VISIT | {"Host": host})


def test_one_host_is_named_and_no_other() -> None:
    assert refusal("GET", [], is_page=True) is not None
    assert refusal("GET", [("Host", HOST), ("host", "evil.test")], is_page=True) is not None


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "null", "http://localhost:3000", "http://127.0.0.1", "https://127.0.0.1:4566", ""]
)
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert not is_let_in(method, Origin=origin)
        assert not is_let_in(method, is_page=True, Origin=origin, **VISIT)


def test_our_own_pages_are_let_in() -> None:
    for method in ("GET", "POST"):
        assert is_let_in(method, Origin=f"http://{HOST}", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")
    # A URL that was typed or opened from a terminal.
    assert is_let_in(Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")


# A dev server on another port is the same site.
@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_link_leads_to_a_page_and_nothing_else_does(site: str) -> None:
    visit = VISIT | {"Sec-Fetch-Site": site}
    assert is_let_in(is_page=True, **visit)
    assert not is_let_in(is_page=False, **visit)
    assert not is_let_in("POST", is_page=True, **visit)
    for other in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "image"}, {"Sec-Fetch-Mode": "no-cors"}):
        assert not is_let_in(is_page=True, **visit | other)
    assert not is_let_in(is_page=True, Sec_Fetch_Site=site)


@pytest.fixture
def sandbox() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(customer_ids=["user_000001"])
    with serve(sandbox) as url:
        yield sandbox, url.removesuffix("/v2")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        VISIT,
        {"Host": "evil.test"},
    ],
)
def test_no_page_makes_faults_in_the_sandbox(sandbox: tuple[Sandbox, str], headers: dict[str, str]) -> None:
    there, url = sandbox
    fault, key = json.dumps({"status": 500, "times": None}), {"Authorization": "Bearer sk_sandbox"}
    for method, path in (("POST", "/_sandbox/faults"), ("DELETE", "/_sandbox/faults"), ("GET", "/_sandbox/stats")):
        answer = urllib3.request(method, url + path, body=fault, headers=headers | key, retries=False)
        assert answer.status == 403, (method, answer.data)
    assert there._faults == []
    customer = f"{url}/v2/projects/proj1a2b3c4d/customers/user_000001"
    assert urllib3.request("GET", customer, headers=headers | key, retries=False).status == 403
    assert urllib3.request("GET", customer, headers=key, retries=False).status == 200


def test_what_follows_a_refused_request_on_its_connection_is_not_read(sandbox: tuple[Sandbox, str]) -> None:
    there, url = sandbox
    hidden = b'POST /_sandbox/faults HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 14\r\n\r\n{"status":500}'
    head = f"POST /_sandbox/faults HTTP/1.1\r\nHost: evil.test\r\nContent-Length: {len(hidden)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as connection:
        connection.sendall(head + hidden)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert there._faults == []


MAIL = {
    "MessageId": "m1@email.test", "Subject": "<b>Done</b>", "To": ["ada@acme.test"], "Timestamp": 1_780_000_000,
    "BodyText": "text", "BodyHtml": "<p>html</p>",
}  # fmt: skip


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the mailbox, with one mail and without local AWS."""
    monkeypatch.setattr(mailbox, "_mails", lambda source_url: [MAIL])

    def logs_of(run_id: str) -> dict[str, Any]:
        return {"lines": []}

    with mailbox.serve("http://127.0.0.1:1", port=free_port(), key="secret", logs_of=logs_of) as url:
        yield url


def test_the_mailbox_opens_with_its_key_alone(mails: str) -> None:
    origin, _, key = mails.rpartition("/")
    assert key == "secret"
    for path in ("", "/", "/m1", "/secre", "/secret2", "/m1?secret", "/logs/run", "/secret/../secret2/m1"):
        answer = urllib3.request("GET", origin + path, retries=False)
        assert (answer.status, b"html" in answer.data) == (404, False), path


def test_its_pages_lead_to_each_other(mails: str) -> None:
    for path, part in {
        "": 'href="/secret/m1"',
        "/": 'href="/secret/m1.txt"',
        "/m1": "<p>html",
        "/m1.txt": "text",
    }.items():
        answer = urllib3.request("GET", mails + path, headers=VISIT, retries=False)
        assert (answer.status, part in answer.data.decode()) == (200, True), path
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert urllib3.request("GET", f"{mails}/logs/run", retries=False).data == b"No lines yet.\n"


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.test"}, {"Host": "evil.test"}, VISIT | {"Sec-Fetch-Dest": "iframe"}]
)
def test_no_page_reads_the_mailbox(mails: str, headers: dict[str, str]) -> None:
    answer = urllib3.request("GET", mails, headers=headers, retries=False)
    assert (answer.status, b"Done" in answer.data) == (403, False)

"""The client over HTTP: every page once, every id, every way to fail, and never faster than allowed."""

import json
import threading
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.revenuecat.catalogue import Customer, Purchase, Subscription, product
from local.revenuecat.server import Sandbox, serve
from nightshift.errors import JobError
from revenuecat.client import RevenueCat
from revenuecat.errors import Denied, Missing, OutOfTime, RateLimited, Rejected, Unavailable
from revenuecat.governor import Governor

PROJECT = "/v2/projects/proj1a2b3c4d"
KEY = "sk_sandbox"


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now, self.sleeps, self._lock = 0.0, [], threading.Lock()

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        with self._lock:
            self.sleeps.append(seconds)
            self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def client(url, clock, *, project_id="proj1a2b3c4d", environment="production", key=KEY, remaining_s=lambda: 60):
    return RevenueCat(
        base_url=url,
        key=key,
        project_id=project_id,
        environment=environment,
        connections=1,
        remaining_s=remaining_s,
        clock=clock,
        sleep=clock.sleep,
    )


@contextmanager
def scripted(answers, *, headers=()):
    """A server that answers each path (query included) with the next of its answers: a body, or (status, body).

    The last one is repeated. Yields its base URL and the list of what was asked.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            queue = answers.get(self.path) or [(404, {"message": f"no {self.path}"})]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            status, body, *more = answer if isinstance(answer, tuple) else (200, answer)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **dict(headers), **dict(*more)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v2", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def rows(*ids, **more):
    return {"object": "list", "items": [{"id": id, "lookup_key": f"key_{id}"} for id in ids], **more}


def listing(answers):
    """The paths of a project whose entitlements are answered so."""
    products = {f"{PROJECT}/products?limit=100": [rows()]}
    return products | {f"{PROJECT}/{path}": answer for path, answer in answers.items()}


FIRST = "entitlements?limit=100"


@pytest.mark.parametrize(
    "name_next",
    [
        lambda url: f"{url}/projects/proj1a2b3c4d/entitlements?starting_after=b%2Bc",
        lambda url: f"{PROJECT}/entitlements?starting_after=b%2Bc",
    ],
    ids=["absolute", "relative"],
)
@pytest.mark.parametrize("end", [{}, {"next_page": None}], ids=["absent", "null"])
def test_all_pages_are_followed_as_they_are_named(clock, name_next, end):
    answers = {"entitlements?starting_after=b%2Bc": [rows("c", **end)]}
    with scripted(listing(answers | {FIRST: [{}]})) as (url, asked), client(url, clock) as revenuecat:
        answers_first = rows("a", "b", next_page=name_next(url))
        with scripted(listing({FIRST: [answers_first]} | answers)) as (url2, asked2):
            del asked2
        del url2, asked, answers_first
        assert revenuecat is not None

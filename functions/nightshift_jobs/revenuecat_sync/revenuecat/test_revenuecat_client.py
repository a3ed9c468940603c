"""The client over HTTP: every page once, every id, every kind of failure, and never faster than allowed."""

import json
import socket
import threading
from contextlib import contextmanager, suppress
from decimal import Decimal
from itertools import pairwise

import pytest

from local.revenuecat.catalogue import Customer, Purchase, Subscription, product
from local.revenuecat.server import Sandbox, serve
from nightshift.base.errors import JobError
from nightshift_jobs.revenuecat_sync.revenuecat.answers import LATE, Answer
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Denied,
    Forbidden,
    Missing,
    OutOfTime,
    RateLimited,
    Rejected,
    Unavailable,
)
from nightshift_jobs.revenuecat_sync.revenuecat.client import RevenueCat
from nightshift_jobs.revenuecat_sync.revenuecat.flight import Flight
from nightshift_jobs.revenuecat_sync.revenuecat.governor import Governor
from nightshift_jobs.revenuecat_sync.revenuecat.http_calls import HttpCalls
from tests.support import http_server

KEY = "sk_sandbox"
PROJECT = "/v2/projects/proj1a2b3c4d"
ENTITLEMENTS = f"{PROJECT}/entitlements?limit=100"
CUSTOMER = f"{PROJECT}/customers/x"
SUBSCRIPTIONS = f"{CUSTOMER}/subscriptions?limit=100&environment=production"


class Clock:
    """A clock that advances only by sleeping."""

    def __init__(self):
        self.now, self.sleeps = 0.0, []

    def __call__(self):
        return self.now


class HurriedCalls(HttpCalls):
    """Calls over HTTP. Where no answer is on its way, a wait is over at once."""

    def __init__(self, key, clock):
        super().__init__(key)
        self._clock, self._on_their_way = clock, 0

    def send(self, number, url, *, timeout_s):
        self._on_their_way += 1
        super().send(number, url, timeout_s=timeout_s)

    def next(self, wait_s):
        if self._on_their_way:
            arrived = super().next(60)
            self._on_their_way -= 1
            return arrived
        self._clock.sleeps.append(wait_s)
        self._clock.now += wait_s
        return None


class Connection:
    """A client whose tasks are flown at once."""

    def __init__(self, url, clock, *, project_id="proj1a2b3c4d", environment="production", key=KEY, remaining_s=60):
        self._client = RevenueCat(base_url=url, project_id=project_id, environment=environment)
        self._flight = Flight(
            HurriedCalls(key, clock),
            Governor(),
            secret=key,
            clock=clock,
            remaining_s=lambda: remaining_s - clock(),
        )

    def catalogue(self):
        self._flight.run(self._client.open())
        return self._flight.run(self._client.catalogue())

    def customer(self, user_id, *, with_attributes=True):
        return self._flight.run(self._client.customer(user_id, with_attributes=with_attributes))

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._flight.close()


connect = Connection


@pytest.fixture
def clock():
    return Clock()


@contextmanager
def scripted(answers, *, headers=()):
    """Serve each path (query included) with the next of its answers: (status, body, headers). Yield URL and requests.

    The last answer repeats. ORIGIN in a body becomes the server's own URL.
    """
    asked = []

    def answer(request):
        asked.append(request.path)
        queue = answers.get(request.path, [(404, {"message": f"There is no {request.path}."}, {})])
        status, body, headers = queue.pop(0) if len(queue) > 1 else queue[0]
        text = body if isinstance(body, str) else json.dumps(body)
        content = text.replace("ORIGIN", f"http://{request.headers['Host']}").encode()
        return http_server.Reply(status, content, {name: str(value) for name, value in headers.items()})

    with http_server.serve(answer) as url:
        yield f"{url}/v2", asked


def ok(*ids, **more):
    items = [{"id": id, "lookup_key": f"key_{id}"} for id in ids]
    return 200, {"object": "list", "items": items} | more, {}


def project(answers):
    return {f"{PROJECT}/products?limit=100": [ok()]} | answers


@pytest.mark.parametrize(
    "next_page", [f"ORIGIN{PROJECT}/entitlements?after=b%2Bc", f"{PROJECT}/entitlements?after=b%2Bc"]
)
@pytest.mark.parametrize("end", [{}, {"next_page": None}])
def test_all_pages_are_read_as_they_are_named(clock, next_page, end):
    answers = project({
        ENTITLEMENTS: [ok("a", "b", next_page=next_page)],
        f"{PROJECT}/entitlements?after=b%2Bc": [ok("c", next_page=f"{PROJECT}/entitlements?after=c")],
        f"{PROJECT}/entitlements?after=c": [ok(**end)],
    })  # fmt: skip
    with scripted(answers) as (url, asked), connect(url, clock) as revenuecat:
        assert revenuecat.catalogue().entitlements == {"a": "key_a", "b": "key_b", "c": "key_c"}

    assert len(asked) == 4


@pytest.mark.parametrize(
    ("next_page", "sentence"),
    [
        (ENTITLEMENTS, "the same next page twice"),
        (f"ORIGIN{ENTITLEMENTS}", "the same next page twice"),
        ("https://elsewhere.example/v2/page", r"next page on another server: elsewhere\.example"),
        ("//elsewhere.example/v2/page", "next page on another server"),
        ("https://127.0.0.1/v2", "next page on another server"),
    ],
)
def test_a_next_page_that_leads_nowhere_good_is_not_followed(clock, next_page, sentence):
    with scripted(project({ENTITLEMENTS: [ok("a", next_page=next_page)]})) as (url, asked):
        with connect(url, clock) as revenuecat, pytest.raises(JobError, match=sentence):
            revenuecat.catalogue()

        assert asked == [ENTITLEMENTS]


def test_a_list_without_items_is_no_empty_list(clock):
    answers = answered(200, {"object": "list"})
    with scripted(answers) as (url, _), connect(url, clock) as revenuecat, pytest.raises(Rejected, match="no items"):
        revenuecat.customer("x")


def test_pages_of_lists_inside_the_customer_are_read_too(clock):
    attributes = {"items": [{"name": "a", "value": "1"}], "next_page": f"ORIGIN{CUSTOMER}/attributes?starting_after=a"}
    answers = {
        f"{CUSTOMER}?expand=attributes": [(200, {"attributes": attributes}, {})],
        f"{CUSTOMER}/attributes?starting_after=a": [(200, {"items": [{"name": "b", "value": "2"}]}, {})],
        f"{CUSTOMER}/subscriptions?limit=100": [ok()],
        f"{CUSTOMER}/purchases?limit=100": [ok()],
    }
    with scripted(answers) as (url, _), connect(url, clock, environment=None) as revenuecat:
        assert [row["name"] for row in revenuecat.customer("x").attributes] == ["a", "b"]


def test_missing_entitlements_are_not_none_but_asked_for(clock):
    rows = {"items": [{"id": "sub1", "gives_access": True}]}
    live = [{"entitlement_id": "entl1", "expires_at": None}]
    answers = {
        SUBSCRIPTIONS: [(200, rows, {})],
        f"{CUSTOMER}/purchases?limit=100&environment=production": [ok()],
        f"{CUSTOMER}?expand=attributes": [(200, {"id": "x", "attributes": {"items": []}}, {})],
        f"{CUSTOMER}/active_entitlements?limit=100": [(200, {"items": live}, {})],
    }
    with scripted(answers) as (url, asked), connect(url, clock) as revenuecat:
        assert revenuecat.customer("x", with_attributes=False).active_entitlements == live
    assert len(asked) == 4


def test_an_endless_list_is_given_up(clock):
    pages = [f"{CUSTOMER}/subscriptions?after={n}" for n in range(200)]
    answers = {page: [ok("a", next_page=following)] for page, following in pairwise([SUBSCRIPTIONS, *pages])}
    with scripted(answers) as (url, asked), connect(url, clock) as revenuecat:
        with pytest.raises(Rejected, match="more than 100 pages"):
            revenuecat.customer("x")
        assert len(asked) == 100


def test_an_odd_entry_of_the_catalogue_is_called_by_its_id(clock):
    entitlements = [{"id": "entl1"}, {"id": "entl2", "lookup_key": "pro"}, {}]
    products = [{"id": "prod1", "store_identifier": None}]
    answers = {
        ENTITLEMENTS: [(200, {"items": entitlements}, {})],
        f"{PROJECT}/products?limit=100": [(200, {"items": products}, {})],
    }
    with scripted(answers) as (url, _), connect(url, clock) as revenuecat:
        catalogue = revenuecat.catalogue()
    assert catalogue.entitlements == {"entl1": "entl1", "entl2": "pro"}
    assert catalogue.products["prod1"].store_identifier == "prod1"


def test_a_catalogue_of_many_pages(clock):
    with serve(Sandbox(api_key=KEY)) as url, connect(url, clock) as revenuecat:
        catalogue = revenuecat.catalogue()

    assert catalogue.products[product("premium_p1m").id].duration == "P1M"
    assert set(catalogue.entitlements.values()) == {"premium", "pro"}


IDS = ["a/b", "a b", "a+b", "50%", "%2F", "?x=1#y", "zażółć 🐱", ".", "..", "../x", "ż" * 1500, "a" * 1500, "+", "a\\b"]


def test_ids_arrive_as_they_are(clock):
    sandbox = Sandbox(api_key=KEY)
    with serve(sandbox) as url, connect(url, clock) as revenuecat:
        for id in IDS:
            gross = len(id) + 0.1
            sandbox.customers[id] = Customer(subscriptions=(Subscription(product_id=None, gross=gross),))
            record = revenuecat.customer(id)

            assert record.subscriptions[0]["total_revenue_in_usd"]["gross"] == Decimal(str(gross))
    assert {call.customer_id for call in sandbox.calls} == set(IDS)


def test_forty_subscriptions_are_all_counted(clock):
    sandbox = Sandbox(api_key=KEY)
    many = tuple(Purchase(product_id=product("credits_100").id, gross=1.99) for _ in range(230))
    sandbox.customers["x"] = Customer(purchases=many)
    with serve(sandbox) as url, connect(url, clock) as revenuecat:
        record = revenuecat.customer("x")

    assert len(record.purchases) == 230
    assert sum(row["revenue_in_usd"]["gross"] for row in record.purchases) == Decimal("457.70")


@pytest.mark.parametrize(("with_attributes", "calls"), [(True, 3), (False, 2)])
def test_a_customer_is_three_calls_and_two_without_attributes(clock, with_attributes, calls):
    sandbox = Sandbox(api_key=KEY)
    sandbox.customers["x"] = Customer(subscriptions=(Subscription(product_id=None),), attributes={"$email": "a@b.c"})
    with serve(sandbox) as url, connect(url, clock) as revenuecat:
        revenuecat.customer("x", with_attributes=with_attributes)
        with pytest.raises(Missing):
            revenuecat.customer("unknown", with_attributes=with_attributes)

    assert len(sandbox.calls) == calls + 1


ERROR = {"object": "error", "message": "Because of the moon."}


def answered(status, body=ERROR, **headers):
    return {SUBSCRIPTIONS: [(status, body, headers)]}


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        *[(401, Denied, 1), (403, Forbidden, 1), (404, Missing, 1), (429, RateLimited, 3)],
        *[(status, Rejected, 1) for status in (400, 405, 409, 410, 414, 422)],
        *[(status, Unavailable, 3) for status in (302, 408, 423, 425, 500, 501, 502, 503, 504)],
    ],
)
def test_errors_are_told_apart(clock, status, kind, tries):
    with scripted(answered(status)) as (url, asked), connect(url, clock) as revenuecat:
        with pytest.raises(kind, match=rf"{status}: Because of the moon\.") as error:
            revenuecat.customer("x")

        assert len(asked) == tries
    assert type(error.value) is kind


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("page", ["<html>Forbidden</html>", {"message": "Forbidden"}, {"detail": "Not found"}, "[]"])
def test_only_revenuecats_own_json_refuses(clock, status, page):
    """A proxy in front may answer with a page of its own."""
    with (
        scripted(answered(status, page)) as (url, asked),
        connect(url, clock) as revenuecat,
        pytest.raises(Unavailable, match=str(status)) as error,
    ):
        revenuecat.customer("x")
    assert (type(error.value), len(asked)) == (Unavailable, 3)


def test_a_403_about_the_project_is_about_the_key(clock):
    answers = project({ENTITLEMENTS: [(403, ERROR, {})]})
    with scripted(answers) as (url, _), connect(url, clock) as revenuecat, pytest.raises(Denied):
        revenuecat.catalogue()


@pytest.mark.parametrize(
    ("body", "headers", "wait_s"),
    [
        (ERROR | {"backoff_ms": 4000}, {}, 4),
        (ERROR | {"backoff_ms": 2500}, {"Retry-After": 3}, 2.5),
        (ERROR | {"backoff_ms": "1500.5"}, {}, 1.5005),
        (ERROR, {"Retry-After": 3}, 3),
        (ERROR, {"Retry-After": 2.5}, 2.5),
        (ERROR, {"Retry-After": 2000}, 2),
        (ERROR, {"Retry-After": "Thu, 01 Jan 1970 00:00:02 GMT"}, 2),
        (ERROR, {"Retry-After": "Thu, 01 Jan 1970 00:00:02"}, 2),
        (ERROR, {"Retry-After": "soon"}, 1),
        (ERROR | {"backoff_ms": -5000}, {"Retry-After": -5}, 1),
        (ERROR | {"backoff_ms": True}, {"Retry-After": "1e3"}, 1),
        ("<html>Bad gateway</html>", {}, 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_next_try_comes_when_revenuecat_says(clock, status, body, headers, wait_s):
    with (
        scripted(answered(status, body, **headers)) as (url, _),
        connect(url, clock) as revenuecat,
        pytest.raises(Unavailable),
    ):
        revenuecat.customer("x")

    assert clock.sleeps[0] == pytest.approx(wait_s)


@pytest.mark.parametrize(("asked", "wait_s"), [({"Retry-After": 500}, 61), ({}, 16)])
def test_no_429_waits_longer_than_the_window_needs_and_those_without_a_header_wait_longer_each_time(
    clock, asked, wait_s
):
    with (
        scripted(answered(429, **asked)) as (url, _),
        connect(url, clock) as revenuecat,
        pytest.raises(RateLimited) as error,
    ):
        revenuecat.customer("x")

    assert (clock.sleeps, error.value.wait_s) == ([] if asked else [1, 4], wait_s)


def test_429s_with_the_usual_headers_wait_longer_each_time_too(clock):
    usual = {"RevenueCat-Rate-Limit-Current-Usage": 480, "RevenueCat-Rate-Limit-Current-Limit": 480}
    with scripted(answered(429, **usual)) as (url, _), connect(url, clock) as revenuecat, pytest.raises(RateLimited):
        revenuecat.customer("x")

    assert clock.sleeps == [1, 4]


def test_a_long_wait_is_not_slept_inside(clock):
    with scripted(answered(503, ERROR | {"backoff_ms": 60_000})) as (url, asked), connect(url, clock) as revenuecat:
        with pytest.raises(Unavailable) as error:
            revenuecat.customer("x")

        assert len(asked) == 1
    assert (clock.sleeps, error.value.wait_s) == ([], 60)


def test_a_redirect_to_another_server_does_not_get_the_key(clock):
    with scripted({}) as (elsewhere, stolen):
        answers = answered(302, {}, Location=f"{elsewhere}/projects")
        with scripted(answers) as (url, _), connect(url, clock) as revenuecat, pytest.raises(Unavailable):
            revenuecat.customer("x")

    assert stolen == []


@pytest.mark.parametrize("body", ["<html>Log in to the Wi-Fi</html>", "[]", "", '{"items": ['])
def test_a_success_that_is_no_object_is_none(clock, body):
    with (
        scripted(answered(200, body)) as (url, _),
        connect(url, clock) as revenuecat,
        pytest.raises(Unavailable, match="the body is not JSON"),
    ):
        revenuecat.customer("x")


def test_a_server_that_is_not_there(clock):
    with scripted({}) as (url, _):
        pass
    with (
        connect(url, clock) as revenuecat,
        pytest.raises(Unavailable, match="RevenueCat could not be reached") as error,
    ):
        revenuecat.customer("a person's id")

    assert "person" not in str(error.value)


def test_no_call_is_begun_that_the_slice_cannot_wait_for(clock):
    with scripted({}) as (url, asked), connect(url, clock, remaining_s=2) as revenuecat:
        with pytest.raises(OutOfTime):
            revenuecat.customer("x")

        assert asked == []


def test_a_call_does_not_outlive_the_slice(clock):
    sandbox = Sandbox(api_key=KEY, latency_s=30)
    with serve(sandbox) as url, connect(url, clock, remaining_s=4.05) as revenuecat:
        late = pytest.raises((OutOfTime, Unavailable))
        with late:
            revenuecat.customer("x")

    assert len(sandbox.calls) == 1


@pytest.mark.parametrize(("projects", "count"), [(ok(), 0), (ok("proj1", "proj2"), 2)])
def test_a_key_without_one_project_says_what_to_set(clock, projects, count):
    sentence = f"can read {count} projects. Set project_id in the integration's config"
    with scripted({"/v2/projects": [projects]}) as (url, _), connect(url, clock, project_id=None) as revenuecat:
        refused = pytest.raises(JobError, match=sentence)
        with refused:
            revenuecat.catalogue()


def test_the_key_is_in_no_error_and_no_repr(clock):
    body = ERROR | {"message": f"Bad key {KEY}\0!"}
    with scripted(answered(401, body)) as (url, _), connect(url, clock) as revenuecat:
        with pytest.raises(Denied) as error:
            revenuecat.customer("x")

        assert str(error.value) == (
            "RevenueCat answered 401: Bad key sk_…! The project needs another RevenueCat key: a team admin stores it "
            "(nightshift integrations change revenuecat)."
        )
        assert KEY not in repr(error.value) + repr(revenuecat)


def test_a_sentence_without_its_full_stop_is_given_one(clock):
    with (
        scripted(answered(401, ERROR | {"message": "Forbidden"})) as (url, _),
        connect(url, clock) as revenuecat,
        pytest.raises(Denied, match=r"^RevenueCat answered 401: Forbidden\. The project needs"),
    ):
        revenuecat.customer("x")


class LateCalls:
    """Calls whose answers come much later than they should."""

    def __init__(self, clock):
        self._clock, self._sent = clock, []

    def send(self, number, url, *, timeout_s):
        self._sent.append((self._clock.now + 100, number))

    def next(self, wait_s):
        if self._sent and self._sent[0][0] <= self._clock.now:
            return self._sent.pop(0)[1], Answer(200, {}, b'{"items": []}')
        self._clock.now += wait_s
        return None


def test_an_answer_that_never_comes_is_not_waited_for(clock):
    client = RevenueCat(base_url="http://revenuecat.invalid", project_id="p", environment=None)
    flight = Flight(LateCalls(clock), Governor(), secret="k", clock=clock, remaining_s=lambda: 200 - clock.now)
    with pytest.raises(Unavailable, match=LATE):
        flight.run(client.customers(None))
    assert 10 < clock.now < 15
    clock.now += 100
    with pytest.raises(Unavailable, match=LATE):
        flight.run(client.customers(None))


def test_an_answer_that_drips_does_not_outlive_its_time():
    """Each packet comes within the read timeout."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        hung_up = threading.Event()

        def drip():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not hung_up.is_set():
                    connection.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        calls = HttpCalls("k")
        calls.send(7, f"http://127.0.0.1:{server.getsockname()[1]}/v2", timeout_s=0.2)
        assert calls.next(60) == (7, Answer(0, failure=LATE))
        calls.close()
        hung_up.set()
        dripping.join()

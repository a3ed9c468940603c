"""The client over HTTP: every page once, every id, every kind of failure, and never faster than allowed."""

import itertools
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.revenuecat.catalogue import Customer, Purchase, Subscription, product
from local.revenuecat.server import Sandbox, serve
from nightshift.base.errors import JobError
from nightshift_jobs.revenuecat_sync.api_errors import Denied, Missing, OutOfTime, RateLimited, Rejected, Unavailable
from nightshift_jobs.revenuecat_sync.client import RevenueCat
from nightshift_jobs.revenuecat_sync.governor import Governor
from tests.support import http_server

KEY = "sk_sandbox"
PROJECT = "/v2/projects/proj1a2b3c4d"
ENTITLEMENTS = f"{PROJECT}/entitlements?limit=100"
CUSTOMERS = "customer information"


class Clock:
    """A clock that advances only by sleeping."""

    def __init__(self):
        self.now, self.sleeps = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def connect(url, clock, *, project_id="proj1a2b3c4d", environment="production", key=KEY, remaining_s=60):
    return RevenueCat(
        base_url=url,
        key=key,
        project_id=project_id,
        environment=environment,
        connections=1,
        remaining_s=lambda: remaining_s - clock(),
        clock=clock,
        sleep=clock.sleep,
    )


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
    customer = f"{PROJECT}/customers/x"
    answers = {
        f"{customer}?expand=attributes": [(200, {"id": "x", "active_entitlements": {"items": []}}, {})],
        f"{customer}/subscriptions?limit=100&environment=production": [(200, {"object": "list"}, {})],
    }
    with scripted(answers) as (url, _), connect(url, clock) as revenuecat, pytest.raises(Rejected, match="no items"):
        revenuecat.customer("x")


def test_pages_of_lists_inside_the_customer_are_read_too(clock):
    customer = f"{PROJECT}/customers/x"
    attributes = {"items": [{"name": "a", "value": "1"}], "next_page": f"ORIGIN{customer}/attributes?starting_after=a"}
    answers = {
        f"{customer}?expand=attributes": [
            (200, {"active_entitlements": {"items": [], "next_page": None}, "attributes": attributes}, {})
        ],
        f"{customer}/attributes?starting_after=a": [(200, {"items": [{"name": "b", "value": "2"}]}, {})],
        f"{customer}/subscriptions?limit=100": [ok()],
        f"{customer}/purchases?limit=100": [ok()],
    }
    with scripted(answers) as (url, _), connect(url, clock, environment=None) as revenuecat:
        assert [row["name"] for row in revenuecat.customer("x").attributes] == ["a", "b"]


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


def test_a_customer_is_three_calls(clock):
    sandbox = Sandbox(api_key=KEY)
    sandbox.customers["x"] = Customer(subscriptions=(Subscription(product_id=None),), attributes={"$email": "a@b.c"})
    with serve(sandbox) as url, connect(url, clock) as revenuecat:
        revenuecat.customer("x")

    assert len(sandbox.calls) == 3


ERROR = {"object": "error", "message": "Because of the moon."}


def answered(status, body=ERROR, **headers):
    return {f"{PROJECT}/customers/x?expand=attributes": [(status, body, headers)]}


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [
        *[(401, Denied, 1), (403, Denied, 1), (404, Missing, 1), (429, RateLimited, 3)],
        *[(status, Rejected, 1) for status in (400, 405, 409, 414, 422)],
        *[(status, Unavailable, 3) for status in (302, 423, 500, 501, 502, 503, 504)],
    ],
)
def test_errors_are_told_apart(clock, status, kind, tries):
    with scripted(answered(status)) as (url, asked), connect(url, clock) as revenuecat:
        with pytest.raises(kind, match=rf"{status}: Because of the moon\.") as error:
            revenuecat.customer("x")

        assert len(asked) == tries
    assert type(error.value) is kind


@pytest.mark.parametrize(
    ("body", "headers", "wait_s"),
    [
        (ERROR | {"backoff_ms": 4000}, {}, 4),
        (ERROR | {"backoff_ms": 1000}, {"Retry-After": 3}, 3),
        (ERROR, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1),
        (ERROR | {"backoff_ms": -5000}, {"Retry-After": -5}, 1),
        ("<html>Bad gateway</html>", {}, 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_next_try_comes_when_revenuecat_says(clock, status, body, headers, wait_s):
    with (
        scripted(answered(status, body, **headers)) as (url, _),
        connect(url, clock) as revenuecat,
        pytest.raises(Unavailable) as error,
    ):
        revenuecat.customer("x")

    assert clock.sleeps == [wait_s, wait_s]
    assert error.value.wait_s == wait_s


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
    body = {"message": f"Bad key {KEY}\0!"}
    with scripted(answered(401, body)) as (url, _), connect(url, clock) as revenuecat:
        with pytest.raises(Denied) as error:
            revenuecat.customer("x")

        assert str(error.value) == (
            "RevenueCat answered 401: Bad key sk_…! The project needs another RevenueCat key: ask the operator of this "
            "server to store it."
        )
        assert KEY not in repr(error.value) + repr(revenuecat)


def test_a_sentence_without_its_full_stop_is_given_one(clock):
    with (
        scripted(answered(403, {"message": "Forbidden"})) as (url, _),
        connect(url, clock) as revenuecat,
        pytest.raises(Denied, match=r"^RevenueCat answered 403: Forbidden\. The project needs"),
    ):
        revenuecat.customer("x")


# Only the governor: the clock controls the time.


@pytest.fixture
def governor(clock):
    return Governor(clock=clock, sleep=clock.sleep)


def call(governor, *, usage=None, limit=None, patience_s=0):
    governor.finish(CUSTOMERS, governor.start(CUSTOMERS, patience_s=patience_s), usage=usage, limit=limit)


def calls_until_limited(governor, usage=None, limit=None):
    for n in range(1000):
        try:
            call(governor, usage=usage and usage(n), limit=limit)
        except RateLimited as limited:
            return n, limited.wait_s
    raise AssertionError("never limited")


def test_alone_the_budget_is_used_but_for_a_reserve(clock, governor):
    assert calls_until_limited(governor, usage=lambda n: n + 1, limit=480) == (471, 60)

    clock.now += 60

    call(governor, usage=1, limit=480)


def test_what_others_use_is_left_to_them(governor):
    made, wait_s = calls_until_limited(governor, usage=lambda n: 400 + n + 1, limit=480)

    assert made == 71
    assert wait_s <= 5


def test_a_full_budget_is_left_alone_for_a_whole_window(clock, governor):
    call(governor, usage=480, limit=480)
    with pytest.raises(RateLimited) as limited:
        call(governor, patience_s=5)

    assert limited.value.wait_s == 60


def test_a_hold_is_for_every_budget_and_the_longest_counts(clock, governor):
    governor.hold(30)
    governor.hold(10)

    with pytest.raises(RateLimited) as limited:
        governor.start("project configuration", patience_s=5)
    assert limited.value.wait_s == 30

    clock.now += 26
    governor.start("project configuration", patience_s=5)
    assert clock.now == 30


def test_the_first_call_goes_alone(governor):
    first = governor.start(CUSTOMERS, patience_s=0)
    second = threading.Thread(target=call, args=(governor,), kwargs={"usage": 2, "limit": 480})
    second.start()

    second.join(0.05)
    assert second.is_alive()
    governor.finish(CUSTOMERS, first, usage=1, limit=480)
    second.join(10)

    assert not second.is_alive()


@given(st.integers(1, 500), st.integers(0, 500), st.lists(st.floats(0, 20), max_size=300))
def test_alone_or_beside_steady_company_no_window_is_overdrawn(limit, others, pauses):
    clock = Clock()
    governor, ours = Governor(clock=clock, sleep=clock.sleep), []
    for pause in pauses:
        clock.now += pause
        try:
            ticket = governor.start(CUSTOMERS, patience_s=5)
        except RateLimited:
            continue
        in_window = [at for at in ours if at + 60 > clock.now]
        allowed = len(in_window) + others < limit
        # The first call after a silent window is a risk that cannot be avoided.
        assert allowed or not ours or ours[-1] + 60 <= clock.now
        ours.append(clock.now)
        governor.finish(CUSTOMERS, ticket, usage=len(in_window) + 1 + others if allowed else limit, limit=limit)


def test_an_answer_that_drips_does_not_outlive_the_slice():
    """Each packet comes within the read timeout; the test's clock jumps at each."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        passed, hung_up = itertools.count(), threading.Event()

        def drip():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not hung_up.is_set():
                    connection.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v2"
        with RevenueCat(
            base_url=url, key="k", project_id="p", environment=None, connections=1, clock=time.monotonic,
            sleep=time.sleep, remaining_s=lambda: 20 - next(passed),
        ) as slow, pytest.raises(OutOfTime):  # fmt: skip
            slow.customer("x")
        hung_up.set()
        dripping.join()

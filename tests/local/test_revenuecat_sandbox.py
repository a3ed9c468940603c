"""The RevenueCat sandbox over real HTTP: the behaviour that the sync relies on, compared with the facts of API v2."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local.revenuecat.catalogue import LENGTH_DAYS, PRODUCTS, Customer, Purchase, Subscription, product
from local.revenuecat.server import Sandbox, serve
from local.revenuecat.traffic import ROUNDING_S, WINDOW_S, Budget, Call, busiest_window, impolite_calls
from tests.support.processes import started

PROJECT = "/projects/proj1a2b3c4d"
USERS = [f"user_{n}" for n in range(1, 3001)]
AS_OF_MS = 1_770_000_000_000
PLENTY = {"budget": 10**9, "configuration_budget": 10**9}
USAGE = "RevenueCat-Rate-Limit-Current-Usage"
LIMIT = "RevenueCat-Rate-Limit-Current-Limit"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> dict:
        return json.loads(self.text)


class Client:
    """One kept-alive connection to a sandbox."""

    def __init__(self, url: str):
        self.url = url
        self.connection = HTTPConnection(urlsplit(url).netloc)

    def get(self, path: str, *, key: str | None = "sk_sandbox") -> Answer:
        return self.ask("GET", f"/v2{path}", headers={"Authorization": f"Bearer {key}"} if key else {})

    def follow(self, next_page: str) -> Answer:
        assert next_page.startswith(f"{self.url}/")
        return self.get(next_page.removeprefix(self.url))

    def every(self, path: str) -> list[dict]:
        """Return the items of every page."""
        body = self.get(path).json
        items = body["items"]
        while body["next_page"]:
            body = self.follow(body["next_page"]).json
            items += body["items"]
        return items

    def ask(self, method: str, path: str, *, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        self.connection.request(
            method, path, body=json.dumps(body) if body is not None else None, headers=headers or {}
        )
        with self.connection.getresponse() as response:
            return Answer(response.status, dict(response.headers), response.read().decode())


@contextmanager
def client_of(sandbox: Sandbox) -> Iterator[Client]:
    with serve(sandbox) as url:
        client = Client(url)
        with closing(client.connection):
            yield client


@pytest.fixture(scope="module")
def crowd() -> Sandbox:
    return Sandbox(customer_ids=USERS, as_of_ms=AS_OF_MS, **PLENTY)


@pytest.fixture(scope="module")
def crowd_client(crowd: Sandbox) -> Iterator[Client]:
    with client_of(crowd) as client:
        yield client


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox() -> Sandbox:
    sandbox = Sandbox(**PLENTY)
    sandbox.customers["ann"] = Customer()
    return sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with client_of(sandbox) as client:
        yield client


# Lists


def test_the_projects_of_a_key_are_one_list(client):
    body = client.get("/projects").json
    assert (body["object"], body["next_page"]) == ("list", None)
    assert body["url"] == f"{client.url}/projects"
    [project] = body["items"]
    assert project["id"] == "proj1a2b3c4d"
    assert isinstance(project["created_at"], int)


def test_products_and_entitlements_have_the_fields_a_sync_reads(client):
    products = client.every(f"{PROJECT}/products")
    assert len({row["id"] for row in products}) == len(PRODUCTS) > 20
    assert {row["subscription"]["duration"] for row in products if row["subscription"]} == set(LENGTH_DAYS)
    assert {row["type"] for row in products if not row["subscription"]} == {"consumable", "non_consumable"}
    assert all(row["store_identifier"] and row["display_name"] for row in products)
    entitlements = client.every(f"{PROJECT}/entitlements")
    assert {row["lookup_key"] for row in entitlements} == {"premium", "pro"}
    assert all(row["id"].startswith("entl") and row["display_name"] for row in entitlements)


@pytest.mark.parametrize(
    ("asked", "given"),
    [("", 20), ("?limit=0", 1), ("?limit=-5", 1), ("?limit=7", 7), ("?limit=100", 100), ("?limit=101", 100)],
)
def test_limit_is_clamped_and_defaults_to_twenty(crowd_client, asked, given):
    assert len(crowd_client.get(f"{PROJECT}/customers{asked}").json["items"]) == given


def test_following_next_page_shows_every_customer_once(crowd, crowd_client):
    ids = [row["id"] for row in crowd_client.every(f"{PROJECT}/customers?limit=100")]
    assert ids == list(crowd.customers)
    assert len(set(ids)) == len(ids)


def test_next_page_is_absolute_and_keeps_the_limit(crowd_client):
    body = crowd_client.get(f"{PROJECT}/customers?limit=3").json
    assert body["next_page"].startswith(f"{crowd_client.url}{PROJECT}/customers?")
    assert len(crowd_client.follow(body["next_page"]).json["items"]) == 3


def test_a_full_last_page_names_an_empty_one(sandbox, client):
    for n in range(39):
        sandbox.customers[f"other {n}"] = Customer()
    first = client.get(f"{PROJECT}/customers").json
    last = client.follow(first["next_page"]).json
    assert len(last["items"]) == 20
    empty = client.follow(last["next_page"]).json
    assert (empty["items"], empty["next_page"]) == ([], None)


def test_a_cursor_encoded_twice_or_made_of_the_last_row_begins_again(crowd_client):
    first = crowd_client.get(f"{PROJECT}/customers").json
    twice = first["next_page"].replace("%", "%25")
    assert twice != first["next_page"]
    assert crowd_client.follow(twice).json["items"] == first["items"]
    last_id = first["items"][-1]["id"]
    assert crowd_client.get(f"{PROJECT}/customers?starting_after={last_id}").json["items"] == first["items"]


def test_rows_of_the_list_have_neither_entitlements_nor_attributes(crowd_client):
    row = crowd_client.get(f"{PROJECT}/customers?limit=1").json["items"][0]
    fields = {"first_seen_at", "last_seen_at", "last_seen_country", "last_seen_platform", "last_seen_app_version", "id"}
    assert fields < row.keys()
    assert not {"active_entitlements", "attributes"} & row.keys()


# Customers


@pytest.mark.parametrize("id", ["a/b", "per%20cent", "with space", "a+b&c=d?e#f", "ünï-🌙", "x" * 1500])
def test_a_customer_id_is_encoded_once(sandbox, client, id):
    sandbox.customers[id] = Customer()
    path = f"{PROJECT}/customers/{quote(id, safe='')}"
    assert client.get(path).json["id"] == id
    if quote(id, safe="") != id:
        assert client.get(f"{PROJECT}/customers/{quote(quote(id, safe=''), safe='')}").status == 404


def test_aliases_lead_to_the_canonical_customer(sandbox, client):
    row = Subscription(product_id=product("premium_p1m").id, gross=9.99)
    sandbox.customers["bob"] = Customer(subscriptions=(row,), aliases=("$RCAnonymousID:00ff", "bob@work"))
    for alias in ("$RCAnonymousID:00ff", "bob@work"):
        path = f"{PROJECT}/customers/{quote(alias, safe='')}"
        assert client.get(path).json["id"] == "bob"
        assert client.get(f"{path}/subscriptions").json["items"][0]["customer_id"] == "bob"
    sandbox.customers["bob"] = Customer()
    assert client.get(f"{PROJECT}/customers/bob%40work").status == 404


def test_a_deleted_customer_is_unknown(sandbox, client):
    del sandbox.customers["ann"]
    assert client.get(f"{PROJECT}/customers/ann").status == 404
    assert client.get(f"{PROJECT}/customers").json["items"] == []


def test_an_exact_record_takes_the_place_of_an_alias(crowd):
    alias, canonical = next((user, id) for user in USERS if (id := crowd.customers.resolve(user)) not in (None, user))
    customers = Sandbox(customer_ids=[alias]).customers
    assert customers.resolve(alias) == canonical
    customers[alias] = Customer()
    assert (customers.resolve(alias), customers[canonical].aliases) == (alias, ())


def test_attributes_come_only_when_asked_for_and_may_have_a_page_of_their_own(sandbox, client):
    names = [f"note_{n}" for n in range(24)] + ["$mediaSource"]
    sandbox.customers["cl/eo"] = Customer(attributes=dict.fromkeys(names, "Apple Search Ads"))
    assert "attributes" not in client.get(f"{PROJECT}/customers/cl%2Feo").json
    attributes = client.get(f"{PROJECT}/customers/cl%2Feo?expand=attributes").json["attributes"]
    rest = client.follow(attributes["next_page"]).json
    assert [row["name"] for row in attributes["items"] + rest["items"]] == names
    assert rest["items"][-1]["value"] == "Apple Search Ads"
    assert isinstance(rest["items"][-1]["updated_at"], int)


def test_active_entitlements_end_with_the_last_row_that_grants_them(sandbox, client):
    month = product("premium_p1m").id
    sandbox.customers["dora"] = Customer(
        subscriptions=(
            Subscription(product_id=month, current_period_ends_at=2_000),
            Subscription(product_id=month, current_period_ends_at=3_000),
            Subscription(product_id=month, current_period_ends_at=9_000, gives_access=False, status="expired"),
            Subscription(product_id=month, current_period_ends_at=5_000, entitlements=("pro",)),
        ),
        purchases=(
            Purchase(product_id=product("premium_lifetime").id, entitlements=("pro",)),
            Purchase(product_id=product("premium_lifetime").id, entitlements=("premium",), status="refunded"),
        ),
    )
    keys = {row["id"]: row["lookup_key"] for row in client.every(f"{PROJECT}/entitlements")}
    rows = client.get(f"{PROJECT}/customers/dora").json["active_entitlements"]["items"]
    assert {keys[row["entitlement_id"]]: row["expires_at"] for row in rows} == {"premium": 3_000, "pro": None}
    assert client.every(f"{PROJECT}/customers/dora/active_entitlements") == rows


def test_the_environment_filter_holds_on_every_page(sandbox, client):
    months = tuple(
        Subscription(product_id=product("premium_p1m").id, environment=environment)
        for environment in ("production", "sandbox") * 25
    )
    credits = Purchase(product_id=product("credits_100").id, environment="sandbox", gross=1.99)
    sandbox.customers["eve"] = Customer(subscriptions=months, purchases=(credits,))
    customer = f"{PROJECT}/customers/eve"
    assert len(client.every(f"{customer}/subscriptions")) == 50
    production = client.every(f"{customer}/subscriptions?environment=production")
    assert [row["environment"] for row in production] == ["production"] * 25
    assert client.every(f"{customer}/purchases?environment=production") == []
    assert client.every(f"{customer}/purchases?environment=sandbox")[0]["revenue_in_usd"]["gross"] == 1.99


def test_exact_records_come_back_with_their_money(sandbox, client):
    week = Subscription(product_id=product("premium_p1w").id, gross=29.97, commission=4.5, tax=1.5)
    lifetime = Purchase(product_id=product("premium_lifetime").id, gross=149.99, entitlements=("premium",))
    sandbox.customers["finn"] = Customer(subscriptions=(week,), purchases=(lifetime,))
    [row] = client.get(f"{PROJECT}/customers/finn/subscriptions").json["items"]
    money = {"currency": "USD", "gross": 29.97, "commission": 4.5, "tax": 1.5, "proceeds": 23.97}
    assert row["total_revenue_in_usd"] == money
    assert [entitlement["lookup_key"] for entitlement in row["entitlements"]["items"]] == ["premium"]
    [row] = client.get(f"{PROJECT}/customers/finn/purchases").json["items"]
    assert (row["revenue_in_usd"]["gross"], row["status"], row["quantity"]) == (149.99, "owned", 1)


# The generated customers


def test_a_customer_is_a_function_of_seed_and_id(crowd):
    again = Sandbox(customer_ids=reversed(USERS), as_of_ms=AS_OF_MS)
    assert dict(again.customers) == dict(crowd.customers)
    assert dict(Sandbox(seed=2, customer_ids=USERS, as_of_ms=AS_OF_MS).customers) != dict(crowd.customers)


def test_everything_but_the_times_is_the_same_on_another_day(crowd):
    def timeless(customer: Customer) -> Customer:
        subscriptions = tuple(
            replace(row, starts_at=0, current_period_starts_at=0, current_period_ends_at=0)
            for row in customer.subscriptions
        )
        purchases = tuple(replace(row, purchased_at=0) for row in customer.purchases)
        return replace(customer, subscriptions=subscriptions, purchases=purchases, first_seen_at=0, last_seen_at=0)

    later = Sandbox(customer_ids=USERS, as_of_ms=AS_OF_MS + 10**10)
    assert [timeless(customer) for customer in later.customers.values()] == [
        timeless(customer) for customer in crowd.customers.values()
    ]


def test_some_users_are_unknown_and_some_known_only_as_an_alias(crowd, crowd_client):
    found = {user: crowd.customers.resolve(user) for user in USERS}
    unknown = next(user for user, id in found.items() if id is None)
    renamed, canonical = next((user, id) for user, id in found.items() if id not in (None, user))
    assert canonical.startswith("$RCAnonymousID:")
    assert crowd.customers[canonical].aliases == (renamed,)
    for path in ("", "/subscriptions", "/purchases"):
        assert crowd_client.get(f"{PROJECT}/customers/{unknown}{path}").status == 404
    assert crowd_client.get(f"{PROJECT}/customers/{renamed}").json["id"] == canonical
    aliased = next(id for id, customer in crowd.customers.items() if customer.aliases and not id.startswith("$"))
    [alias] = crowd.customers[aliased].aliases
    assert crowd_client.get(f"{PROJECT}/customers/{quote(alias, safe='')}").json["id"] == aliased


def test_the_crowd_has_every_kind_of_subscription(crowd):
    rows = [row for customer in crowd.customers.values() for row in customer.subscriptions]
    durations = {sold.id: sold.duration for sold in PRODUCTS}
    assert {durations[row.product_id] for row in rows if row.product_id} == set(LENGTH_DAYS)
    assert {row.status for row in rows} == {
        "active",
        "trialing",
        "expired",
        "in_grace_period",
        "in_billing_retry",
        "paused",
    }
    assert {row.auto_renewal_status for row in rows if row.gives_access} == {"will_renew", "will_not_renew"}
    assert {row.gives_access for row in rows if row.status == "in_grace_period"} == {True}
    assert {(row.gives_access, row.entitlements) for row in rows if row.status == "expired"} == {(False, ())}
    paused = [row for row in rows if row.status == "paused"]
    assert {(row.current_period_ends_at, row.gives_access, row.store) for row in paused} == {
        (None, False, "play_store")
    }
    promotional = [row for row in rows if row.store == "promotional"]
    assert {(row.product_id, row.gross, row.gives_access) for row in promotional} == {(None, 0.0, True)}
    assert {row.gross for row in rows if row.status == "trialing"} == {0.0}
    assert all(row.gross > 0 for row in rows if row.environment == "sandbox")
    assert any(len(customer.active_entitlements()) > 1 for customer in crowd.customers.values())
    assert any(len(customer.subscriptions) > 20 for customer in crowd.customers.values())


def test_a_row_that_gives_access_ends_later_than_now_and_the_others_do_not(crowd):
    for customer in crowd.customers.values():
        for row in customer.subscriptions:
            assert row.starts_at <= row.current_period_starts_at <= AS_OF_MS
            if row.current_period_ends_at is not None:
                assert (row.current_period_ends_at > AS_OF_MS) == row.gives_access
        assert customer.first_seen_at <= customer.last_seen_at <= AS_OF_MS


def test_the_crowd_has_every_kind_of_purchase(crowd):
    rows = [row for customer in crowd.customers.values() for row in customer.purchases]
    assert {row.gross for row in rows if row.status == "refunded"} == {0.0}
    assert any(row.entitlements == ("premium",) and row.status == "owned" for row in rows)
    assert {row.environment for row in rows} == {"production", "sandbox"}
    assert any(None in customer.active_entitlements().values() for customer in crowd.customers.values())


def test_the_crowd_has_every_kind_of_attribution(crowd, crowd_client):
    sources = [customer.attributes.get("$mediaSource") for customer in crowd.customers.values()]
    assert {None, "Apple Search Ads", "Facebook Ads"} < set(sources)
    ads = next(c.attributes for c in crowd.customers.values() if c.attributes.get("$mediaSource") == "Apple Search Ads")
    assert {"$campaign", "$adGroup", "$ad", "$keyword"} < ads.keys()
    hidden = next(
        id
        for id, customer in crowd.customers.items()
        if len(customer.attributes) > 25 and "$mediaSource" in customer.attributes
    )
    path = f"{PROJECT}/customers/{quote(hidden, safe='')}?expand=attributes"
    embedded = crowd_client.get(path).json["attributes"]
    assert "$mediaSource" not in {row["name"] for row in embedded["items"]}
    assert embedded["next_page"]


# Budgets


def test_successes_show_usage_and_limit_of_their_group(clock):
    with client_of(Sandbox(customer_ids=USERS, clock=clock)) as client:
        client.get(f"{PROJECT}/customers")
        customers = client.get(f"{PROJECT}/customers")
        products = client.get(f"{PROJECT}/products")
    assert (customers.headers[USAGE], customers.headers[LIMIT]) == ("2", "480")
    assert (products.headers[USAGE], products.headers[LIMIT]) == ("1", "60")


def test_the_budget_slides(clock):
    with client_of(Sandbox(budget=2, clock=clock)) as client:
        assert client.get(f"{PROJECT}/customers").status == 200
        clock.now += 40
        assert client.get(f"{PROJECT}/customers").status == 200
        clock.now += 0.5
        refused = client.get(f"{PROJECT}/customers")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "20")
        assert USAGE not in refused.headers
        body = refused.json
        assert (body["object"], body["type"], body["retryable"]) == ("error", "rate_limit_error", True)
        assert body["backoff_ms"] == 20_000
        assert body["message"]
        assert body["doc_url"]
        clock.now += 20
        assert client.get(f"{PROJECT}/customers").headers[USAGE] == "2"
        assert client.get(f"{PROJECT}/customers").headers["Retry-After"] == "40"


def test_each_group_has_its_own_budget(clock):
    with client_of(Sandbox(budget=1, configuration_budget=1, clock=clock)) as client:
        assert [client.get(f"{PROJECT}/customers").status for _ in range(2)] == [200, 429]
        assert [client.get(path).status for path in ("/projects", f"{PROJECT}/products")] == [200, 429]


def test_others_on_the_key_use_a_part_of_the_budget(clock):
    sandbox = Sandbox(budget=5, used_by_others=3, clock=clock)
    with client_of(sandbox) as client:
        answers = [client.get(f"{PROJECT}/customers") for _ in range(3)]
        assert [answer.headers.get(USAGE) for answer in answers] == ["4", "5", None]
        assert client.get("/projects").headers[USAGE] == "1"
        clock.now += 60
        sandbox.used_by_others = 5
        assert client.get(f"{PROJECT}/customers").headers["Retry-After"] == "60"


def test_a_wrong_key_costs_nothing(clock):
    sandbox = Sandbox(budget=1, clock=clock)
    with client_of(sandbox) as client:
        assert client.get(f"{PROJECT}/customers", key="sk_other").status == 401
        assert client.get(f"{PROJECT}/customers").headers[USAGE] == "1"
    assert len(sandbox.calls) == 1


@given(
    st.integers(1, 5),
    st.integers(0, 6),
    st.lists(st.integers(0, 40_000).map(lambda pause_ms: pause_ms / 1000), max_size=60),
)
@example(1, 0, [0.0, 0.0, 0.0, 1.281, 1.266, 0.0])
def test_no_window_exceeds_the_budget_and_waiting_retry_after_is_enough(limit, others, pauses):
    budget, now, spent = Budget(limit), 0.0, []
    for pause in pauses:
        now += pause
        usage = budget.spend(now, used_by_others=others)
        if usage is None:
            wait_s = budget.retry_after_s(now, used_by_others=others)
            assert 1 <= wait_s <= WINDOW_S
            now += wait_s
            usage = budget.spend(now, used_by_others=others)
        if usage is None:
            assert others >= limit
        else:
            spent.append(now)
            assert usage == others + sum(at > now - WINDOW_S + ROUNDING_S for at in spent) <= limit


@given(st.lists(st.integers(0, 200), max_size=40))
def test_the_busiest_window_is_the_busiest(times):
    calls = [call_at(at) for at in times]
    counted = [sum(at - WINDOW_S < other <= at for other in times) for at in times]
    assert busiest_window(calls).get("customer_information", 0) == max(counted, default=0)


def call_at(at: float, *, retry_after_s: int | None = None, group: str = "customer_information") -> Call:
    status = 429 if retry_after_s else 200
    return Call(
        at=at,
        group=group,
        endpoint="/projects/{p}/customers",
        customer_id=None,
        status=status,
        answered_at=at,
        retry_after_s=retry_after_s,
    )


def test_a_call_before_retry_after_is_over_is_impolite():
    refused = call_at(100, retry_after_s=10)
    assert impolite_calls([call_at(99), refused, call_at(100.01), call_at(110)]) == 0
    assert impolite_calls([refused, call_at(101), call_at(109.9)]) == 2
    assert impolite_calls([call_at(0.1, retry_after_s=3), call_at(0.1 + 3)]) == 0
    assert impolite_calls([call_at(1.1, retry_after_s=60), call_at(61.099999999999994)]) == 0
    assert impolite_calls([refused, call_at(101, group="project_configuration")]) == 0
    assert impolite_calls([refused, call_at(104, retry_after_s=6), call_at(105)]) == 2


def test_the_stats_tell_who_called_what(clock):
    sandbox = Sandbox(budget=2, clock=clock, customer_ids=["ann"])
    with client_of(sandbox) as client:
        client.get("/projects")
        for path in ("", "/subscriptions", "/purchases"):
            client.get(f"{PROJECT}/customers/ann{path}")
        clock.now += 1
        client.get(f"{PROJECT}/customers/ann/purchases")
        stats = client.ask("GET", "/_sandbox/stats").json
    assert stats == sandbox.stats()
    assert stats["calls"] == {"project_configuration": 1, "customer_information": 4}
    assert stats["endpoints"]["/projects/{p}/customers/{c}/purchases"] == 2
    assert stats["statuses"] == {"200": 3, "429": 2}
    assert stats["busiest_minute"] == {"project_configuration": 1, "customer_information": 4}
    assert (stats["rate_limited"], stats["impolite"]) == (2, 1)
    assert [call.customer_id for call in sandbox.calls] == [None, *["ann"] * 4]


# Errors


@pytest.mark.parametrize(
    ("path", "status", "type", "param"),
    [
        ("/projects/projffffffff/customers", 403, "authorization_error", None),
        ("/projects/projffffffff/products", 403, "authorization_error", None),
        (f"{PROJECT}/customers/nobody", 404, "resource_missing", None),
        (f"{PROJECT}/customers/nobody/purchases", 404, "resource_missing", None),
        (f"{PROJECT}/nothing", 404, "resource_missing", None),
        (f"{PROJECT}/customers?limit=many", 400, "parameter_error", "limit"),
        (f"{PROJECT}/customers/ann?expand=everything", 400, "parameter_error", "expand"),
        (f"{PROJECT}/customers/ann/purchases?environment=moon", 400, "parameter_error", "environment"),
        (f"{PROJECT}/customers/{'x' * 1501}", 400, "parameter_error", "customer_id"),
    ],
)
def test_an_error_has_a_body_that_tells_what_it_is(client, path, status, type, param):
    answer = client.get(path)
    body = answer.json
    assert (answer.status, body["object"], body["type"], body["retryable"]) == (status, "error", type, False)
    assert body.get("param") == param
    assert "backoff_ms" not in body
    assert body["message"].endswith(".")


@pytest.mark.parametrize("key", [None, "", "sk_other"])
def test_a_missing_or_wrong_key_is_refused(client, key):
    answer = client.get("/projects", key=key)
    assert (answer.status, answer.json["type"]) == (401, "authentication_error")


# Faults


@pytest.mark.parametrize(
    ("status", "type"), [(423, "resource_locked_error"), (500, "server_error"), (503, "server_error")]
)
def test_a_passing_fault_is_retryable_and_passes(client, status, type):
    assert client.ask("POST", "/_sandbox/faults", body={"status": status, "times": 2}).status == 201
    answers = [client.get("/projects") for _ in range(3)]
    assert [answer.status for answer in answers] == [status, status, 200]
    body = answers[0].json
    assert (body["type"], body["retryable"], body["backoff_ms"]) == (type, True, 1000)


@pytest.mark.parametrize("status", [502, 504])
def test_a_fault_of_the_proxy_is_html(client, status):
    client.ask("POST", "/_sandbox/faults", body={"status": status, "html": True})
    answer = client.get("/projects")
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html")
    assert answer.text.startswith("<html>")


def test_a_fault_meets_only_the_paths_it_names(sandbox, client):
    sandbox.add_fault(status=503, path="subscriptions", times=None)
    customer = f"{PROJECT}/customers/ann"
    paths = (customer, f"{customer}/subscriptions", f"{customer}/purchases", f"{customer}/subscriptions")
    assert [client.get(path).status for path in paths] == [200, 503, 200, 503]
    assert client.ask("DELETE", "/_sandbox/faults").status == 200
    assert client.get(f"{customer}/subscriptions").status == 200


def test_a_rate_limit_on_request_names_its_wait(sandbox, client):
    sandbox.add_fault(status=429, retry_after=2)
    answer = client.get("/projects")
    assert (answer.status, answer.headers["Retry-After"], answer.json["backoff_ms"]) == (429, "2", 2000)
    assert sandbox.stats()["rate_limited"] == 1


def test_a_fault_carries_its_own_sentence(sandbox, client):
    sentence = "The API key needs at least the customer_information:customers:read permission."
    sandbox.add_fault(status=403, message=sentence)
    answer = client.get("/projects")
    assert (answer.status, answer.json["type"], answer.json["message"]) == (403, "authorization_error", sentence)


def test_a_dropped_connection_has_no_answer(sandbox, client):
    sandbox.add_fault(drop_connection=True)
    with pytest.raises(RemoteDisconnected):
        client.get("/projects")
    client.connection.close()
    assert client.get("/projects").status == 200
    assert sandbox.stats()["statuses"] == {"unanswered": 1, "200": 1}


@pytest.mark.parametrize(
    "fault", [{"sttus": 503}, {"status": 418}, {"status": "503"}, {"times": "x"}, ["status"], {"self": 1}]
)
def test_a_malformed_fault_is_refused_with_a_sentence(client, fault):
    answer = client.ask("POST", "/_sandbox/faults", body=fault)
    assert (answer.status, answer.json["type"]) == (400, "parameter_error")
    assert client.get("/projects").status == 200


def test_the_side_entrance_costs_no_budget_and_needs_no_key(clock):
    sandbox = Sandbox(configuration_budget=1, clock=clock)
    with client_of(sandbox) as client:
        client.ask("GET", "/_sandbox/stats")
        client.ask("DELETE", "/_sandbox/faults")
        assert client.get("/projects").headers[USAGE] == "1"
    assert len(sandbox.calls) == 1


# The server


def test_a_connection_is_kept(client):
    client.get("/projects")
    first = client.connection.sock
    assert first is not None
    client.get(f"{PROJECT}/customers/nobody")
    assert client.connection.sock is first


@pytest.mark.parametrize("slow", [{"latency_s": 3600.0}, {}])
def test_a_late_answer_is_waited_for_and_does_not_hold_up_the_end(slow):
    arrived = threading.Event()

    class Ticking:
        def __call__(self) -> float:
            arrived.set()
            return 0.0

    sandbox = Sandbox(clock=Ticking(), **slow)
    if not slow:
        sandbox.add_fault(latency_s=3600)
    ended: list[object] = []

    def ask(client: Client) -> None:
        try:
            ended.append(client.get("/projects").status)
        except OSError as exc:
            ended.append(exc)

    with serve(sandbox) as url:
        client = Client(url)
        thread = threading.Thread(target=ask, args=(client,))
        thread.start()
        assert arrived.wait(10)
        assert (sandbox.stats()["statuses"], ended) == ({"unanswered": 1}, [])
    thread.join(10)
    client.connection.close()
    assert len(ended) == 1
    assert isinstance(ended[0], OSError)


def test_many_call_at_once_and_none_is_lost(crowd):
    users = [user for user in USERS if crowd.customers.resolve(user)][:80]
    sandbox = Sandbox(customer_ids=USERS, as_of_ms=AS_OF_MS, **PLENTY)
    found: dict[str, int] = {}

    def ask(share: list[str], url: str) -> None:
        client = Client(url)
        with closing(client.connection):
            for user in share:
                found[user] = client.get(f"{PROJECT}/customers/{user}").status

    with serve(sandbox) as url:
        threads = [threading.Thread(target=ask, args=(users[n::8], url)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert found == dict.fromkeys(users, 200)
    assert len(sandbox.calls) == len(users)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_prints_its_address_and_ends_cleanly(tmp_path: Path, number):
    file = tmp_path / "customers"
    file.write_text("ann\nbob\ncleo\n")
    command = [
        sys.executable,
        "-m",
        "local.revenuecat",
        "--customers-file",
        str(file),
        "--api-key",
        "sk_x",
        "--seed",
        "3",
    ]
    root = Path(__file__).parents[2]
    with started(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[-1]
            client = Client(url)
            with closing(client.connection):
                rows = client.get(f"{PROJECT}/customers", key="sk_x").json["items"]
                assert [row["id"] for row in rows] == list(
                    Sandbox(seed=3, customer_ids=["ann", "bob", "cleo"]).customers
                )
                process.send_signal(number)
                rest, errors = process.communicate()
        finally:
            process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")

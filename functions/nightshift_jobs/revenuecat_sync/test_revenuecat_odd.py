"""What RevenueCat should never answer costs the row that it is about, and nothing else."""

import dataclasses
import itertools
import re
import time

import pytest

from local.revenuecat.catalogue import Customer
from nightshift.base.errors import JobError
from tests.support.sync_world import PAYING

UNSTORABLE = ["a\0b", "a\ud800b"]


def alter(it, path, change):
    """Let ``change(body)`` alter the answers to the paths that match ``path``, a regular expression."""
    real = it.sandbox.answer

    def answer(target, **how):
        reply = real(target, **how)
        if reply and reply.status == 200 and re.search(path, target):
            return dataclasses.replace(reply, body=change(reply.body))
        return reply

    it.sandbox.answer = answer


@pytest.mark.parametrize("customer_id", UNSTORABLE)
def test_a_customer_whose_id_cannot_be_stored_stops_nothing(payers, customer_id):
    it = payers(5)
    alter(it, "user_002/subscriptions", lambda body: {"items": [body["items"][0] | {"customer_id": customer_id}]})
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (5, 0)


@pytest.mark.parametrize("odd", [None, "x", 5, [], {}, {"id": None}, {"id": 7}, *({"id": id} for id in UNSTORABLE)])
def test_an_odd_row_of_the_list_costs_that_row(payers, odd):
    it = payers(300)
    it.sync()
    it.sandbox.customers["user_299"] = dataclasses.replace(Customer(), last_seen_at=int(time.time() * 1000))
    alter(it, r"/customers\?", lambda body: body | {"items": [*body["items"][:1], odd, *body["items"][1:]]})
    assert it.sync()[0]["mode"] == "incremental"
    assert it.stored()["user_299"][0]["rc_status"] == ""


@pytest.mark.parametrize("following", [*(f"/v2/{id}" for id in UNSTORABLE), "/v2/" + "x" * 70_000, 5, True, {}])
def test_an_odd_address_of_the_next_page_ends_the_list(payers, following):
    it = payers(30)
    it.sync()
    alter(it, r"/customers\?", lambda body: body | {"next_page": following})
    result, _ = it.sync()
    assert (result["mode"], result["errors"]) == ("incremental", 0)


@pytest.mark.parametrize("odd", [None, "x", [], {}, {"id": 5}, {"id": ["a"]}, *({"id": id} for id in UNSTORABLE)])
@pytest.mark.parametrize("kind", ["entitlements", "products"])
def test_an_odd_entry_of_the_catalogue_costs_that_entry(payers, kind, odd):
    it = payers(3)
    alter(it, f"/{kind}", lambda body: body | {"items": [odd, *body["items"]]})
    assert it.sync()[0]["synced"] == 3
    properties = it.stored()["user_001"][0]
    assert (properties["rc_entitlements"], properties["rc_product"]) == ("premium", "premium_p1m")


@pytest.mark.parametrize(
    "odd",
    [
        *({"lookup_key": key, "store_identifier": key} for key in (*UNSTORABLE, 7, [], {})),
        {"subscription": "P1M"},
        {"subscription": {"duration": ["P1M"]}},
        {"type": []},
    ],
)
def test_an_odd_value_in_the_catalogue_stops_nobody(payers, odd):
    it = payers(3)
    alter(it, "/(entitlements|products)", lambda body: body | {"items": [row | odd for row in body["items"]]})
    assert it.sync()[0]["synced"] == 3


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        *(({"items": items}, "The RevenueCat key can read 0 projects") for items in ([{}], [None], ["x"])),
        (
            {"projects": []},
            r"does not show the key's project\. RevenueCat answered /v2/projects with a list",
        ),
    ],
)
def test_a_project_of_an_unknown_shape_ends_the_run_with_a_sentence(payers, body, sentence):
    it = payers(3)
    it.connect(it.project_id, config="{}")
    alter(it, "/projects$", lambda _: body)
    with pytest.raises(JobError, match=sentence):
        it.sync()


@pytest.mark.parametrize("moment", [1.7e12, -1, 0, 10**30, 1e300, True, float("nan"), float("inf")])
def test_an_odd_moment_stops_nobody(payers, moment):
    it = payers(3)
    odd = {"first_seen_at": moment, "last_seen_at": moment}
    alter(it, "expand=attributes", lambda body: body | odd)
    alter(it, r"/customers\?", lambda body: body | {"items": [row | odd for row in body["items"]]})
    alter(it, "/subscriptions", lambda body: {"items": [row | {"starts_at": moment} for row in body["items"]]})
    for _ in range(2):
        result, _ = it.sync()
        assert result["errors"] == 0


@pytest.mark.parametrize("moment", [1.7e12, -1, 0, 10**30, 1e300, True])
def test_an_odd_end_of_a_period_stops_nobody(payers, moment):
    it = payers(3)
    odd = {"current_period_ends_at": moment}
    alter(it, "/subscriptions", lambda body: {"items": [row | odd for row in body["items"]]})
    for _ in range(2):
        result, _ = it.sync()
        assert result["errors"] == 0


def test_a_user_whose_pages_fit_into_no_slice_costs_one_user(payers):
    it = payers(5, latency_s=2)
    pages, url = itertools.count(), "/v2/projects/proj1a2b3c4d/customers/user_001/subscriptions"
    alter(it, "user_001/subscriptions", lambda body: body | {"next_page": f"{url}?page={next(pages)}"})
    result, _ = it.sync()
    assert (result["synced"], result["error_ids"]) == (4, ["user_001"])


def test_a_row_that_two_pages_show_counts_once(payers):
    """A row that is added between two calls moves the others to the next page."""
    it = payers(2)
    alter(it, "user_001/subscriptions", lambda body: body | {"items": body["items"] * 2})
    it.sync()
    assert {cents for _, cents, _ in it.stored().values()} == {999}


def test_a_customer_whom_two_pages_show_counts_once(payers):
    it = payers(300)
    it.sync()
    now_ms = int(time.time() * 1000)
    it.sandbox.customers["user_100"] = dataclasses.replace(PAYING, last_seen_at=now_ms, last_seen_platform="iOS")
    it.arrange("UPDATE job_revenuecat_users SET looked_at = looked_at - interval '1 min' WHERE app_user_id NOT IN"
               " (SELECT id FROM app_users WHERE user_id = 'user_100')")  # fmt: skip
    row = {"id": "user_100", "last_seen_at": now_ms}
    alter(it, r"/customers\?", lambda body: body | {"items": [*body["items"], row]})
    it.sandbox.calls.clear()
    it.sync()
    assert sum(call.customer_id == "user_100" for call in it.sandbox.calls) == 2


@pytest.mark.parametrize("note", ["0.1234567890123456789012345", "1e400", "12345678901234567890123.5"])
def test_a_number_in_the_config_does_not_look_like_a_change(payers, note):
    it = payers(3)
    it.connect(it.project_id, config=f'{{"project_id": "proj1a2b3c4d", "note": {note}}}')
    assert it.sync()[0]["synced"] == 3

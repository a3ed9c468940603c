"""Every rule that maps RevenueCat's rows to a user's properties."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift_jobs.revenuecat_sync.revenuecat.mapping import Catalogue, CustomerRecord, Product, map_subscriber

DAY = 86_400_000
NOW = 1_800_000_000_000

JOB_TYPES = Catalogue(
    entitlements={"entl_pro": "pro", "entl_gold": "gold"},
    products={
        "prod_monthly": Product(store_identifier="com.app.monthly", type="subscription", duration="P1M"),
        "prod_yearly": Product(store_identifier="com.app.yearly", type="subscription", duration="P1Y"),
        "prod_odd": Product(store_identifier="com.app.odd", type="subscription", duration="P5M"),
        "prod_life": Product(store_identifier="com.app.life", type="non_consumable"),
        "prod_coins": Product(store_identifier="com.app.coins", type="consumable"),
    },
)


def live(*, key="entl_pro", expires_at=NOW + 20 * DAY):
    return {"entitlement_id": key, "expires_at": expires_at}


def subscription(*, entitlements=("pro",), gross=None, **fields):
    return {
        "id": "sub1",
        "product_id": "prod_monthly",
        "starts_at": NOW - 100 * DAY,
        "current_period_starts_at": NOW - 10 * DAY,
        "current_period_ends_at": NOW + 20 * DAY,
        "gives_access": True,
        "auto_renewal_status": "will_renew",
        "status": "active",
        "store": "app_store",
        "environment": "production",
        "total_revenue_in_usd": {"currency": "USD", "gross": gross or 0},
        "entitlements": {"object": "list", "items": [{"id": f"entl_{key}", "lookup_key": key} for key in entitlements]},
    } | fields


def expired(**fields):
    return subscription(
        **{"entitlements": (), "gives_access": False, "status": "expired", "auto_renewal_status": "will_not_renew"}
        | {"current_period_ends_at": NOW - DAY}
        | fields
    )


def promotional(**fields):
    return subscription(
        **{"store": "promotional", "product_id": None, "auto_renewal_status": "will_not_renew", "id": "sub_promo"}
        | fields
    )


def purchase(*, entitlements=("pro",), gross=None, **fields):
    return {
        "id": "purch1",
        "product_id": "prod_life",
        "purchased_at": NOW - 50 * DAY,
        "quantity": 1,
        "status": "owned",
        "revenue_in_usd": {"currency": "USD", "gross": gross or 0},
        "entitlements": {"object": "list", "items": [{"id": f"entl_{key}", "lookup_key": key} for key in entitlements]},
    } | fields


def mapped(**lists):
    return map_subscriber(CustomerRecord(**lists), JOB_TYPES)


def short(subscriber):
    """Return subscriber, status, will_renew, entitlements, product, period_type, billing_period."""
    names = ("subscriber", "status", "will_renew", "entitlements", "product", "period_type", "billing_period")
    return [subscriber.properties[f"rc_{name}"] for name in names]


NO, YES = "false", "true"
MONTHLY = ["com.app.monthly", "normal", "monthly"]

# name: (entitlements, subscriptions, purchases, the expected result of short())
CASES = {
    "never bought anything": ([], [], [], [NO, "", NO, "", "", "", ""]),
    "renewing": ([live()], [subscription()], [], [YES, "active", YES, "pro", *MONTHLY]),
    "cancelled": (
        [live()], [subscription(auto_renewal_status="will_not_renew")], [],
        [NO, "cancelled", NO, "pro", *MONTHLY],
    ),
    "trial": (
        [live()], [subscription(status="trialing")], [],
        [YES, "trialing", YES, "pro", "com.app.monthly", "trial", "monthly"],
    ),
    "cancelled trial": (
        [live()], [subscription(status="trialing", auto_renewal_status="will_not_renew")], [],
        [NO, "cancelled", NO, "pro", "com.app.monthly", "trial", "monthly"],
    ),
    "grace": ([live()], [subscription(status="in_grace_period")], [], [YES, "active", YES, "pro", *MONTHLY]),
    "billing retry without access": (
        [], [expired(status="in_billing_retry", auto_renewal_status="will_renew")], [],
        [NO, "expired", NO, "", *MONTHLY],
    ),
    "billing retry with access": (
        [live()], [subscription(status="in_billing_retry")], [], [YES, "active", YES, "pro", *MONTHLY],
    ),
    "paused without end is not lifetime": (
        [], [expired(status="paused", current_period_ends_at=None, auto_renewal_status="will_renew")], [],
        [NO, "expired", NO, "", *MONTHLY],
    ),
    "will pause is not cancelled": (
        [live()], [subscription(auto_renewal_status="will_pause")], [], [NO, "active", NO, "pro", *MONTHLY],
    ),
    "changes product": (
        [live()], [subscription(auto_renewal_status="will_change_product")], [], [YES, "active", YES, "pro", *MONTHLY],
    ),
    "already renewed": (
        [live()], [subscription(auto_renewal_status="has_already_renewed")], [], [YES, "active", YES, "pro", *MONTHLY],
    ),
    "a status of the future with access": (
        [live()], [subscription(status="hibernating")], [], [YES, "active", YES, "pro", *MONTHLY],
    ),
    "a status of the future without access": (
        [], [expired(status="hibernating")], [], [NO, "expired", NO, "", *MONTHLY],
    ),
    "incomplete never began": (
        [], [expired(status="incomplete")], [], [NO, "", NO, "", "", "", ""],
    ),
    "expired keeps its product": ([], [expired()], [], [NO, "expired", NO, "", *MONTHLY]),
    "renews without any entitlement": (
        [], [subscription(entitlements=())], [], [NO, "active", YES, "", *MONTHLY],
    ),
    "what renews is not what is live": (
        [live(key="entl_gold")], [promotional(entitlements=("gold",)), subscription(entitlements=())], [],
        [NO, "active", YES, "gold", *MONTHLY],
    ),
    "promotional": (
        [live()], [promotional()], [], [NO, "active", NO, "pro", "", "promotional", ""],
    ),
    "promotional for life is no subscriber": (
        [live(expires_at=None)], [promotional(current_period_ends_at=None)], [],
        [NO, "active", NO, "pro", "", "promotional", ""],
    ),
    "promotional for life beside coins": (
        [live(expires_at=None)], [promotional(current_period_ends_at=None)],
        [purchase(product_id="prod_coins", entitlements=())],
        [NO, "active", NO, "pro", "", "promotional", ""],
    ),
    "promotional, over": (
        [], [promotional(gives_access=False, status="expired", entitlements=())], [],
        [NO, "expired", NO, "", "", "promotional", ""],
    ),
    "paid before promotional": (
        [live()], [promotional(current_period_ends_at=NOW + 9999 * DAY), subscription()], [],
        [YES, "active", YES, "pro", *MONTHLY],
    ),
    "lifetime": (
        [live(expires_at=None)], [], [purchase()],
        [YES, "active", NO, "pro", "com.app.life", "lifetime", "lifetime"],
    ),
    "lifetime, the row does not list its entitlements": (
        [live(expires_at=None)], [], [purchase(entitlements=()) | {"entitlements": None}],
        [YES, "active", NO, "pro", "com.app.life", "lifetime", "lifetime"],
    ),
    "lifetime before a subscription": (
        [live(expires_at=None)], [subscription(auto_renewal_status="will_not_renew")], [purchase()],
        [YES, "active", NO, "pro", "com.app.life", "lifetime", "lifetime"],
    ),
    "lifetime refunded": (
        [], [], [purchase(status="refunded", entitlements=()) | {"entitlements": None}],
        [NO, "expired", NO, "", "com.app.life", "lifetime", "lifetime"],
    ),
    "a purchase that ends": (
        [live(expires_at=NOW + DAY)], [], [purchase()], [NO, "active", NO, "pro", "com.app.life", "normal", ""],
    ),
    "coins": ([], [], [purchase(product_id="prod_coins", entitlements=())], [NO, "", NO, "", "", "", ""]),
    "coins refunded": (
        [], [], [purchase(product_id="prod_coins", entitlements=(), status="refunded")], [NO, "", NO, "", "", "", ""],
    ),
    "access before a later end": (
        [live()], [expired(product_id="prod_yearly", current_period_ends_at=NOW + 300 * DAY), subscription()], [],
        [YES, "active", YES, "pro", *MONTHLY],
    ),
    "the latest end": (
        [live()],
        [subscription(), subscription(product_id="prod_yearly", current_period_ends_at=NOW + 300 * DAY, id="sub2")], [],
        [YES, "active", YES, "pro", "com.app.yearly", "normal", "yearly"],
    ),
    "then the latest start": (
        [],
        [expired(), expired(product_id="prod_yearly", current_period_starts_at=NOW - 5 * DAY, id="sub0")], [],
        [NO, "expired", NO, "", "com.app.yearly", "normal", "yearly"],
    ),
    "another entitlement renews": (
        [live(), live(key="entl_gold", expires_at=NOW + 90 * DAY)],
        [
            subscription(),
            subscription(
                id="sub2", entitlements=("gold",), auto_renewal_status="will_not_renew",
                current_period_ends_at=NOW + 90 * DAY, product_id="prod_yearly",
            ),
        ], [],
        [YES, "cancelled", NO, "gold,pro", "com.app.yearly", "normal", "yearly"],
    ),
    "an entitlement without rows": ([live()], [], [], [NO, "", NO, "", "", "", ""]),
    "unknown to the catalogue": (
        [live(key="entl_new")], [subscription(product_id="prod_new", entitlements=("new",))], [],
        [YES, "active", YES, "entl_new", "prod_new", "normal", ""],
    ),
    "a period nobody names": (
        [live()], [subscription(product_id="prod_odd")], [],
        [YES, "active", YES, "pro", "com.app.odd", "normal", ""],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_customer_becomes(name):
    entitlements, subscriptions, purchases, expected = CASES[name]

    subscriber = mapped(active_entitlements=entitlements, subscriptions=subscriptions, purchases=purchases)

    assert short(subscriber) == expected
    assert subscriber.active == (expected[1] in ("trialing", "active", "cancelled"))


@pytest.mark.parametrize("name", CASES)
def test_the_order_of_the_rows_says_nothing(name):
    entitlements, subscriptions, purchases, expected = CASES[name]

    turned = mapped(
        active_entitlements=entitlements[::-1], subscriptions=subscriptions[::-1], purchases=purchases[::-1]
    )

    assert short(turned) == expected


@pytest.mark.parametrize(
    ("duration", "period"),
    [
        *[("P1W", "weekly"), ("P7D", "weekly"), ("P2W", "two_weeks"), ("P14D", "two_weeks"), ("P1M", "monthly")],
        *[("P2M", "two_months"), ("P3M", "three_months"), ("P6M", "six_months"), ("P1Y", "yearly"), ("P12M", "yearly")],
        (None, ""),
    ],
)
def test_a_billing_period_is_the_products(duration, period):
    catalogue = Catalogue(entitlements={}, products={"prod_x": Product(store_identifier="x", duration=duration)})
    record = CustomerRecord(subscriptions=[subscription(product_id="prod_x")])

    assert map_subscriber(record, catalogue).properties["rc_billing_period"] == period


@pytest.mark.parametrize(
    ("subscriptions", "purchases", "cents", "text"),
    [
        ([], [], 0, "0.00"),
        ([Decimal("9.99"), Decimal("0.01")], [Decimal("149.99")], 15999, "159.99"),
        ([Decimal("0.005")], [], 1, "0.01"),
        ([Decimal("0.004"), Decimal("0.004")], [], 1, "0.01"),
        ([Decimal("1.015")], [], 102, "1.02"),
        ([None], [None], 0, "0.00"),
        ([Decimal("-0.30")], [], -30, "-0.30"),
        ([Decimal(12)], [Decimal("0.3")], 1230, "12.30"),
    ],
)
def test_revenue_is_the_sum_of_gross_rounded_half_up_once(subscriptions, purchases, cents, text):
    subscriber = mapped(
        subscriptions=[subscription(gross=gross) for gross in subscriptions],
        purchases=[purchase(gross=gross) for gross in purchases],
    )

    assert subscriber.revenue_usd_cents == cents
    assert subscriber.properties["rc_total_revenue_usd"] == text


def test_a_row_without_revenue_adds_nothing():
    assert mapped(subscriptions=[subscription(total_revenue_in_usd=None, gross=1)]).revenue_usd_cents == 0


@given(st.lists(st.decimals(0, 10_000, places=4), max_size=20))
def test_no_fraction_of_a_cent_is_lost_on_the_way(amounts):
    subscriber = mapped(subscriptions=[subscription(gross=amount) for amount in amounts])

    exact = sum(map(Fraction, amounts), Fraction(0)) * 100
    assert Fraction(-1, 2) <= exact - subscriber.revenue_usd_cents < Fraction(1, 2)
    assert subscriber.properties["rc_total_revenue_usd"] == f"{Decimal(subscriber.revenue_usd_cents) / 100:.2f}"


def attributes(**values):
    return [{"name": f"${name}", "value": value, "updated_at": NOW} for name, value in values.items()]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], {"attribution_source": "none"}),
        (attributes(mediaSource=""), {"attribution_source": "none"}),
        (attributes(mediaSource=None, campaign="x"), {"attribution_source": "none"}),
        (attributes(mediaSource="Facebook Ads", campaign="x"), {}),
        (
            attributes(mediaSource="Apple Search Ads", campaign="Spring", adGroup="EU", ad="A", keyword="jobs"),
            {
                "attribution_source": "apple_search_ads",
                "asa_campaign_name": "Spring",
                "asa_ad_group_name": "EU",
                "asa_ad_name": "A",
                "asa_keyword": "jobs",
            },
        ),
        (
            attributes(mediaSource="Apple Search Ads", campaign="Spring", keyword="", email="a@b.c"),
            {"attribution_source": "apple_search_ads", "asa_campaign_name": "Spring"},
        ),
    ],
)
def test_attribution(listed, expected):
    assert mapped(attributes=listed).attribution == expected


def test_what_jsonb_cannot_hold_is_left_out():
    listed = attributes(mediaSource="Apple Search Ads", campaign="a\0b", ad="half \ud83d of a pair")
    catalogue = Catalogue(entitlements={"entl_pro": "p\0ro"}, products={})

    subscriber = map_subscriber(
        CustomerRecord(attributes=listed, active_entitlements=[live()], subscriptions=[subscription()]), catalogue
    )

    assert subscriber.attribution["asa_campaign_name"] == "ab"
    assert subscriber.attribution["asa_ad_name"] == "half ? of a pair"
    assert subscriber.properties["rc_entitlements"] == "pro"


def test_every_value_is_a_string_and_every_key_is_always_there():
    nobody, somebody = (
        mapped(),
        mapped(active_entitlements=[live()], subscriptions=[subscription(gross=Decimal("9.99"))]),
    )

    assert nobody.properties.keys() == somebody.properties.keys()
    assert all(isinstance(value, str) for value in (nobody.properties | somebody.properties).values())

"""Generate a customer. Their mix is that of a project with phone subscriptions, including rare cases."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from local.revenuecat.catalogue import LENGTH_DAYS, STORES, Customer, Product, Purchase, Subscription, product

DAY_MS = 86_400_000
COMMISSION = {"app_store": 0.15, "play_store": 0.15, "stripe": 0.0}
TAX = 0.05
PLATFORM = {"app_store": "iOS", "play_store": "android", "stripe": "web", "promotional": "iOS"}
DURATION_WEIGHTS = {"P1W": 6, "P2W": 1, "P1M": 10, "P2M": 1, "P3M": 3, "P6M": 2, "P1Y": 8}
OTHER_SOURCES = ("Facebook Ads", "TikTok Ads", "Google Ads", "Organic")

Bought = tuple[tuple[Subscription, ...], tuple[Purchase, ...]]


def draw_customer(*, seed: int, id: str, as_of_ms: int, aliases: tuple[str, ...] = ()) -> Customer:
    """Return the customer for seed and id, always the same. Times are relative to ``as_of_ms`` (milliseconds)."""
    draw = Random(f"{seed}:{id}")
    [kind] = draw.choices(list(KINDS), weights=list(KINDS.values()))
    subscriptions, purchases = kind(draw, as_of_ms)
    last_seen_at = as_of_ms - int(draw.expovariate(1 / 20) * DAY_MS)
    bought_at = [row.starts_at for row in subscriptions] + [row.purchased_at for row in purchases]
    stores = [row.store for row in subscriptions] + [row.store for row in purchases]
    store = next(iter(stores), draw.choice(STORES))
    return Customer(
        subscriptions=subscriptions,
        purchases=purchases,
        attributes=_attributes(draw),
        aliases=aliases,
        first_seen_at=min(last_seen_at, *bought_at, as_of_ms) - draw.randrange(DAY_MS),
        last_seen_at=max(last_seen_at, *bought_at, 0),
        last_seen_country=draw.choice(("US", "GB", "DE", "JP", "BR", None)),
        last_seen_platform=PLATFORM[store],
        last_seen_app_version=f"{draw.randint(1, 4)}.{draw.randint(0, 9)}.0",
    )


def _nothing(draw: Random, now: int) -> Bought:
    return (), ()


def _renewing(draw: Random, now: int) -> Bought:
    return (_subscription(draw, now),), ()


def _cancelled(draw: Random, now: int) -> Bought:
    return (_subscription(draw, now, auto_renewal_status="will_not_renew"),), ()


def _trialing(draw: Random, now: int) -> Bought:
    begin = now - draw.randrange(7 * DAY_MS)
    renewal = draw.choice(("will_renew", "will_renew", "will_not_renew"))
    trial = _subscription(draw, now, status="trialing", auto_renewal_status=renewal)
    free = replace(trial, gross=0.0, commission=0.0, tax=0.0)
    return (
        replace(free, starts_at=begin, current_period_starts_at=begin, current_period_ends_at=begin + 7 * DAY_MS),
    ), ()


def _in_grace_period(draw: Random, now: int) -> Bought:
    return (_subscription(draw, now, status="in_grace_period"),), ()


def _in_billing_retry(draw: Random, now: int) -> Bought:
    return (_ended(_subscription(draw, now, status="in_billing_retry"), now - draw.randrange(1, 16 * DAY_MS)),), ()


def _expired(draw: Random, now: int) -> Bought:
    return (_lapsed(draw, now),), ()


def _paused(draw: Random, now: int) -> Bought:
    row = _subscription(draw, now, store="play_store", status="paused", auto_renewal_status="will_pause")
    return (replace(row, gives_access=False, current_period_ends_at=None, entitlements=()),), ()


def _promotional(draw: Random, now: int) -> Bought:
    begin = now - draw.randrange(30 * DAY_MS)
    grant = Subscription(
        product_id=None,
        store="promotional",
        auto_renewal_status="will_not_renew",
        starts_at=begin,
        current_period_starts_at=begin,
        current_period_ends_at=begin + 31 * DAY_MS,
    )
    return (grant,), ()


def _lifetime(draw: Random, now: int) -> Bought:
    before = (_lapsed(draw, now),) if draw.random() < 0.3 else ()
    return before, (_purchase(draw, now, "premium_lifetime", entitlements=("premium",)),)


def _refunded(draw: Random, now: int) -> Bought:
    row = _purchase(draw, now, "premium_lifetime", status="refunded")
    return (), (replace(row, gross=0.0, commission=0.0, tax=0.0),)


def _credits(draw: Random, now: int) -> Bought:
    return (), tuple(_purchase(draw, now, "credits_100") for _ in range(draw.randint(1, 30)))


def _tester(draw: Random, now: int) -> Bought:
    bought = _purchase(draw, now, "credits_100", environment="sandbox")
    return (_subscription(draw, now, environment="sandbox"),), (bought,)


def _several(draw: Random, now: int) -> Bought:
    before = [_lapsed(draw, now) for _ in range(draw.randint(1, 24))]
    pro = replace(_subscription(draw, now, auto_renewal_status="will_not_renew"), entitlements=("pro",))
    return (*before, _subscription(draw, now), pro), (_purchase(draw, now, "credits_100"),)


KINDS: dict[Callable[[Random, int], Bought], int] = {
    _nothing: 540,
    _renewing: 150,
    _cancelled: 50,
    _trialing: 40,
    _in_grace_period: 10,
    _in_billing_retry: 10,
    _expired: 90,
    _paused: 10,
    _promotional: 10,
    _lifetime: 30,
    _refunded: 10,
    _credits: 10,
    _tester: 20,
    _several: 20,
}


def _subscription(draw: Random, now: int, *, store: str | None = None, **fields: Any) -> Subscription:
    """Return a subscription within a paid period at ``now``, after up to two years of earlier paid periods."""
    store = store or draw.choice(STORES)
    [duration] = draw.choices(list(DURATION_WEIGHTS), weights=list(DURATION_WEIGHTS.values()))
    sold = product(f"premium_{duration.lower()}", store=store)
    length = LENGTH_DAYS[duration] * DAY_MS
    earlier = draw.randint(0, 730 // LENGTH_DAYS[duration])
    begin = now - draw.randrange(length)
    return Subscription(
        product_id=sold.id,
        store=store,
        starts_at=begin - earlier * length,
        current_period_starts_at=begin,
        current_period_ends_at=begin + length,
        **_revenue(sold, count=earlier + 1),
        **fields,
    )


def _lapsed(draw: Random, now: int) -> Subscription:
    row = _subscription(draw, now, status="expired", auto_renewal_status="will_not_renew")
    return _ended(row, now - draw.randrange(DAY_MS, 300 * DAY_MS))


def _ended(row: Subscription, at: int) -> Subscription:
    assert row.current_period_ends_at is not None
    earlier = row.current_period_ends_at - at
    return replace(
        row,
        gives_access=False,
        entitlements=(),
        starts_at=row.starts_at - earlier,
        current_period_starts_at=row.current_period_starts_at - earlier,
        current_period_ends_at=at,
    )


def _purchase(draw: Random, now: int, store_identifier: str, **fields: Any) -> Purchase:
    sold = product(store_identifier, store=draw.choice(STORES))
    at = now - draw.randrange(500 * DAY_MS)
    return Purchase(product_id=sold.id, store=sold.store, purchased_at=at, **_revenue(sold, count=1), **fields)


def _revenue(sold: Product, *, count: int) -> dict[str, Any]:
    cents = sold.price_cents * count
    shares = {"gross": cents, "commission": round(cents * COMMISSION[sold.store]), "tax": round(cents * TAX)}
    return {name: share / 100 for name, share in shares.items()}


def _attributes(draw: Random) -> dict[str, str]:
    """Return attributes. Some lists exceed the page embedded in a customer; the attribution is then at their end."""
    longer = draw.randint(25, 60) if draw.random() < 0.03 else draw.randint(0, 2)
    attributes = {"$email": f"user{draw.randrange(10**6)}@example.com"} if draw.random() < 0.5 else {}
    attributes |= {f"survey_{n}": draw.choice(("yes", "no", "later")) for n in range(longer)}
    source = draw.random()
    if source < 0.25:
        attributes |= {
            "$mediaSource": "Apple Search Ads",
            "$campaign": f"Campaign {draw.randint(1, 9)}",
            "$adGroup": f"Group {draw.randint(1, 30)}",
            "$ad": f"Ad {draw.randint(1, 99)}",
            "$keyword": draw.choice(("sleep sounds", "white noise", "café", "深呼吸")),
        }
    elif source < 0.4:
        attributes |= {"$mediaSource": draw.choice(OTHER_SOURCES), "$campaign": f"Campaign {draw.randint(1, 9)}"}
    return attributes

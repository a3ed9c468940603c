"""The products that the sandbox's project sells, and the records of a customer."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

STORES = ("app_store", "play_store", "stripe")
LENGTH_DAYS = {"P1W": 7, "P2W": 14, "P1M": 30, "P2M": 61, "P3M": 91, "P6M": 182, "P1Y": 365}
PRICE_CENTS = {"P1W": 299, "P2W": 499, "P1M": 999, "P2M": 1799, "P3M": 2499, "P6M": 3999, "P1Y": 5999}
LIFETIME_CENTS = 14999
CREDITS_CENTS = 199

# Defaults for records in tests: bought long ago, and never ending during a test.
LONG_AGO_MS = 1_735_689_600_000  # 2025-01-01
FAR_FUTURE_MS = 4_102_444_800_000  # 2100-01-01


def short_id(prefix: str, *parts: object) -> str:
    """Return ``prefix`` and ten hex digits, the same for the same parts."""
    return prefix + hashlib.blake2b(repr(parts).encode(), digest_size=5).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product. ``duration`` is ISO 8601, or None for a one-time purchase."""

    store: str
    store_identifier: str
    display_name: str
    type: str
    duration: str | None
    price_cents: int

    @property
    def id(self) -> str:
        return short_id("prod", self.store, self.store_identifier)


@dataclass(frozen=True, kw_only=True)
class Entitlement:
    lookup_key: str
    display_name: str

    @property
    def id(self) -> str:
        return short_id("entl", self.lookup_key)


def _sold_in(store: str) -> list[Product]:
    return [
        *(
            Product(
                store=store,
                store_identifier=f"premium_{duration.lower()}",
                display_name=f"Premium {duration}",
                type="subscription",
                duration=duration,
                price_cents=price,
            )
            for duration, price in PRICE_CENTS.items()
        ),
        Product(
            store=store,
            store_identifier="premium_lifetime",
            display_name="Premium for life",
            type="non_consumable",
            duration=None,
            price_cents=LIFETIME_CENTS,
        ),
        Product(
            store=store,
            store_identifier="credits_100",
            display_name="100 credits",
            type="consumable",
            duration=None,
            price_cents=CREDITS_CENTS,
        ),
    ]


# More than twenty, so that a client that reads only the first page of products misses some.
PRODUCTS = tuple(product for store in STORES for product in _sold_in(store))
ENTITLEMENTS = {
    entitlement.lookup_key: entitlement
    for entitlement in (
        Entitlement(lookup_key="premium", display_name="Premium"),
        Entitlement(lookup_key="pro", display_name="Pro"),
    )
}


def product(store_identifier: str, *, store: str = "app_store") -> Product:
    """Return the product with this identifier, such as ``premium_p1m``, ``premium_lifetime`` or ``credits_100``."""
    for sold in PRODUCTS:
        if (sold.store, sold.store_identifier) == (store, store_identifier):
            return sold
    raise KeyError(f"The store {store!r} sells no {store_identifier!r}.")


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One row of ``/subscriptions``. Money in US dollars, times in milliseconds, entitlements by lookup key.

    Without ``product_id`` it is a promotional grant; without ``current_period_ends_at`` it is paused indefinitely.
    """

    product_id: str | None
    status: str = "active"
    gives_access: bool = True
    auto_renewal_status: str = "will_renew"
    starts_at: int = LONG_AGO_MS
    current_period_starts_at: int = LONG_AGO_MS
    current_period_ends_at: int | None = FAR_FUTURE_MS
    store: str = "app_store"
    environment: str = "production"
    gross: float = 0.0
    commission: float = 0.0
    tax: float = 0.0
    entitlements: tuple[str, ...] = ("premium",)


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One row of ``/purchases``. Money in US dollars, times in milliseconds, entitlements by lookup key, for life."""

    product_id: str
    status: str = "owned"
    purchased_at: int = LONG_AGO_MS
    quantity: int = 1
    store: str = "app_store"
    environment: str = "production"
    gross: float = 0.0
    commission: float = 0.0
    tax: float = 0.0
    entitlements: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A customer without its id, which is the key it is stored under. ``aliases`` are other ids that lead to it."""

    subscriptions: tuple[Subscription, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    first_seen_at: int = LONG_AGO_MS
    last_seen_at: int = LONG_AGO_MS
    last_seen_country: str | None = "US"
    last_seen_platform: str | None = "iOS"
    last_seen_app_version: str | None = "1.0.0"

    def active_entitlements(self) -> dict[str, int | None]:
        """Return the end of each active entitlement, by lookup key. None means that it never ends."""
        ends: dict[str, int | None] = {}
        for subscription in self.subscriptions:
            for key in subscription.entitlements if subscription.gives_access else ():
                known, end = ends.get(key, 0), subscription.current_period_ends_at
                ends[key] = None if known is None or end is None else max(known, end)
        for purchase in self.purchases:
            ends |= dict.fromkeys(purchase.entitlements if purchase.status == "owned" else ())
        return ends

"""Maps RevenueCat's rows about a customer to properties of the user, as a pure function."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

# The largest number that Postgres holds (bigint).
MAX_COUNT = 2**63 - 1

Row = dict[str, Any]

# ISO 8601 durations as the stores write them, and the billing periods that the platform's users page supports.
BILLING_PERIODS = {
    "P7D": "weekly", "P1W": "weekly", "P2W": "two_weeks", "P14D": "two_weeks", "P1M": "monthly", "P2M": "two_months",
    "P3M": "three_months", "P6M": "six_months", "P1Y": "yearly", "P12M": "yearly",
}  # fmt: skip

ATTRIBUTION = {
    "$campaign": "asa_campaign_name",
    "$adGroup": "asa_ad_group_name",
    "$ad": "asa_ad_name",
    "$keyword": "asa_keyword",
}

# Renewal statuses after which the next period is not paid. will_pause is not a cancellation: it resumes by itself.
NOT_RENEWING = ("will_not_renew", "will_pause")


@dataclass(frozen=True, kw_only=True)
class Product:
    """``duration`` is a subscription's period in ISO 8601, or None for a one-time purchase."""

    store_identifier: str
    type: str | None = None
    duration: str | None = None


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """A RevenueCat project's offer. ``entitlements`` maps ids to lookup keys, ``products`` maps ids to products."""

    entitlements: dict[str, str]
    products: dict[str, Product]


@dataclass(kw_only=True)
class CustomerRecord:
    """All rows of RevenueCat about one customer, from all pages of each list.

    ``attributes`` None: they were not asked for. ``active_entitlements`` None: they follow from the rows.
    """

    subscriptions: list[Row] = field(default_factory=list)
    purchases: list[Row] = field(default_factory=list)
    active_entitlements: list[Row] | None = None
    attributes: list[Row] | None = None
    id: str | None = None
    first_seen_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    """The values that the sync stores for a user.

    ``properties`` has every rc_* key of the sync, so that none goes stale; ``attribution`` is only used for keys that
    the user does not have yet. ``active`` says whether the user has access now.
    """

    properties: dict[str, str]
    attribution: dict[str, str]
    revenue_usd_cents: int
    active: bool


@dataclass(frozen=True, kw_only=True)
class _Holding:
    """A subscription, purchase or grant of the customer. Times in milliseconds."""

    product_id: str | None
    gives_access: bool
    status: str
    period_type: str
    renews: bool = False
    ends_at: float = 0
    starts_at: float = 0
    row_id: str = ""

    def rank(self) -> tuple[Any, ...]:
        # The row id breaks ties, so that a response in another order does not look like a change.
        paid = self.period_type != "promotional"
        return self.gives_access, paid, self.ends_at, self.starts_at, self.row_id


def map_subscriber(record: CustomerRecord, catalogue: Catalogue) -> Subscriber:
    """Return properties, attribution and revenue of one user.

    One row represents the user. Rows with access come before rows without, paid before promotional ones, then the
    latest end of the period (a lifetime purchase never ends, a pause without end counts as ended), then the latest
    start.

    - ``gives_access`` decides about access, not the status. Without it, in_billing_retry, paused, refunded and unknown
      statuses are ``expired`` and keep their product; with it, in_grace_period and unknown statuses are ``active``.
    - ``cancelled`` is access that will not renew, also in a trial: rc_period_type is then still trial.
    - ``incomplete`` never began and never represents a user.
    - A promotional grant is active or expired, never cancelled, has no product and no billing period.
    - An owned purchase represents the user if it unlocks a live entitlement; it is a lifetime purchase if that never
      expires. Consumables do not represent the user. A refunded purchase is expired.
    - If no row represents the user, live entitlements do not count: they come from sandbox rows, which are excluded.
    - Products and entitlements that are missing from the catalogue are named by their RevenueCat id.
    - A user without any rows has an empty status: nothing has expired.
    - Revenue is the exact sum of gross amounts (RevenueCat has subtracted refunds), rounded half up to cents.
    """
    live = live_entitlements(record, catalogue)
    names = {key: {key, catalogue.entitlements.get(key, key)} for key in live}
    granted = [row for row in record.subscriptions if row.get("gives_access")]
    # RevenueCat does not say why an entitlement never expires: a lifetime grant looks like a lifetime purchase.
    bought = {
        key
        for key in live
        if not any(row.get("entitlements") is not None and _unlocks(row, names[key]) for row in granted)
    }
    subscriptions = [_subscription(row) for row in record.subscriptions if row.get("status") != "incomplete"]
    purchases = [_purchase(row, live, names, bought, catalogue) for row in record.purchases]
    holdings = [holding for holding in (*subscriptions, *purchases) if holding]
    best = max(holdings, key=_Holding.rank, default=None)

    for_life = any(holding.gives_access and holding.period_type == "lifetime" for holding in holdings)
    renewing = any(_subscription(row).renews and any(_unlocks(row, names[key]) for key in live) for row in granted)
    cents = _cents(record)
    properties = {
        "rc_subscriber": _flag(for_life or renewing),
        "rc_status": best.status if best else "",
        "rc_will_renew": _flag(best is not None and best.renews),
        "rc_entitlements": ",".join(sorted(catalogue.entitlements.get(key, key) for key in live)) if best else "",
        "rc_product": _store_identifier(best, catalogue),
        "rc_period_type": best.period_type if best else "",
        "rc_billing_period": _billing_period(best, catalogue),
        "rc_total_revenue_usd": f"{Decimal(cents) / 100:.2f}",
    }
    return Subscriber(
        properties={key: storable(value) for key, value in properties.items()},
        attribution={} if record.attributes is None else _attribution(record.attributes),
        revenue_usd_cents=cents,
        active=best is not None and best.gives_access,
    )


def lists_entitlements(record: CustomerRecord) -> bool:
    """Return whether every row names its entitlements, so that the customer need not be asked for them."""
    return all(row.get("entitlements") is not None for row in (*record.subscriptions, *record.purchases))


def live_entitlements(record: CustomerRecord, catalogue: Catalogue) -> dict[str, Any]:
    """Return the end of each live entitlement by its id, in milliseconds; None means that it never ends."""
    if record.active_entitlements is not None:
        return {row["entitlement_id"]: row.get("expires_at") for row in record.active_entitlements}
    ends: dict[str, list[Any]] = {}
    for row in record.subscriptions:
        for key in _entitlement_ids(row) if row.get("gives_access") else ():
            ends.setdefault(key, []).append(row.get("current_period_ends_at"))
    for row in record.purchases:
        product = catalogue.products.get(row.get("product_id") or "")
        # A subscription that does not renew ends, at a time that its row does not name.
        is_for_life = product is None or product.type != "non_renewing_subscription"
        for key in _entitlement_ids(row) if row.get("status") == "owned" else ():
            ends.setdefault(key, []).append(None if is_for_life else row.get("purchased_at") or 0)
    return {key: None if None in each else max(each) for key, each in ends.items()}


def _subscription(row: Row) -> _Holding:
    access, renewal = bool(row.get("gives_access")), row.get("auto_renewal_status")
    promotional, trial = row.get("store") == "promotional", row.get("status") == "trialing"
    if not access:
        status = "expired"
    elif renewal == "will_not_renew" and not promotional:
        status = "cancelled"
    else:
        status = "trialing" if trial else "active"
    return _Holding(
        product_id=row.get("product_id"),
        gives_access=access,
        status=status,
        period_type="promotional" if promotional else "trial" if trial else "normal",
        renews=access and not promotional and renewal not in NOT_RENEWING,
        ends_at=row.get("current_period_ends_at") or 0,
        starts_at=row.get("current_period_starts_at") or row.get("starts_at") or 0,
        row_id=row.get("id", ""),
    )


def _purchase(
    row: Row, live: dict[str, Any], names: dict[str, set[str]], bought: set[str], catalogue: Catalogue
) -> _Holding | None:
    """Return the holding, or None if the purchase unlocks nothing (a consumable)."""
    product = catalogue.products.get(row.get("product_id") or "")
    kind, listed = product.type if product else None, row.get("entitlements") is not None
    if not _entitlement_names(row) if listed else kind == "consumable":
        return None
    owned = row.get("status") == "owned"
    # A row without a list of entitlements only matches those that never expire and that no other row explains.
    unlocked = [k for k in live if owned and (_unlocks(row, names[k]) if listed else k in bought and live[k] is None)]
    if not (unlocked or listed or kind == "non_consumable"):
        return None
    for_life = any(live[key] is None for key in unlocked) or (not unlocked and kind != "non_renewing_subscription")
    ends = [float("inf") if live[key] is None else live[key] for key in unlocked]
    return _Holding(
        product_id=row.get("product_id"),
        gives_access=bool(unlocked),
        status="active" if unlocked else "expired",
        period_type="lifetime" if for_life else "normal",
        ends_at=max(ends, default=0),
        starts_at=row.get("purchased_at") or 0,
        row_id=row.get("id", ""),
    )


def _unlocks(row: Row, names: set[str]) -> bool:
    """Return whether the row gives the entitlement with these ``names``. A row without a list gives every one."""
    return row.get("entitlements") is None or not names.isdisjoint(_entitlement_names(row))


def _entitlement_names(row: Row) -> set[str]:
    return {item[key] for item in _listed(row) for key in ("id", "entitlement_id", "lookup_key") if item.get(key)}


def _entitlement_ids(row: Row) -> set[str]:
    """Return one name of each entitlement of the row: its id, or else its lookup key."""
    names = (item.get("id") or item.get("entitlement_id") or item.get("lookup_key") for item in _listed(row))
    return {name for name in names if name}


def _listed(row: Row) -> list[Row]:
    listed = row.get("entitlements") or []
    items: list[Row] = listed["items"] if isinstance(listed, dict) else listed
    return items


def _store_identifier(holding: _Holding | None, catalogue: Catalogue) -> str:
    if holding is None or not holding.product_id:
        return ""
    product = catalogue.products.get(holding.product_id)
    return product.store_identifier if product else holding.product_id


def _billing_period(holding: _Holding | None, catalogue: Catalogue) -> str:
    if holding is None or holding.period_type in ("lifetime", "promotional"):
        return "lifetime" if holding and holding.period_type == "lifetime" else ""
    product = catalogue.products.get(holding.product_id or "")
    return BILLING_PERIODS.get(product.duration or "", "") if product else ""


def _cents(record: CustomerRecord) -> int:
    amounts = [row.get("total_revenue_in_usd") for row in record.subscriptions]
    amounts += [row.get("revenue_in_usd") for row in record.purchases]
    total = sum((Decimal(str(amount.get("gross") or 0)) for amount in amounts if amount), Decimal(0))
    cents = int((total * 100).quantize(Decimal(1), ROUND_HALF_UP))
    if abs(cents) > MAX_COUNT:
        raise ValueError("the revenue is larger than any that can be stored")
    return cents


def _attribution(attributes: Iterable[Row]) -> dict[str, str]:
    values = {row["name"]: storable(str(row["value"])) for row in attributes if row.get("value")}
    match values.get("$mediaSource"):
        case None:
            return {"attribution_source": "none"}
        case "Apple Search Ads":
            found = {key: values[name] for name, key in ATTRIBUTION.items() if name in values}
            return {"attribution_source": "apple_search_ads", **found}
        case _:
            return {}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def storable(text: str) -> str:
    """Return the text without characters that Postgres cannot store: NUL and unpaired surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()

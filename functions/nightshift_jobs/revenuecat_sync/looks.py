"""What the sync remembers of a look at a user: when it has to look again, and at what."""

from dataclasses import asdict
from typing import Any, NamedTuple

from nightshift_jobs.revenuecat_sync.revenuecat.mapping import (
    Catalogue,
    CustomerRecord,
    Product,
    Row,
    Subscriber,
    map_subscriber,
    storable,
)

# RevenueCat learns of Apple's search ads up to 24 hours after the install. A look within this time may be too early.
ATTRIBUTION_OPEN_MS = 72 * 3600 * 1000
# Statuses of a subscription without access that may give access again.
MAY_COME_BACK = ("in_grace_period", "in_billing_retry", "paused")
# The end of a pause without end, so that its user stays among the payers.
LAST_MS = 253_402_300_799_000  # the year 9999


class Look(NamedTuple):
    """``period_ends_at`` (milliseconds) is when the status may change; None without a running subscription.

    ``attribution_open``: a later look may find the source. ``alias_of`` is the customer that RevenueCat found under
    this user's id, if that is another id.
    """

    subscriber: Subscriber
    period_ends_at: int | None
    attribution_open: bool
    alias_of: str | None

    def as_row(self) -> dict[str, Any]:
        """Return the parameters of write_app_users.sql about this user."""
        return {
            "properties": self.subscriber.properties,
            "attribution": self.subscriber.attribution,
            "revenue_usd_cents": self.subscriber.revenue_usd_cents,
            "period_ends_at_ms": self.period_ends_at,
            "attribution_open": self.attribution_open,
            "alias_of": self.alias_of,
        }


def look_at(user_id: str, record: CustomerRecord, catalogue: Catalogue, *, now_ms: float) -> Look:
    """Return what RevenueCat's rows say about the user. Raises for rows of an unknown shape."""
    subscriber = map_subscriber(record, catalogue)
    is_young = record.first_seen_at is not None and now_ms - float(record.first_seen_at) < ATTRIBUTION_OPEN_MS
    owners = {str(row["customer_id"]) for row in record.subscriptions + record.purchases if row.get("customer_id")}
    owner = storable(min(owners, default=str(record.id or "")))
    return Look(
        subscriber=subscriber,
        period_ends_at=min((_end(row) for row in record.subscriptions if _is_running(row)), default=None),
        attribution_open=subscriber.attribution == {"attribution_source": "none"} and is_young,
        alias_of=owner if owner and owner != user_id else None,
    )


def _is_running(row: Row) -> bool:
    return bool(row.get("gives_access")) or row.get("status") in MAY_COME_BACK


def _end(row: Row) -> int:
    """Return the end of the period. A pause without end comes last: the payers are walked in this order."""
    end = row.get("current_period_ends_at")
    return LAST_MS if end is None else min(LAST_MS, max(0, int(end)))


def catalogue_as_json(catalogue: Catalogue) -> dict[str, Any]:
    products = {id: list(asdict(product).values()) for id, product in catalogue.products.items()}
    return {"entitlements": catalogue.entitlements, "products": products}


def catalogue_from_json(saved: dict[str, Any]) -> Catalogue:
    products = {
        id: Product(store_identifier=name, type=kind, duration=duration)
        for id, (name, kind, duration) in saved["products"].items()
    }
    return Catalogue(entitlements=saved["entitlements"], products=products)

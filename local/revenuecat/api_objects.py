"""The JSON objects of API v2, with the field names of its published OpenAPI document."""

from collections.abc import Iterable
from typing import Any

from local.revenuecat.catalogue import (
    ENTITLEMENTS,
    LONG_AGO_MS,
    Customer,
    Entitlement,
    Product,
    Purchase,
    Subscription,
    short_id,
)


def project_row(project_id: str) -> dict[str, Any]:
    return {"object": "project", "id": project_id, "name": "Sandbox", "created_at": LONG_AGO_MS}


def product_row(product: Product) -> dict[str, Any]:
    length = {"duration": product.duration, "grace_period_duration": None, "trial_duration": "P1W"}
    return {
        "object": "product",
        "id": product.id,
        "store_identifier": product.store_identifier,
        "type": product.type,
        "subscription": length if product.duration else None,
        "one_time": None if product.duration else {"is_consumable": product.type == "consumable"},
        "created_at": LONG_AGO_MS,
        "app_id": short_id("app", product.store),
        "display_name": product.display_name,
    }


def entitlement_row(project_id: str, entitlement: Entitlement) -> dict[str, Any]:
    return {
        "object": "entitlement",
        "project_id": project_id,
        "id": entitlement.id,
        "lookup_key": entitlement.lookup_key,
        "display_name": entitlement.display_name,
        "created_at": LONG_AGO_MS,
    }


def customer_row(project_id: str, id: str, customer: Customer) -> dict[str, Any]:
    """Return a customer as in the list of customers: without entitlements and attributes."""
    return {
        "object": "customer",
        "id": id,
        "project_id": project_id,
        "first_seen_at": customer.first_seen_at,
        "last_seen_at": customer.last_seen_at,
        "last_seen_country": customer.last_seen_country,
        "last_seen_platform": customer.last_seen_platform,
        "last_seen_platform_version": None,
        "last_seen_app_version": customer.last_seen_app_version,
    }


def active_entitlement_rows(customer: Customer) -> list[dict[str, Any]]:
    return [
        {"object": "customer.active_entitlement", "entitlement_id": ENTITLEMENTS[key].id, "expires_at": expires_at}
        for key, expires_at in customer.active_entitlements().items()
    ]


def attribute_rows(customer: Customer) -> list[dict[str, Any]]:
    return [
        {"object": "customer.attribute", "name": name, "value": value, "updated_at": customer.first_seen_at}
        for name, value in customer.attributes.items()
    ]


def subscription_row(
    project_id: str, base_url: str, customer_id: str, n: int, subscription: Subscription
) -> dict[str, Any]:
    id = short_id("sub", customer_id, n)
    return {
        "object": "subscription",
        "id": id,
        "customer_id": customer_id,
        "original_customer_id": customer_id,
        "product_id": subscription.product_id,
        "starts_at": subscription.starts_at,
        "current_period_starts_at": subscription.current_period_starts_at,
        "current_period_ends_at": subscription.current_period_ends_at,
        "ends_at": subscription.current_period_ends_at,
        "gives_access": subscription.gives_access,
        "pending_payment": False,
        "auto_renewal_status": subscription.auto_renewal_status,
        "status": subscription.status,
        "total_revenue_in_usd": _money(subscription),
        "presented_offering_id": None,
        "entitlements": _granted(project_id, f"{base_url}/subscriptions/{id}/entitlements", subscription.entitlements),
        "environment": subscription.environment,
        "store": subscription.store,
        "store_subscription_identifier": short_id("", "store", id),
        "ownership": "purchased",
        "pending_changes": None,
        "country": "US",
        "management_url": None,
    }


def purchase_row(project_id: str, base_url: str, customer_id: str, n: int, purchase: Purchase) -> dict[str, Any]:
    id = short_id("purch", customer_id, n)
    return {
        "object": "purchase",
        "id": id,
        "customer_id": customer_id,
        "original_customer_id": customer_id,
        "product_id": purchase.product_id,
        "purchased_at": purchase.purchased_at,
        "revenue_in_usd": _money(purchase),
        "quantity": purchase.quantity,
        "status": purchase.status,
        "presented_offering_id": None,
        "entitlements": _granted(project_id, f"{base_url}/purchases/{id}/entitlements", purchase.entitlements),
        "environment": purchase.environment,
        "store": purchase.store,
        "store_purchase_identifier": short_id("", "store", id),
        "ownership": "purchased",
        "country": "US",
    }


def _money(row: Subscription | Purchase) -> dict[str, Any]:
    return {
        "currency": "USD",
        "gross": row.gross,
        "commission": row.commission,
        "tax": row.tax,
        "proceeds": round(row.gross - row.commission - row.tax, 2),
    }


def _granted(project_id: str, url: str, lookup_keys: Iterable[str]) -> dict[str, Any]:
    items = [entitlement_row(project_id, ENTITLEMENTS[key]) for key in lookup_keys]
    return {"object": "list", "items": items, "next_page": None, "url": url}

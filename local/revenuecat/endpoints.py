"""The endpoints of API v2 that a sync reads: find a path's endpoint and answer the call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from local.revenuecat.api_objects import (
    active_entitlement_rows,
    attribute_rows,
    customer_row,
    entitlement_row,
    product_row,
    project_row,
    purchase_row,
    subscription_row,
)
from local.revenuecat.catalogue import ENTITLEMENTS, PRODUCTS, Customer
from local.revenuecat.customers import Customers
from local.revenuecat.pages import BadParameter, environment, expands_attributes, page, page_of
from local.revenuecat.replies import Reply, error

CUSTOMER_INFORMATION = "customer_information"
PROJECT_CONFIGURATION = "project_configuration"
CUSTOMER_LISTS = ("subscriptions", "purchases", "attributes", "active_entitlements")
LONGEST_CUSTOMER_ID = 1500


@dataclass(frozen=True)
class Route:
    """A matched path. ``endpoint`` has {p} and {c} instead of ids; ``group`` is the budget that is charged."""

    endpoint: str
    group: str
    kind: str
    project_id: str | None = None
    customer_id: str | None = None


def route_of(path: str) -> Route | None:
    """Return the endpoint of ``path`` with its ids decoded once, or None for an unknown path."""
    match [unquote(segment) for segment in path.split("/")]:
        case ["", "projects"]:
            return Route("/projects", PROJECT_CONFIGURATION, "projects")
        case ["", "projects", project, ("entitlements" | "products") as kind]:
            return Route(f"/projects/{{p}}/{kind}", PROJECT_CONFIGURATION, kind, project)
        case ["", "projects", project, "customers"]:
            return Route("/projects/{p}/customers", CUSTOMER_INFORMATION, "customers", project)
        case ["", "projects", project, "customers", customer]:
            return Route("/projects/{p}/customers/{c}", CUSTOMER_INFORMATION, "customer", project, customer)
        case ["", "projects", project, "customers", customer, kind] if kind in CUSTOMER_LISTS:
            return Route(f"/projects/{{p}}/customers/{{c}}/{kind}", CUSTOMER_INFORMATION, kind, project, customer)
    return None


def look_up(route: Route, query: Mapping[str, str], base_url: str, project_id: str, customers: Customers) -> Reply:
    """Return the reply of ``route`` to a key of ``project_id``. URLs in the reply begin with ``base_url``."""
    if route.project_id not in (None, project_id):
        return error(403, f"This API key has no access to the project '{route.project_id}'.")
    url = f"{base_url}/projects/{project_id}"
    try:
        if route.customer_id is None:
            return Reply(body=_of_project(route.kind, query, base_url, url, project_id, customers))
        if not 1 <= len(route.customer_id) <= LONGEST_CUSTOMER_ID:
            raise BadParameter("customer_id", f"customer_id must have 1 to {LONGEST_CUSTOMER_ID} characters.")
        id = customers.resolve(route.customer_id)
        if id is None:
            return error(404, f"Unknown customer '{route.customer_id}' in this project.")
        return Reply(body=_of_customer(route.kind, query, url, project_id, id, customers[id]))
    except BadParameter as exc:
        return error(400, str(exc), param=exc.param)


def _of_project(
    kind: str, query: Mapping[str, str], base_url: str, url: str, project_id: str, customers: Customers
) -> dict[str, Any]:
    def customer_rows(offset: int, limit: int) -> list[dict[str, Any]]:
        return [customer_row(project_id, id, customers[id]) for id in customers.page(offset, limit)]

    match kind:
        case "projects":
            return page_of(f"{base_url}/projects", query, [project_row(project_id)])
        case "entitlements":
            rows = [entitlement_row(project_id, entitlement) for entitlement in ENTITLEMENTS.values()]
            return page_of(f"{url}/entitlements", query, rows)
        case "products":
            return page_of(f"{url}/products", query, [product_row(product) for product in PRODUCTS])
        case _:
            return page(f"{url}/customers", query, customer_rows)


def _of_customer(
    kind: str, query: Mapping[str, str], project_url: str, project_id: str, id: str, customer: Customer
) -> dict[str, Any]:
    url = f"{project_url}/customers/{quote(id, safe='')}"
    match kind:
        case "subscriptions":
            rows = [subscription_row(project_id, project_url, id, *row) for row in enumerate(customer.subscriptions)]
            return page_of(f"{url}/subscriptions", query, _of_environment(rows, environment(query)))
        case "purchases":
            rows = [purchase_row(project_id, project_url, id, *row) for row in enumerate(customer.purchases)]
            return page_of(f"{url}/purchases", query, _of_environment(rows, environment(query)))
        case "attributes":
            return page_of(f"{url}/attributes", query, attribute_rows(customer))
        case "active_entitlements":
            return page_of(f"{url}/active_entitlements", query, active_entitlement_rows(customer))
    body = customer_row(project_id, id, customer) | {"experiment": None}
    body["active_entitlements"] = page_of(f"{url}/active_entitlements", {}, active_entitlement_rows(customer))
    if expands_attributes(query):
        body["attributes"] = page_of(f"{url}/attributes", {}, attribute_rows(customer))
    return body


def _of_environment(rows: list[dict[str, Any]], asked: str | None) -> list[dict[str, Any]]:
    return [row for row in rows if asked in (None, row["environment"])]

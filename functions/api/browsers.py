"""Browsers and the session's cookie: where a request comes from, and whether the dashboard's own page sent it.

Cookies know no ports, and browsers add them to requests of any page of the same site. So a request with the cookie also
needs a header that pages of other origins cannot send, because the API answers no CORS preflight, and an Origin.
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aws_lambda_powertools.shared.cookies import Cookie, SameSite

from nightshift.base.errors import Forbidden
from nightshift.base.validation import shown
from nightshift.tenants.sessions import LONGEST_S, Client

COOKIE = "__Host-nightshift"
OWN_HEADER = "x-nightshift"
# Only names from these lists reach a mail: the header could hold any text. The first match counts: Edge and Opera also
# name Chrome, and Chrome names Safari.
BROWSERS = (
    ("nightshift", "The command line"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def session_cookie(event: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """Return the session's token in the cookie. API Gateway moves cookies out of the headers, local AWS does not."""
    pairs: list[str] = [
        pair for text in (*(event.get("cookies") or ()), headers.get("cookie", "")) for pair in text.split(";")
    ]
    for pair in pairs:
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def own_origin(event: Mapping[str, Any], *, dashboard_url: str) -> str:
    """Return the origin of the dashboard: DashboardUrl's, or else that of the name under which API Gateway was called.

    API Gateway answers only for names that this account has mapped to it.
    """
    if dashboard_url:
        parts = urlsplit(dashboard_url)
        # Browsers leave the port out that belongs to the scheme.
        return f"{parts.scheme}://{parts.netloc}".lower().removesuffix(":443")
    return f"https://{event['requestContext'].get('domainName', '')}".lower()


def require_own_page(method: str, headers: Mapping[str, str], *, origin: str) -> None:
    """Raise Forbidden unless the dashboard's page sent the request.

    Browsers send no Origin with a GET to the page's own origin, but Sec-Fetch-Site.
    """
    if headers.get(OWN_HEADER) != "1":
        raise Forbidden("A request with a session's cookie needs the header X-Nightshift: 1")
    given, site = headers.get("origin"), headers.get("sec-fetch-site")
    if given is None and method in ("GET", "HEAD") and site == "same-origin":
        return
    if given is None or given.lower() != origin:
        got = "no Origin" if given is None else f"Origin {shown(given)}"
        raise Forbidden(
            f"A request with a session's cookie must come from the dashboard at {origin}, got {got}. Open the dashboard"
            " there. If it has another address, the server's operator sets DashboardUrl"
        )


def is_of_a_browser(headers: Mapping[str, str]) -> bool:
    """Whether a page sent the request: every browser says where a POST comes from, and other programs do not."""
    return "origin" in headers or "sec-fetch-site" in headers


def client_of(event: Mapping[str, Any], headers: Mapping[str, str]) -> Client:
    return Client(
        browser=_browser(headers.get("user-agent", "")),
        source=_network(event["requestContext"]["http"].get("sourceIp", "")),
        is_browser=is_of_a_browser(headers),
    )


def cookie_of(token: str) -> Cookie:
    """Return the session's cookie; for an empty token, one that deletes it."""
    return Cookie(
        COOKIE,
        token,
        path="/",
        secure=True,
        http_only=True,
        same_site=SameSite.STRICT_MODE,
        max_age=LONGEST_S if token else 0,
    )


def _browser(user_agent: str) -> str:
    program = next((name for mark, name in BROWSERS if mark in user_agent), None)
    system = next((name for mark, name in SYSTEMS if mark in user_agent), None)
    if program is None:
        return "An unknown program"
    return f"{program} on {system}" if system else program


def _network(address: str) -> str:
    """Return the IPv4 address, or the /64 of an IPv6 address: one person can use all addresses of such a network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped or parsed.version == 4:
        return str(mapped or parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))

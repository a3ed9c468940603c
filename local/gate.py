"""Decide which requests the local servers accept: those of programs on this machine and of the stack's own pages.

Any web page can make a browser call 127.0.0.1. Three headers identify such requests, and pages cannot forge them: Host
(it differs when a foreign name resolves to 127.0.0.1), Origin and Sec-Fetch-Site.
"""

from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler

# Containers reach this machine by the last name. No other site can own any of these names.
NAMES = ("127.0.0.1", "localhost", "host.docker.internal")

# The id of the stack's HTTP API, and its path. It needs no signature, because the API checks tokens itself.
API = "nightshift"
API_PATH = f"/_aws/execute-api/{API}/"


def refusal(method: str, headers: Iterable[tuple[str, str]], *, is_page: bool) -> str | None:
    """Return the error that refuses the request, or None to accept it.

    ``is_page`` allows links from other sites and from mails. Such a request carries no token and changes nothing.
    """
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value.strip().lower())
    hosts, origins, sites = (found.get(name, []) for name in ("host", "origin", "sec-fetch-site"))
    if len(hosts) != 1 or hosts[0].partition(":")[0] not in NAMES:
        return f"Invalid Host header: {', '.join(hosts) or 'none'}. This server accepts {', '.join(NAMES)}."
    if any(origin != f"http://{hosts[0]}" for origin in origins):
        return f"Pages from {', '.join(origins)} may not call this server."
    if all(site in ("same-origin", "none") for site in sites):
        return None
    is_visit = found.get("sec-fetch-mode") == ["navigate"] and found.get("sec-fetch-dest") == ["document"]
    if is_page and is_visit and method in ("GET", "HEAD"):
        return None
    return "Pages from other sites may not call this server."


class GatedHandler(BaseHTTPRequestHandler):
    """A handler that refuses foreign requests with 403 before it dispatches on the method."""

    is_page = False

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        sentence = refusal(self.command, self.headers.items(), is_page=self.is_page)
        if sentence is None:
            return True
        content = f"{sentence}\n".encode()
        self.close_connection = True  # its body is not read
        self.send_response(403)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()
        return False

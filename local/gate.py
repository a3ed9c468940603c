"""Which requests the servers of the local stack take: those of programs on this machine and of the stack's own pages.

Any page in the world can make its reader's browser call 127.0.0.1. Three headers tell such a request from others, and
no page can forge them: Host (a name that its owner lets lead to 127.0.0.1 is not ours), Origin and Sec-Fetch-Site.
"""

from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler

# The last is how a container calls this machine. No other site can own any of them.
NAMES = ("127.0.0.1", "localhost", "host.docker.internal")

# The id of the stack's HTTP API, and the path below which anyone on this machine reaches it: it checks tokens itself.
API = "nightshift"
API_PATH = f"/_aws/execute-api/{API}/"


def refusal(method: str, headers: Iterable[tuple[str, str]], *, is_page: bool) -> str | None:
    """The sentence that refuses the request; None lets it in.

    ``is_page``: a link on another site, or in a mail, may lead here. Such a request carries no token and changes
    nothing.
    """
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value.strip().lower())
    hosts, origins, sites = (found.get(name, []) for name in ("host", "origin", "sec-fetch-site"))
    if len(hosts) != 1 or hosts[0].partition(":")[0] not in NAMES:
        return f"This server answers to {', '.join(NAMES)}, and the request names {', '.join(hosts) or 'no host'}."
    if any(origin != f"http://{hosts[0]}" for origin in origins):
        return f"Pages of {', '.join(origins)} may not call this server."
    if all(site in ("same-origin", "none") for site in sites):
        return None
    is_visit = found.get("sec-fetch-mode") == ["navigate"] and found.get("sec-fetch-dest") == ["document"]
    if is_page and is_visit and method in ("GET", "HEAD"):
        return None
    return "Pages of other sites may not call this server."


class GatedHandler(BaseHTTPRequestHandler):
    """Refuses with 403 before any method is looked at."""

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

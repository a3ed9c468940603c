"""Serve pages: the mails that SES accepted, the log lines of a run, and what alerts sent to this machine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hmac import compare_digest
from html import escape
from http.server import ThreadingHTTPServer
from typing import Any

import urllib3

from local.alert_sink import AlertSink
from local.gate import GatedHandler

HEADERS = {
    # No mail can run scripts or load resources.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # The URL holds the key.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

LIST = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Mailbox</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 40px auto; padding: 0 16px }}
li {{ list-style: none; padding: 10px 0; border-top: 1px solid #8884 }}
ul {{ padding: 0 }} a {{ color: inherit; font-weight: 600 }} small {{ display: block; opacity: .7 }}
</style>
<h1>Mailbox</h1>
<ul>{rows}</ul>
</html>"""

ROW = """<li><a href="{here}/{id}">{subject}</a>
<small>to {to} · {at:%H:%M:%S} · <a href="{here}/{id}.txt">as text</a></small></li>"""

EMPTY = "<li>No mail yet. A run that was triggered with <code>notify</code> sends one when it ends.</li>"


# The longest body of an alert that is kept.
MOST_BYTES = 1_000_000

# Only a server that hangs takes so long, however busy the machine is.
PATIENCE_S = 60

LogsOf = Callable[[str], dict[str, Any]]


@contextmanager
def serve(source_url: str, *, port: int, key: str, logs_of: LogsOf) -> Iterator[str]:
    """Serve the mails of ``source_url`` (ministack's ``/_ministack/ses/messages``) on 127.0.0.1 and yield the URL.

    Every page is below ``/<key>``, to hide mails and logs from the machine's other users. ``logs/<run id>`` shows the
    result of ``logs_of``, which calls the operator's command ``logs``; ``alerts`` takes and shows alerts.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    server.source_url, server.key, server.logs_of = source_url, key, logs_of
    server.alerts = AlertSink()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="mailbox")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{key}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    source_url: str
    key: str
    logs_of: LogsOf
    alerts: AlertSink


class _Handler(GatedHandler):
    is_page = True
    server: _Server

    def do_GET(self) -> None:
        if (path := self._path_below_key()) is None:
            return
        try:
            if path == "alerts":
                url = f"http://127.0.0.1:{self.server.server_port}/{self.server.key}/alerts"
                self._answer(200, "text/html", self.server.alerts.page(url))
            elif path == "alerts.json":
                self._answer(200, "application/json", self.server.alerts.as_json())
            elif path.startswith("logs/"):
                self._answer(200, "text/plain", _lines(self.server.logs_of(path.removeprefix("logs/"))))
            else:
                self._answer(*_page(path, mails=_mails(self.server.source_url), here=f"/{self.server.key}"))
        except urllib3.exceptions.HTTPError as exc:
            self._answer(502, "text/plain", f"Local AWS does not answer: {exc}")

    def do_POST(self) -> None:
        if (path := self._path_below_key()) is None:
            return
        if path != "alerts" and not path.startswith("alerts/"):
            self._answer(404, "text/plain", "Only alerts are sent here, to the page /alerts.")
            return
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        status = self.server.alerts.take(path, self.path.partition("?")[2], dict(self.headers), body)
        self._answer(status, "text/plain", "ok" if status < 300 else "refused")

    def _path_below_key(self) -> str | None:
        """Return the path behind the key; answer with 404, and return None, if the key is wrong."""
        key, _, path = self.path.partition("?")[0].strip("/").partition("/")
        if compare_digest(key.encode(), self.server.key.encode()):
            return path
        self._answer(404, "text/plain", "The mailbox's URL is mailbox_page_url in .local/stack.json.")
        return None

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def _lines(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"{answer['error']}\n"
    lines = [
        f"{line['at']} {line['level'] or '':7} {line['message']}"
        + "".join(f"\n    {name}: {value}" for name, value in line["fields"].items())
        for line in answer["lines"]
    ]
    return "\n".join(lines or ["No lines yet."]) + "\n"


def _mails(source_url: str) -> list[dict[str, Any]]:
    """Return the mails, newest first."""
    with urllib3.PoolManager(timeout=PATIENCE_S) as pool:  # local AWS may have closed a connection that was kept
        accounts = pool.request("GET", source_url, retries=False).json()["messages"]
    return sorted((mail for mails in accounts.values() for mail in mails), key=lambda mail: -mail["Timestamp"])


def _page(path: str, *, mails: list[dict[str, Any]], here: str) -> tuple[int, str, str]:
    """Return status, content type and text of ``<message id>`` or ``<message id>.txt``; of the list for no path."""
    if not path:
        rows = [_row(mail, here=here) for mail in mails]
        return 200, "text/html", LIST.format(rows="\n".join(rows) or EMPTY)
    wanted = path.removesuffix(".txt")
    for mail in mails:
        if _id(mail) == wanted:
            return (200, "text/plain", mail["BodyText"]) if wanted != path else (200, "text/html", mail["BodyHtml"])
    return 404, "text/plain", f"Unknown mail {path}. Local AWS deletes its mails when it stops."


def _row(mail: dict[str, Any], *, here: str) -> str:
    at, to = datetime.fromtimestamp(mail["Timestamp"]), escape(", ".join(mail["To"]))
    return ROW.format(here=here, id=_id(mail), subject=escape(mail["Subject"]), to=to, at=at)


def _id(mail: dict[str, Any]) -> str:
    message_id: str = mail["MessageId"].partition("@")[0]
    return message_id

"""Keep what alerts send to this machine, and show it as a page beside the mailbox."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from urllib.parse import parse_qs

MOST = 200
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Alerts</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 860px; margin: 40px auto; padding: 0 16px }}
pre {{ overflow: auto; font-size: 13px; padding: 10px; border: 1px solid #8884 }}
</style>
<h1>Alerts</h1>
<p>An alert with the address <code>{url}</code> sends here. With <code>?status=503</code> behind it, this
page answers with that status.</p>
{rows}
</html>"""


@dataclass(frozen=True)
class Received:
    at: str
    path: str
    headers: dict[str, str]
    body: str
    status: int


class AlertSink:
    """The last messages, the newest first."""

    def __init__(self) -> None:
        self.received: deque[Received] = deque(maxlen=MOST)

    def take(self, path: str, query: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep a message, and return the status to answer with: that in the query, or 200."""
        wanted = parse_qs(query).get("status", ["200"])[0]
        status = int(wanted) if wanted.isdecimal() and 200 <= int(wanted) < 600 else 200
        kept = {name.lower(): value for name, value in headers.items()}
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        self.received.appendleft(Received(at, path, kept, body.decode("utf-8", "replace"), status))
        return status

    def as_json(self) -> str:
        return json.dumps([asdict(each) for each in self.received])

    def page(self, url: str) -> str:
        rows = [
            f"<h2>{escape(each.at)} · answered with {each.status}</h2><pre>{escape(_readable(each))}</pre>"
            for each in self.received
        ]
        return PAGE.format(url=escape(url), rows="\n".join(rows) or "<p>Nothing has come yet.</p>")


def _readable(message: Received) -> str:
    signed = [f"{name}: {value}" for name, value in message.headers.items() if name.startswith("webhook-")]
    try:
        body = json.dumps(json.loads(message.body), indent=2, ensure_ascii=False)
    except ValueError:
        body = message.body
    return "\n".join([*signed, body])

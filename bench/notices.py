"""Claim: events in tens go out at least three times as fast as one by one, with a tenth of the statements and requests.

    make bench BENCH=notices

The same outbox is sent twice, by the announce function with one message in each call, and with ten, as AnnounceQueue
delivers them. Postgres and EventBridge are on this machine; this EventBridge answers without a delay. The real
one needs some 20 ms for an answer, which makes the difference larger. The output shows for each side events a second,
and statements and requests for each event.
"""

import importlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.parts import create_database, settings_of
from local.ports import free_port
from local.postgres import Postgres
from nightshift.base import settings as settings_module
from nightshift.database import queries
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.notify.events import MOST_ENTRIES

EVENTS = 500
FASTER = 3
CONTEXT = SimpleNamespace(
    function_name="announce",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 30_000,
)
# Each run has ended, and its event is due.
OWED = f"""
INSERT INTO job_runs (id, job_type, triggered_by, status, result, started_at, completed_at)
SELECT gen_random_uuid(), 'type ' || n, 'schedule', 'completed', '{{"synced": 193, "skipped": 7}}',
       clock_timestamp(), clock_timestamp() FROM generate_series(1, {EVENTS}) n;
INSERT INTO job_outbox (run_id, kind) SELECT id, 'event' FROM job_runs;
ANALYZE
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder, _event_bridge() as (url, requests):
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start()
        os.environ |= {
            **{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"},
            **{"AWS_ENDPOINT_URL": url, "EVENT_BUS_NAME": "default"},
        }
        try:
            one_by_one, in_tens = (_send(server, requests, batch=batch) for batch in (1, MOST_ENTRIES))
        finally:
            server.stop("immediate")
    print(f"in tens, {in_tens / one_by_one:.1f} times as many events a second (wanted: {FASTER})")
    assert in_tens >= FASTER * one_by_one


def _send(server: Postgres, requests: list[int], *, batch: int) -> float:
    """Send all events and return how many went out in a second."""
    name = f"batches_of_{batch}"
    create_database(server, name)
    owner = Database(settings_of(server, name, "postgres"))
    migrate(owner)
    owner.run_script(OWED)
    outbox_ids = [str(id_) for (id_,) in owner.run_script("SELECT id FROM job_outbox")]
    os.environ |= {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(server.port), "DATABASE_NAME": name}
    os.environ["DATABASE_USER"] = "nightshift_notify"
    settings_module.settings.cache_clear()
    queries.database.cache_clear()
    handler = importlib.import_module("announce.app").handler
    requests.clear()
    handler({"Records": []}, CONTEXT)
    began = time.perf_counter()
    for start in range(0, EVENTS, batch):
        handler(_messages(outbox_ids[start : start + batch]), CONTEXT)
    took_s = time.perf_counter() - began
    statements = queries.database().statements
    assert owner.run_script("SELECT status, count(*) FROM job_outbox GROUP BY status") == [["sent", EVENTS]]
    assert sum(requests) == EVENTS
    owner.close()
    queries.database().close()
    print(
        f"batches of {batch:>2}: {EVENTS / took_s:,.0f} events a second, {statements / EVENTS:.2f} statements and "
        f"{len(requests) / EVENTS:.2f} requests for each"
    )
    return EVENTS / took_s


def _messages(outbox_ids: list[str]) -> dict[str, Any]:
    return {"Records": [{"messageId": each, "body": json.dumps({"outbox_id": each})} for each in outbox_ids]}


@contextmanager
def _event_bridge() -> Iterator[tuple[str, list[int]]]:
    """Serve an EventBridge that takes every event. Yield its URL, and a list that holds the size of each request."""
    taken: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            entries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Entries"]
            taken.append(len(entries))
            answers = [{"EventId": f"event-{number}"} for number in range(len(entries))]
            body = json.dumps({"Entries": answers}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()

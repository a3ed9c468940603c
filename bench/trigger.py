"""Claim: a trigger needs two statements. When prepared once per connection, each is one round trip instead of three.

    make bench BENCH=trigger

Both sides do the same work in this process, through the API's handler: authenticate, validate, insert, send (without
the actual send). One side prepares its statements once per connection, as the functions do; the other side sends each
statement unprepared. The output shows p50 of both and their ratio. Every run is cancelled at once, so that the next
trigger is accepted.
"""

import importlib.util
import json
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.parts import settings_of, trigger_event
from local.ports import free_port
from local.postgres import Postgres
from nightshift.aws import queue
from nightshift.database import queries
from nightshift.database.migrations import migrate
from nightshift.tenants import auth

TRIGGERS = 500


class Unprepared(queries.Database):
    """A database that uses the driver's ``run``, which waits for parse, describe and bind at every call."""

    def _run_prepared(self, name: str, statement: queries.Statement, values: list[Any]) -> list[queries.Row]:
        connection = self._connected()
        named = dict(zip(statement.names, values, strict=True))
        rows = connection.run(queries.query_text(name), **named) or []
        names = [column["name"] for column in connection.columns or []]
        return [dict(zip(names, row, strict=True)) for row in rows]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            _compare(server)
        finally:
            server.stop("immediate")


def _compare(server: Postgres) -> None:
    settings = settings_of(server, "postgres", "postgres")
    owner = queries.Database(settings)
    migrate(owner)
    key, team, project = f"owl_agent_{uuid.uuid4().hex}", str(uuid.uuid4()), str(uuid.uuid4())
    owner.run_script(
        f"INSERT INTO teams (id, name, slug) VALUES ('{team}', 'T', 't');"
        f"INSERT INTO projects (id, team_id, name, slug) VALUES ('{project}', '{team}', 'P', 'p');"
        "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
        f" VALUES ('{project}', 'revenuecat', 'x');"
        "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix, permissions)"
        f" VALUES ('{team}', 'agent', '\\x{auth.key_hash(key).hex()}', '', '{{jobs:read,jobs:write}}')"
    )
    os.environ |= {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(server.port), "DATABASE_NAME": "postgres"}
    os.environ |= {"DATABASE_USER": "nightshift_api", "INTEGRATIONS_KEY_ID": "none", "SIGN_IN_SECRET_ID": "none"}
    os.environ |= {name: "http://127.0.0.1/none" for name in ("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL")}
    queue.send = lambda message: None
    api: Any = importlib.import_module("api.app")
    p50 = {}
    for kind in (Unprepared, queries.Database):
        queries.Database = kind
        queries.database.cache_clear()
        p50[kind.__name__] = statistics.median(_trigger(api, owner, key=key, team=team, project=project))
        queries.database().close()
        print(f"{kind.__name__:>10}: p50 {p50[kind.__name__] * 1000:.2f} ms")
    owner.close()
    print(f"ratio {p50['Database'] / p50['Unprepared']:.2f}")


def _trigger(api: Any, owner: queries.Database, *, key: str, team: str, project: str) -> list[float]:
    event = trigger_event(team, key=key, job_type="revenuecat_sync", project_id=project)
    context = SimpleNamespace(
        function_name="api", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="request"
    )
    taken = []
    for _ in range(TRIGGERS):
        began = time.perf_counter()
        answer = api.handler(event, context)
        taken.append(time.perf_counter() - began)
        assert answer["statusCode"] == 201, answer
        run_id = json.loads(answer["body"])["job_run"]["id"]
        owner.query("cancel_run", run_id=run_id, requested_by="bench")
        # The number of a team's runs within a minute is limited.
        owner.run_script(f"UPDATE job_runs SET created_at = created_at - interval '1 hour' WHERE id = '{run_id}'")
    return taken


if __name__ == "__main__":
    main()

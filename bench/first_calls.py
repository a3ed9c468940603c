"""Call each function once in a separate process, with a database and a fake AWS."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from local import roles
from nightshift.database.queries import Database
from nightshift.schedules import slots
from nightshift.schedules.entries import with_usual_schedules
from nightshift.tenants import auth

SCHEDULES = with_usual_schedules("")
JWT_SECRET = "a secret of a length that HS256 is happy with"
EMPTY = """
    TRUNCATE job_runs, job_slices, job_outbox, job_schedules, job_schedule_slots CASCADE;
    TRUNCATE teams, users, projects, api_keys, team_members CASCADE
"""

# Reads the event from stdin. The function logs to stdout as well; the answer is the last line.
CALL = """
import importlib, json, sys, time
began, event, function, before = json.loads(sys.stdin.read())
if before:
    import eager
    eager.load(before)
app = importlib.import_module(f"{function}.app")
class context:
    function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = "function", 512, "arn", "request"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)
answer = app.handler(event, context)
took = {"ms": (time.monotonic() - began) * 1000, "cpu_ms": time.process_time() * 1000}
print(json.dumps(took | {"answer": answer, "modules": sorted(sys.modules)}))
"""


class Answer(NamedTuple):
    ms: float
    """The time from before the interpreter's start to the end of the call."""
    cpu_ms: float
    answer: Any
    modules: list[str]


def call(
    event: dict[str, Any],
    *,
    function: str,
    path: Sequence[Path],
    environment: Mapping[str, str],
    command: Sequence[str] = (sys.executable,),
    eager: str | None = None,
) -> Answer:
    """Call the handler of functions/<function>. Raise RuntimeError with its traceback if it fails."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, path)), **environment}
    done = subprocess.run(
        [*command, "-c", CALL],
        input=json.dumps([time.monotonic(), event, function, eager]),
        env=variables,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return Answer(**json.loads(done.stdout.splitlines()[-1]))


class Events:
    """Events of each kind, with the rows that they need. All other runs and mails are deleted first."""

    def __init__(self, owner: Database):
        self._owner = owner

    def of(self, name: str) -> dict[str, Any]:
        """Return an event for a function, or for one path of a function, such as ``api_trigger``."""
        self._owner.run_script(EMPTY)
        event: dict[str, Any] = getattr(self, f"_{name}")()
        return event

    def _api_trigger(self) -> dict[str, Any]:
        team, project, key = self._team()
        self._owner.run_script(
            "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
            f" VALUES ('{project}', 'revenuecat', 'x')"
        )
        body = json.dumps({"job_type": "revenuecat_sync", "project_id": project})
        return _request("POST", f"/v1/teams/{team}/jobs/trigger", token=key, body=body)

    def _api_list(self) -> dict[str, Any]:
        team, _, key = self._team()
        return _request("GET", f"/v1/teams/{team}/jobs", token=key)

    def _api_health(self) -> dict[str, Any]:
        return _request("GET", "/v1/health")

    def _api_user(self) -> dict[str, Any]:
        import jwt

        team, _, _ = self._team()
        user = str(uuid.uuid4())
        self._owner.run_script(
            f"INSERT INTO users (id, email) VALUES ('{user}', 'ada@example.com');"
            f"INSERT INTO team_members (team_id, user_id, role) VALUES ('{team}', '{user}', 'admin')"
        )
        token = jwt.encode({"sub": user, "exp": int(time.time()) + 600}, JWT_SECRET, algorithm="HS256")
        return _request("GET", "/v1/auth/whoami", token=token)

    def _dashboard(self) -> dict[str, Any]:
        return {"routeKey": "GET /", "rawPath": "/", "headers": {"accept-encoding": "gzip"}}

    def _worker(self) -> dict[str, Any]:
        return _records({"run_id": self._system_run(), "slice": 0})

    def _worker_dropped(self) -> dict[str, Any]:
        return _records({"run_id": str(uuid.uuid4()), "slice": 0})

    def _notify(self) -> dict[str, Any]:
        [row] = self._owner.query("insert_alert", content={"subject": "Missed", "lines": ["It did not fire."]})
        return _records({"outbox_id": str(row["id"])})

    def _announce(self) -> dict[str, Any]:
        run_id = self._system_run()
        self._owner.run_script(
            "UPDATE job_runs SET status = 'cancelled', resend_at = NULL, completed_at = clock_timestamp()"
            f" WHERE id = '{run_id}'; INSERT INTO job_outbox (run_id, kind) VALUES ('{run_id}', 'event')"
        )
        [[outbox_id]] = self._owner.run_script("SELECT id FROM job_outbox WHERE kind = 'event'")
        return _records({"outbox_id": str(outbox_id)})

    def _deliver(self) -> dict[str, Any]:
        """A webhook whose host is refused after its secret was decrypted, so that no name is looked up."""
        [[alert_id]] = self._owner.run_script(
            "INSERT INTO job_alerts (team_id, name, events, channel, config, secret_encrypted, minutes_between,"
            " created_by) VALUES (gen_random_uuid(), 'A', '{failed}', 'webhook',"
            " '{\"url\": \"https://hooks.invalid/\"}', 'x', 0, 'manual:user:x') RETURNING id"
        )
        self._owner.run_script(
            "INSERT INTO job_alert_deliveries (alert_id, team_id, kind, about, data, status, send_at, expires_at)"
            f" SELECT id, team_id, 'test', 'x', '{{}}', 'unsent', now(), now() FROM job_alerts WHERE id = '{alert_id}'"
        )
        return _records({"alert_id": str(alert_id)})

    def _schedule(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        every_minute = {"partition_creation": "cron(* * * * ? *)"}
        slots.register(every_minute, now=now - timedelta(hours=1), db=self._owner)
        return {"job_type": "partition_creation", "time": now.isoformat()}

    def _sweep(self) -> dict[str, Any]:
        slots.register(SCHEDULES, now=datetime.now(UTC), db=self._owner)
        return {}

    def _operate(self) -> dict[str, Any]:
        slots.register(SCHEDULES, now=datetime.now(UTC), db=self._owner)
        return {"command": "health"}

    def _setup(self) -> dict[str, Any]:
        number = uuid.uuid4().hex
        return {"command": "setup", "team": number, "admin_email": f"{number}@example.com", "project": "P"}

    def _migrate(self) -> dict[str, Any]:
        slots.register(SCHEDULES, now=datetime.now(UTC), db=self._owner)
        return {}

    def _system_run(self) -> str:
        run_id = str(uuid.uuid4())
        self._owner.query(
            "insert_system_run",
            id=run_id,
            job_type="partition_creation",
            triggered_by="schedule",
            params={},
            resend_delay_s=120,
        )
        return run_id

    def _team(self) -> tuple[str, str, str]:
        team, project, key = str(uuid.uuid4()), str(uuid.uuid4()), f"owl_agent_{uuid.uuid4().hex}"
        self._owner.run_script(
            f"INSERT INTO teams (id, name, slug) VALUES ('{team}', 'T', 't');"
            f"INSERT INTO projects (id, team_id, name, slug) VALUES ('{project}', '{team}', 'P', 'p');"
            "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix, permissions)"
            f" VALUES ('{team}', 'agent', '\\x{auth.key_hash(key).hex()}', '', '{{jobs:read,jobs:write}}')"
        )
        return team, project, key


def environment(function: str, *, port: int, database: str, aws_url: str) -> dict[str, str]:
    """Return a function's environment variables, for a Postgres on this machine and the fake AWS of ``serve_aws``."""
    queues = ("QUEUE", "NOTIFY_QUEUE", "ANNOUNCE_QUEUE", "DELIVER_QUEUE")
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_ENDPOINT_URL": aws_url,
        "POWERTOOLS_SERVICE_NAME": "nightshift",
        "POWERTOOLS_METRICS_NAMESPACE": "nightshift",
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(port),
        "DATABASE_NAME": database,
        "DATABASE_USER": roles.OF_FUNCTION.get(function, roles.OPERATOR),
        "MAIL_FROM": "nightshift@example.com",
        "MAIL_CONFIGURATION_SET": "mails",
        "SYSTEM_JOBS_ALERT_EMAIL": "owner@example.com",
        "EVENT_BUS_NAME": "default",
        "JWT_SECRET_ID": "jwt",
        "INTEGRATIONS_KEY_ID": "key",
        "SIGN_IN_SECRET_ID": "codes",
        "MIGRATION_FOLDERS": "platform,jobs",
        "DEAD_LETTERS": "run,notify,announce,schedule,deliver",
    } | {f"{name}_URL": f"{aws_url}/000000000000/{name.lower()}" for name in queues}


@contextmanager
def serve_aws() -> Iterator[tuple[str, list[str]]]:
    """Serve a fake AWS where every call succeeds. Yield its URL and the list of calls, as target or path."""
    content = {
        "MessageId": "message",
        "Entries": [{"EventId": "event"}],
        "Successful": [],
        "Failed": [],
        "Attributes": {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"},
        "SecretString": JWT_SECRET,
        "Plaintext": "d2hzZWNf",
    }
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.headers.get("X-Amz-Target", self.path))
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _request(method: str, path: str, *, token: str = "", body: str | None = None) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(Path("events/api.json").read_text())
    event["requestContext"]["http"] |= {"method": method, "path": path}
    headers = event["headers"] | ({"authorization": f"Bearer {token}"} if token else {})
    return event | {"rawPath": path, "headers": headers, "body": body}


def _records(message: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"messageId": "message", "body": json.dumps(message)}]}

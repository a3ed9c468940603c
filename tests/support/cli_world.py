"""A small HTTP server that plays the API's part from a script, and the command line that calls it."""

import gzip
import json
import os
import pty
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.responses import takes_gzip
from nightshift_cli.main import main
from nightshift_cli.session import Session
from tests.support import http_server

VARIABLES = tuple(f"NIGHTSHIFT_{name}" for name in ("API_URL", "TOKEN", "TEAM", "PROFILE", "STACK"))
ROOT = Path(__file__).parents[2]
TOKEN = "owl_agent_not_to_be_printed"
RUN, TEAM, PROJECT = (f"0198c0de-0000-7000-8000-{n:012d}" for n in (1, 2, 3))
ACME = {"id": PROJECT, "team_id": TEAM, "name": "Acme", "slug": "acme", "color": "#123456", "created_at": None}
ADA = {"id": "0198c0de-0000-7000-8000-000000000009", "email": "ada@acme.example", "role": "owner"}
WHOAMI = {
    "type": "api_key",
    "key_type": "agent",
    "team": {"id": TEAM, "name": "Team", "slug": "team"},
    "permissions": ["jobs:read", "jobs:write"],
}


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the developer's own settings, which would decide the API's URL and the output's look."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def run(status: str = "running", **fields: Any) -> dict[str, Any]:
    return {
        "id": RUN,
        "job_type": "revenuecat_sync",
        "status": status,
        "team_id": TEAM,
        "project_id": PROJECT,
        "triggered_by": f"manual:user:{ADA['id']}",
        "params": {"project_id": PROJECT},
        "progress": None,
        "result": None,
        "error": None,
        "notify": False,
        "started_at": None,
        "completed_at": None,
        "created_at": "2026-01-02T03:04:05.678Z",
    } | fields


def at(processed: int, message: str = "", **fields: Any) -> dict[str, Any]:
    return run(progress={"processed": processed, "total": 200, "message": message}, **fields)


class Script:
    """Answers for each ``METHOD /path``, in order; the last one repeats. ``requests`` holds the received requests.

    ``bodies`` holds the bodies of the requests as bytes.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, bytes, str]]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self.date = ""
        """The server's date, if it differs from this machine's."""
        self.retry_after = ""
        """The value of a 429's Retry-After header, if it has one."""
        self.on("GET /v1/auth/whoami", WHOAMI)
        self.on("GET /v1/projects", {"projects": [ACME]})
        self.on(f"GET /v1/teams/{TEAM}/members", {"members": [ADA], "api_keys": []})

    def on(self, where: str, *answers: Any, status: int = 200) -> None:
        """Script the answers: dicts are sent as JSON with ``status``; (status, body) pairs as given; text as HTML."""
        self.answers[where] = []
        for answer in answers:
            code, body = answer if isinstance(answer, tuple) else (status, answer)
            is_html = isinstance(body, str)
            data = body.encode() if is_html else json.dumps(body).encode()
            self.answers[where].append((code, data, "text/html" if is_html else "application/json"))

    def runs(self, *runs: dict[str, Any] | tuple[int, Any]) -> None:
        """Script the run that each poll returns."""
        self.on(f"GET /v1/jobs/{RUN}", *(r if isinstance(r, tuple) else {"job_run": r} for r in runs))

    def asked(self, where: str) -> list[tuple[str, str, dict[str, str], Any]]:
        return [request for request in self.requests if request[0] == where]


@pytest.fixture
def api(bare_environment: None) -> Iterator[Script]:
    script = Script()

    def answer(request: http_server.Request) -> http_server.Reply:
        path, _, query = request.path.partition("?")
        where, body = f"{request.method} {path}", request.body
        script.bodies.append(body)
        script.requests.append((where, query, dict(request.headers), json.loads(body) if body else None))
        answers = script.answers.get(where) or [(404, b'{"error": "Job run not found"}', "application/json")]
        status, data, kind = answers.pop(0) if len(answers) > 1 else answers[0]
        headers = {"Content-Type": kind}
        if takes_gzip(request.headers.get("Accept-Encoding", "")):  # as the API does for long answers
            data, headers["Content-Encoding"] = gzip.compress(data), "gzip"
        if status == 302:
            headers["Location"] = "/elsewhere"
        if status == 429 and script.retry_after:
            headers["Retry-After"] = script.retry_after
        if script.date:
            headers["Date"] = script.date
        return http_server.Reply(status, data, headers)

    with http_server.serve(answer) as script.url:
        yield script


Nightshift = Callable[..., Result]


@pytest.fixture
def nightshift(api: Script) -> Nightshift:
    """``nightshift("jobs", "list")``: run a command in this process, without real waits. No output shows the token."""

    def call(
        *arguments: str,
        sleep: Callable[[float], None] = lambda s: None,
        env: dict[str, str | None] | None = None,
        reads: str | None = None,
    ) -> Result:
        environment = {"NIGHTSHIFT_API_URL": api.url, "NIGHTSHIFT_TOKEN": TOKEN, "NIGHTSHIFT_TEAM": None}
        result = CliRunner().invoke(
            main, arguments, obj=Session(sleep=sleep), env=environment | (env or {}), input=reads
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert TOKEN not in result.output
        return result

    return call


@pytest.fixture
def on_terminal(api: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run a command on a terminal of ``columns`` columns. Return its exit code and the terminal's content."""
    ours, theirs = pty.openpty()
    for name, value in {"NIGHTSHIFT_API_URL": api.url, "NIGHTSHIFT_TOKEN": TOKEN, "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    terminal = os.fdopen(theirs, "w", encoding="utf-8")
    seen = bytearray()

    def read() -> None:
        # On Linux, reading from a closed terminal raises an error.
        try:
            while data := os.read(ours, 4096):
                seen.extend(data)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()

    def call(*arguments: str, columns: int = 80) -> tuple[int, str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "stdout", terminal)
        code = main.main(arguments, obj=Session(sleep=lambda s: None), standalone_mode=False)
        monkeypatch.undo()
        terminal.close()
        reader.join()
        return code or 0, seen.decode()

    yield call
    if not terminal.closed:
        terminal.close()
    reader.join()
    os.close(ours)


def plain(sent: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", "from nightshift_cli.main import main; main()", *arguments]


def environment(api: Script) -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "functions")))
    return os.environ | {"PYTHONPATH": paths, "NIGHTSHIFT_API_URL": api.url, "NIGHTSHIFT_TOKEN": TOKEN}

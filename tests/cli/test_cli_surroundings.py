"""Every command in unusual surroundings: no traceback, and a sentence for each failure."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from tests.support.cli_world import ACME, ADA, PROJECT, ROOT, RUN, TEAM, TOKEN, WHOAMI, Script, environment, run
from tests.support.operator_world import STACK, Aws, amazon  # noqa: F401
from tools.cli_reference import commands

SURROUNDINGS = (
    "",
    "a folder that is gone, no home",
    "a folder that may not be read, a home that may not be written",
    "a home that is a file",
    "a full disk",
    "a full output",
    "full outputs",
    "an output that is only read",
    "an output that nobody reads",
    "closed streams",
    "an ASCII terminal",
)
VALUES = {
    "run_id": RUN,
    "schedule_id": RUN,
    "action_id": RUN,
    "session_id": RUN,
    "alert_id": RUN,
    "delivery_id": RUN,
    "channel": "mail",
    "job_type": "partition_creation",
    "team": "acme",
    "name": "weekly_report",
    "email": "ada@example.com",
    "admin_email": "ada@example.com",
    "role": "admin",
    "project": "acme",
    "prefix": "owl_agent_abcd",
    "shell": "bash",
    "why": "日本",
    "by": "ada",
    "provider": "revenuecat",
    "key": RUN,
}
ANSWER = {
    "job_run": run("completed", error="Schlüssel 🔑"),
    "timeline": {"timeline": [], "state": "ended", "why": "It is completed", "slices_left_out": 0},
    "job_runs": [run(error="日本アプリ")],
    "paused": {"what": "type", "job_type": "x", "since": None, "by": "ada", "why": "日本"},
    **{
        name: []
        for name in (
            "mails",
            "lines",
            "checks",
            "queues",
            "redriven",
            "teams",
            "keys",
            "jobs",
            "errors",
            "schedules",
            "resumed",
            "stops",
            "entries",
            "sessions",
            "alerts",
            "deliveries",
            "bulk_actions",
            "items",
        )
    },
    "alert": {"id": PROJECT, "name": "Nächtlich", "channel": "mail", "admins": True, "addresses": []},
    "delivery": {"id": RUN, "alert_id": PROJECT, "status": "unsent"},
    "secret": "whsec_x",
    "bulk_action": {"id": RUN, "action": "rerun", "state": "ended", "reasons": [{"reason": "日本", "runs": 1}]},
    "integrations": [{"provider": "revenuecat", "config": {"project_id": "日本"}, "enabled": True}],
    "providers": [{"provider": "アプリ", "label": "アプリ"}],
    "deleted": True,
    "complete": True,
    "url": None,
    "cancelled": True,
    "schedule": {"id": PROJECT, "name": "Nächtlich", "said": "At 03:00 every day", "cron": "0 3 * * *", "zone": "UTC"},
    "slots": [],
    "ended": 1,
    "link": "https://日本.example/#sign-in=x",
    "user_id": RUN,
    "agent_key": "owl_agent_x",
    "pauses": [],
    "pause": {"job_type": "x", "until": None},
    "key": {"secret": "owl_agent_x", "name": "アプリ", "permissions": ["jobs:read"], "expires_at": None},
    "has_more": False,
    "cursor": None,
    "members": [ADA],
    "api_keys": [],
    "job_types": [],
    "apps": [],
    "projects": [ACME],
    "openapi": "3.1.0",
    "id": PROJECT,
    "status": "ok",
    **WHOAMI,
}


def calls() -> Iterator[list[str]]:
    """Return each command with its required arguments."""
    for path, command in commands():
        arguments = list(path[1:])
        for param in command.params:
            if isinstance(param, click.Argument) and (param.required or param.name == "run_id"):
                arguments.append(VALUES[str(param.name)])
            elif isinstance(param, click.Option) and (param.required or param.name == "by"):
                arguments += [param.opts[0], VALUES[str(param.name)]]
        if path[1:2] == ("system",) and len(path) > 2:
            arguments += ["--stack", STACK]
        yield [*arguments, *({"login": ["--token", TOKEN]}.get(path[-1], []))]


def serve(api: Script, aws: Aws, answer: dict[str, Any], *, status: int = 200) -> None:
    """Make every route, and every function of the stack, answer with the parts of ``answer``."""
    for where in (
        *(f"GET /v1/{path}" for path in ("job-types", "health", "openapi.json", "auth/whoami", "projects")),
        *(f"{method} /v1/auth/sessions" for method in ("GET", "DELETE")),
        f"DELETE /v1/auth/sessions/{RUN}",
        *(f"GET /v1/{path}" for path in (f"jobs/{RUN}", f"projects/{PROJECT}")),
        *(f"GET /v1/teams/{TEAM}/{path}" for path in ("jobs", "members", "audit", "schedules", "keys")),
        *(f"GET /v1/schedules/{path}" for path in (RUN, f"{RUN}/slots")),
        *(f"POST /v1/schedules/{RUN}/{path}" for path in ("pause", "resume")),
        *(f"{method} /v1/schedules/{RUN}" for method in ("PATCH", "DELETE")),
        f"POST /v1/teams/{TEAM}/schedules",
        *(f"GET /v1/teams/{TEAM}/bulk-actions{path}" for path in ("", f"/{RUN}", f"/{RUN}/items")),
        *(f"POST /v1/teams/{TEAM}/bulk-actions{path}" for path in ("", f"/{RUN}/confirm", f"/{RUN}/stop")),
        f"GET /v1/projects/{PROJECT}/pauses",
        *(f"{method} /v1/projects/{PROJECT}/pauses/partition_creation" for method in ("PUT", "DELETE")),
        *(f"POST /v1/teams/{TEAM}/keys{path}" for path in ("", f"/{RUN}/rotate")),
        f"DELETE /v1/teams/{TEAM}/keys/{RUN}",
        *(f"{method} /v1/teams/{TEAM}/alerts" for method in ("GET", "POST")),
        *(f"{method} /v1/alerts/{RUN}" for method in ("PATCH", "DELETE")),
        *(f"POST /v1/alerts/{RUN}/{path}" for path in ("test", "rotate")),
        *(f"GET /v1/alerts/{RUN}/deliveries", f"POST /v1/alert-deliveries/{RUN}/replay"),
        *(f"{method} /v1/projects/{PROJECT}/integrations" for method in ("GET", "POST")),
        *(f"{method} /v1/projects/{PROJECT}/integrations/revenuecat" for method in ("PATCH", "DELETE")),
        *(f"POST /v1/{path}" for path in (f"jobs/{RUN}/cancel", f"jobs/{RUN}/rerun", f"teams/{TEAM}/jobs/trigger")),
    ):
        api.on(where, answer, status=status)
    timeline = answer["timeline"] if status == 200 else answer
    api.on(f"GET /v1/jobs/{RUN}/timeline", timeline, status=status)
    aws.answers["invoke"] = (200, {}, json.dumps(answer).encode())


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    """Import the command line once. Each call forks this process."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.support.cli_forks"],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/functions"},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.communicate()


End = dict[str, Any]
Ended = Callable[[list[list[str]], str], list[End]]


@pytest.fixture
def ended(forks: subprocess.Popen[str], api: Script, amazon: Aws) -> Ended:  # noqa: F811
    """``ended(calls, surroundings)``: return each call's exit code and output, none of which is a traceback."""
    here = environment(api) | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": amazon.url,
    }

    def ended(every_call: list[list[str]], surroundings: str) -> list[End]:
        assert forks.stdin and forks.stdout and forks.stderr  # noqa: PT018
        asked = [{"arguments": call, "surroundings": surroundings, "environment": here} for call in every_call]
        print(json.dumps(asked), file=forks.stdin, flush=True)
        line = forks.stdout.readline()
        assert line, forks.stderr.read()
        answers: list[End] = json.loads(line)
        for call, each in zip(every_call, answers, strict=True):
            assert "Traceback" not in each["err"] + each["out"], (call, each)
            assert "Error: Internal error" not in each["err"], (call, each)
        return answers

    return ended


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_no_command_ends_in_a_traceback(ended: Ended, api: Script, amazon: Aws, surroundings: str) -> None:  # noqa: F811
    every_call = [*calls(), ["jobs", "list", "--format", "json"], ["system", "doctor"], ["nothing-of-this-name"]]
    serve(api, amazon, ANSWER)
    for call, each in zip(every_call, ended(every_call, surroundings), strict=True):
        told = (call, each)
        assert each["code"] in (0, 2, 4, 5, 6, 141), told
        # A command that failed must print the reason.
        assert each["code"] in (0, 141) or each["err"] or surroundings in ("full outputs", "closed streams"), told
        if surroundings == "an ASCII terminal":
            assert (each["out"] + each["err"]).isascii(), told
        if each["code"] == 6 and surroundings != "full outputs":
            assert each["err"].startswith("Error: The output cannot be written: "), told


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\u200b\ufeff\r\n\x00\U000e0041\u2028\x08"
# Values that decide a command's path stay unchanged.
KEPT = {"id", "status", "team_id", "project_id", "type", "openapi", "existing_run_id", "state"}


def hostile(value: Any, *, name: str = "") -> Any:
    """Replace every text and field name with control characters for terminals."""
    match value:
        case dict():
            return {key: hostile(of, name=key) for key, of in value.items()} | {f"new{EVIL}": EVIL}
        case list():
            return [hostile(of, name=name) for of in value]
        case str() if name not in KEPT:
            return f"{value}{EVIL}x"
    return value


EVERYTHING = ANSWER | {
    "jobs": [
        {"state": "failing", "job_type": "j", "project": "p", "last_completed": {"at": "a"}, "last_failed": None,
         "next": {"at": "2026-11-28T03:00:00.000Z"}, "completed": [1, 0], "failed": [0, 1], "success_rate": 0.5,
         "median_ms": 5, "trend": "slower", "waited_ms": 7},
    ],
    "errors": [{"runs": 3, "job_type": "j", "error": "e", "last_run_id": "r", "advice": "a"}],
    "jobs_left_out": 2, "counted_until": "c", "has_more_failures": True, "failures_looked_at": 1000,
    "job_run": run("completed", result={"a": "b", "rows": [{"c": "d"}], "warning": "w"}, params={"e": "f"}, error="e"),
    "job_types": [{"job_type": "x", "label": "X", "description": "d", "params": {"properties": {"p": {"type": "t"}}}}],
    "timeline": {
        "timeline": [{"slice": 0, "outcome": "lost", "started_at": "then", "reason": "because"}],
        "state": "running", "why": "why", "since": "s", "until": "u", "logs_url": "l", "slices_left_out": 0,
        "cancel_requested_by": "c", "rerun_of": "r",
    },
    "checks": [{"name": "n", "ok": False, "says": "s", "do": "d"}, {"name": "n", "ok": False, "says": "s", "do": None}],
    "lines": [{"at": "a", "level": "l", "message": "m", "fields": {"f": "g", "exception": "one"}}],
    "queues": [
        {"queue": "q", "waiting": 1, "redrive": "r", "messages": [
            {"about": "a", "id": "i", "status": "s", "body": "b", "error": "e"},
            {"about": "a", "id": None, "status": None, "body": "b", "error": None},
        ]},
    ],
    "redriven": [{"queue": "q", "moved": 1, "deleted": 0, "refused": 1, "more": False}],
    "teams": [{"id": TEAM, "slug": "s", "name": "n", "role": "r", "projects": ["p"], "people": [{"email": "e"}]}],
    "keys": [{"key_prefix": "k", "name": "n", "permissions": ["p"], "acts_for": "a", "created_at": "c",
              "made_by": "user:u", "maker_has_left": True, "expires_at": "e", "replaced_by": "r", "last_used_at": "l"}],
    "key": {"secret": "s", "name": "n", "permissions": ["p"], "expires_at": "e", "expired": True},
    "schedules": [
        {"job_type": "j", "cron": "c", "active_since": "a", "last_success_at": "l", "next": ["n"],
         "paused": [{"what": "type", "since": "s", "by": "b", "why": "w"}],
         "last": [{"slot": "s", "outcome": "o", "status": "s", "run_id": "r", "reason": "x"}]},
    ],
    "schedule": {"id": "i", "name": "n", "said": "s", "cron": "c", "zone": "z", "next": ["n"], "created_by": "b",
                 "paused": {"since": "s", "by": "b", "why": "w"}, "params": {"p": "q"}, "maker_has_left": True},
    "slots": [{"slot": "s", "outcome": "o", "reason": "r", "run_id": "i", "status": "s"}],
    "pauses": [
        {"what": of, "job_type": "j", "since": "s", "until": "u", "by": "b", "why": "w"} for of in ("type", "project")
    ],
    "pause": {"until": "u"},
    "resumed": [{"what": "type", "job_type": "j", "since": "s", "by": "b", "why": "w"}],
    "mails": [{"recipient": "r", "status": "s", "attempts": 1, "error": "e"}],
    "stops": [{"address": "a", "reason": "r", "detail": "d", "stopped_at": "s"}],
    "entries": [
        {"occurred_at": "o", "team": "t", "actor": "user:u", "action": "a.b", "details": {"d": "e", "f": ["g"]}},
        {"occurred_at": "o", "team": None, "actor": "operator", "action": "c", "subject_type": "s", "subject_id": "i"},
    ],
    "sessions": [
        {"id": "i", "browser": "b", "network": "n", "created_at": "c", "last_used_at": "l", "is_current": True}
    ],
    "link": "l",
    "test": {"ok": False, "says": "s"},
    "alerts": [
        {"id": "i", "name": "n", "channel": "mail", "events": ["e"], "admins": True, "paused": {"why": "w"},
         "addresses": [{"address": "a", "state": "waiting"}], "last": {"at": "a"}},
        {"id": "i", "name": "n", "channel": "webhook", "url": "u", "events": ["e"], "failing": {"since": "s"}},
    ],
    "alert": {"id": "i", "channel": "slack", "failing": {"since": "s"}},
    "notes": ["n"],
    "secret": "s",
    "delivery": {"id": "i", "alert_id": "a", "status": "s"},
    "deliveries": [{"id": "i", "created_at": "c", "kind": "k", "status": "s", "answer_status": 1, "error": "e"}],
    "url": "u",
    "team_id": "t",
    "id": PROJECT,
    "apps": [{"platform": "p", "id": "i", "bundle_id": "b", "name": "n"}],
}  # fmt: skip
REFUSAL = {"error": "no", "existing_run_id": f"{RUN}{EVIL}"}


# A refusal is printed in the same way for each form.
@pytest.mark.parametrize(("form", "refused"), [("text", False), ("json", False), ("text", True)])
def test_nothing_that_a_server_sends_acts_on_a_terminal(
    ended: Ended,
    api: Script,
    amazon: Aws,  # noqa: F811
    form: str,
    refused: bool,
) -> None:
    every_call = [*calls(), ["jobs", "view", RUN, "--follow"], ["jobs", "rerun", RUN, "--wait"], ["whoami"]]
    every_call += [
        ["system", "view", RUN, "--follow", "--stack", STACK],
        ["jobs", "trigger", "x", "--project", "nosuch"],
    ]
    if form == "json":
        with_format = {path[1:] for path, command in commands() if "format" in {param.name for param in command.params}}
        every_call = [[*call, "--format", "json"] for call in every_call if tuple(call[:2]) in with_format]
    serve(api, amazon, hostile(REFUSAL if refused else EVERYTHING), status=400 if refused else 200)
    if not refused:
        named = {"team": {"id": TEAM, "slug": f"s{EVIL}", "name": EVIL}, "key_type": EVIL, "permissions": [EVIL]}
        api.on("GET /v1/auth/whoami", {"type": "api_key"} | named)
        api.on("GET /v1/projects", {"projects": [{"id": PROJECT, "slug": f"p{EVIL}", "name": EVIL}]})
        api.on(f"GET /v1/teams/{TEAM}/members", hostile({"members": [ADA], "api_keys": [{"id": "k", "name": "n"}]}))
    answers = ended(every_call, "")
    acting = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200b\ufeff\U000e0041]")
    for call, each in zip(every_call, answers, strict=True):
        assert not acting.search(each["out"] + each["err"]), (call, each)
    assert sum("x" in each["out"] + each["err"] for each in answers) > len(answers) / 2

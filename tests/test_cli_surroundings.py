"""Every command, in surroundings that are not as usual: none ends in a traceback, and each end has its sentence."""

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cli.reference import commands
from tests.cli_world import PROJECT, ROOT, RUN, TEAM, TOKEN, Script, environment, run
from tests.owner_world import STACK, Aws, amazon  # noqa: F401

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
}
ANSWER = {
    "job_run": run("completed", error="Schlüssel 🔑"),
    "timeline": {"timeline": [], "state": "ended", "why": "It is completed", "slices_left_out": 0},
    "job_runs": [run(error="日本アプリ")],
    "paused": {"what": "type", "job_type": "x", "since": None, "by": "ada", "why": "日本"},
    **{
        name: [] for name in ("mails", "lines", "checks", "queues", "redriven", "teams", "keys", "schedules", "resumed")
    },
    "complete": True,
    "url": None,
    "cancelled": True,
    "user_id": RUN,
    "agent_key": "owl_agent_x",
}


def calls() -> Iterator[list[str]]:
    """Each command with what it requires."""
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


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_no_command_ends_in_a_traceback(
    api: Script,
    amazon: Aws,  # noqa: F811
    surroundings: str,
) -> None:
    every_call = [*calls(), ["jobs", "list", "--format", "json"], ["system", "doctor"], ["nothing-of-this-name"]]
    page = {"job_runs": [run(error="日本アプリ")], "cursor": None, "has_more": False}
    api.on(f"GET /v1/teams/{TEAM}/jobs", page)
    api.runs(run("completed"))
    for what in ("cancel", "rerun"):
        api.on(f"POST /v1/jobs/{RUN}/{what}", {"cancelled": True, "job_run": run()})
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run()}, status=201)
    api.on(f"GET /v1/jobs/{RUN}/timeline", ANSWER["timeline"])
    api.on(f"GET /v1/projects/{PROJECT}", {"id": PROJECT, "name": "日本", "apps": []})
    api.on("GET /v1/job-types", {"job_types": []})
    api.on("GET /v1/health", {"status": "ok"})
    api.on("GET /v1/openapi.json", {"openapi": "3.1.0"})
    amazon.answers["invoke"] = (200, {}, json.dumps(ANSWER).encode())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.cli_forks"],
        input=json.dumps([{"arguments": call, "surroundings": surroundings} for call in every_call]).encode(),
        env=environment(api)
        | {
            "PYTHONPATH": f"{ROOT}:{ROOT}/layers/nightshift",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": amazon.url,
        },
        cwd=ROOT,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    for call, ended in zip(every_call, json.loads(done.stdout), strict=True):
        told = (surroundings, call, ended)
        assert "Traceback" not in ended["err"] + ended["out"], told
        assert "Error: A fault of" not in ended["err"], told
        assert ended["code"] in (0, 2, 4, 5, 6, 141), told
        # A command that could not do what it was asked to says so.
        assert ended["code"] in (0, 141) or ended["err"] or surroundings in ("full outputs", "closed streams"), told
        if surroundings == "an ASCII terminal":
            assert (ended["out"] + ended["err"]).isascii(), told
        if surroundings in ("a full output", "full outputs", "an output that is only read") and ended["code"] == 6:
            assert ended["err"].startswith("Error: The output cannot be written: ") or surroundings == "full outputs", (
                told
            )

"""The operator's commands on the whole stack: command line, Lambda, database, queues."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner, Result

from local.deployment.deploy import STACK
from local.run import call
from local.stack import Stack
from nightshift.jobs.registry import JOB_TYPES
from nightshift_cli.main import main
from nightshift_cli.session import Session
from tests.support.stack_world import QUICK, ended, triggered, until

pytestmark = pytest.mark.stack

System = Callable[..., Result]


@pytest.fixture
def system(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """``system("health")``: run the command in the local stack's folder."""
    for name in ("NIGHTSHIFT_STACK", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").symlink_to(stack.file)
    monkeypatch.chdir(tmp_path)

    def system(*arguments: str, stdin: str = "") -> Result:
        result = CliRunner().invoke(main, ["system", *arguments], obj=Session(), input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return system


def checks(result: Result) -> dict[str, dict[str, Any]]:
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["ok"] else 1)
    return {check["name"]: check for check in report["checks"]}


def test_health(system: System) -> None:
    found = checks(system("health", "--format", "json"))
    needed = ("sweep", "stuck runs", "waiting runs", "schedules", "database size", "connections", "dead letters: runs")
    for name in needed:
        assert found[name]["ok"], found[name]


def test_doctor_proves_the_installation_with_a_run(system: System) -> None:
    found = checks(system("doctor", "--format", "json"))
    for name in ("database", "migrations", "partitions", "RevenueCat access", "run queue", "providers' secrets"):
        assert found[name]["ok"], found[name]
    [run_id] = [word for word in found["smoke run"]["says"].split() if word.count("-") == 4]
    run = json.loads(system("view", run_id, "--format", "json").stdout)["job_run"]
    assert run["job_type"] == "partition_creation"
    assert found["smoke run"]["ok"] == (run["status"] == "completed"), run


def test_any_run_is_seen_by_the_owner_and_a_system_run_by_nobody_else(system: System, here: dict[str, Any]) -> None:
    sync = triggered(here, **QUICK)["id"]
    until(lambda: ended(here, sync))
    seen = json.loads(system("view", sync, "--format", "json").stdout)
    assert (seen["job_run"]["status"], seen["timeline"]["timeline"][-1]["outcome"]) == ("completed", "completed")
    until(lambda: json.loads(system("runs", "--format", "json").stdout)["job_runs"])
    run_id = json.loads(system("runs", "--limit", "1", "--format", "json").stdout)["job_runs"][0]["id"]
    for key in (here["agent_key"], here["admin_token"]):
        for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/timeline"), ("POST", "/rerun")):
            asked = call(here | {"agent_key": key}, method, f"/v1/jobs/{run_id}{path}")
            assert asked == (404, {"error": "Job run not found"}), path


def test_the_logs_of_a_run_and_of_no_other(system: System, stack: Stack, here: dict[str, Any]) -> None:
    first, second = (completed(here) for _ in range(2))
    until(lambda: "Run completed" in system("logs", first).stdout)
    assert "function_arn" not in system("logs", first).stdout
    answer = json.loads(system("logs", first, "--format", "json").stdout)
    messages = [line["message"] for line in answer["lines"]]
    assert "Run created" in messages
    assert messages.count("Run completed") == 1
    assert [line["at"] for line in answer["lines"]] == sorted(line["at"] for line in answer["lines"])
    page = urllib3.request("GET", answer["url"])
    assert page.status == 200
    assert "Run completed" in page.data.decode()
    assert second not in page.data.decode() + json.dumps(answer["lines"])


def test_a_paused_type_is_refused_on_every_way_and_resumed(system: System, here: dict[str, Any]) -> None:
    said = system("pause", "revenuecat_sync", "--why", "a test of pauses")
    try:
        assert said.stdout.startswith("Paused revenuecat_sync since ")
        wish = {"job_type": "revenuecat_sync", "project_id": here["project_id"]}
        status, body = call(here, "POST", f"/v1/teams/{here['team_id']}/jobs/trigger", wish)
        assert (status, body["error"].partition(": ")[2]) == (400, "a test of pauses")
    finally:
        assert system("resume", "revenuecat_sync").stdout.startswith("Resumed revenuecat_sync")
    assert completed(here)


def test_a_team_is_set_up_on_the_running_stack(stack: Stack, here: dict[str, Any], system: System) -> None:
    wish = ("setup", "--team", "Quarry", "--admin-email", "ada@quarry.test", "--project", "Rocks")
    made = system(*wish, "--revenuecat-key-stdin", stdin="sk_quarry\n")
    assert made.exit_code == 0, made.stderr
    [key] = [word for word in made.stdout.split() if word.startswith("owl_agent_")]
    assert call(here | {"agent_key": key}, "GET", "/v1/auth/whoami")[1]["team"]["slug"] == "quarry"
    assert "sk_quarry" not in made.output
    assert "sk_quarry" not in (stack.folder / "local-aws.log").read_text()
    again = system(*wish)
    assert again.exit_code == 4
    assert 'A team "quarry" already exists' in again.stderr


def test_a_dead_letter_is_shown_and_taken_back(system: System, stack: Stack, here: dict[str, Any]) -> None:
    sqs, run_id = stack.local_aws.client("sqs"), triggered(here, **QUICK)["id"]
    until(lambda: ended(here, run_id))
    found = stack.local_aws.client("cloudformation").describe_stack_resource(
        StackName=STACK, LogicalResourceId="RunDeadLetters"
    )
    url = found["StackResourceDetail"]["PhysicalResourceId"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"run_id": run_id, "slice": 0}))
    assert not checks(system("health", "--format", "json"))["dead letters: runs"]["ok"]
    [runs] = [each for each in _queues(system) if each["queue"] == "runs"]
    assert [(letter["id"], letter["status"]) for letter in runs["messages"]] == [(run_id, "completed")]
    assert "runs: 1 sent again" in system("deadletters", "redrive", "runs").stdout
    # The worker drops it, and it does not return.
    assert [each["waiting"] for each in _queues(system) if each["queue"] == "runs"] == [0]
    assert ended(here, run_id)["status"] == "completed"


def test_a_stack_is_found_by_its_name(system: System, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.local_aws.environment.items():
        monkeypatch.setenv(name, value)
    named = system("schedules", "--stack", STACK, "--format", "json")
    assert {schedule["job_type"] for schedule in json.loads(named.stdout)["schedules"]} == {
        job_type.name for job_type in JOB_TYPES.values() if job_type.scope == "system"
    }
    missing = system("schedules", "--stack", "no-such-stack")
    assert missing.exit_code == 2
    assert "No stack 'no-such-stack'" in missing.stderr


def completed(here: dict[str, Any]) -> str:
    """Return the id of a run that was triggered and is completed."""
    run_id: str = triggered(here, **QUICK)["id"]
    assert until(lambda: ended(here, run_id))["status"] == "completed"
    return run_id


def _queues(system: System) -> list[dict[str, Any]]:
    queues: list[dict[str, Any]] = json.loads(system("deadletters", "--format", "json").stdout)["queues"]
    return queues

"""The whole stack on this machine, started and stopped as ``make run`` does it."""

import dataclasses
import gzip
import json
import os
import signal
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.gate import API
from local.processes import left_behind
from local.run import call
from local.stack import CannotStart, Stack, running
from tests.support.stack_world import QUICK, SHORT, USERS, ended, free_ports, keep_few_users, triggered, until

pytestmark = pytest.mark.stack


def test_a_sync_goes_from_trigger_to_completion(here: dict[str, Any]) -> None:
    triggered_run = triggered(here)
    run = until(lambda: ended(here, triggered_run["id"]))
    assert run["status"] == "completed", run["error"]
    assert run["progress"]["processed"] == run["progress"]["total"] == run["result"]["total"] == USERS
    assert run["result"]["synced"] > USERS * 0.9
    assert run["result"]["errors"] == 0


def test_agent_key_and_admin_token_open_the_same_team(here: dict[str, Any]) -> None:
    _, agent = call(here, "GET", "/v1/auth/whoami")
    status, admin = call(here | {"agent_key": here["admin_token"]}, "GET", "/v1/auth/whoami")
    assert status == 200, admin
    assert agent["team"]["id"] == here["team_id"]
    assert [(team["id"], team["role"]) for team in admin["teams"]] == [(here["team_id"], "owner")]
    assert len(call(here, "GET", f"/v1/projects/{here['project_id']}")[1]["apps"]) == 2


def test_more_requests_than_the_api_admits_are_refused_as_on_aws(stack: Stack, here: dict[str, Any]) -> None:
    gateway = stack.local_aws.client("apigatewayv2")
    # boto3 does not know the names under which local AWS keeps what CloudFormation gives it.
    kept: list[bytes] = []
    gateway.meta.events.register("after-call", lambda http_response, **_: kept.append(http_response.content))
    gateway.get_stage(ApiId=API, StageName="$default")
    [default] = json.loads(kept[0])["routeSettings"].values()
    assert default == {"ThrottlingBurstLimit": 26, "ThrottlingRateLimit": 200}

    def throttle(burst: int, rate: float) -> None:
        limits = {"ThrottlingBurstLimit": burst, "ThrottlingRateLimit": rate}
        gateway.update_stage(ApiId=API, StageName="$default", RouteSettings={"$default": limits})

    throttle(1, 0.0001)
    try:
        answers = [call(here, "GET", "/v1/health") for _ in range(2)]
        assert urllib3.request("GET", here["dashboard_url"]).status == 200
    finally:
        throttle(26, 200)
    assert [status for status, _ in answers] == [200, 429]
    assert answers[1][1] == {"message": "Too Many Requests"}


def test_only_their_owner_reads_the_keys(stack: Stack) -> None:
    for name in ("stack.json", "demo.json"):
        assert stat.S_IMODE((stack.folder / name).stat().st_mode) == 0o600


def test_a_second_run_is_refused(stack: Stack, here: dict[str, Any], started: Any) -> None:
    second = started("-m", "local.run", "--folder", str(stack.folder))
    said, _ = second.communicate()
    assert second.returncode == 1
    assert f"process {os.getpid()}" in said
    assert here["api_url"] in said
    assert call(here, "GET", "/v1/health")[0] == 200


def test_a_taken_port_is_named(stack: Stack, folders: Callable[[], Path]) -> None:
    other = Stack(folders(), ports=dataclasses.replace(free_ports(), postgres=stack.ports.postgres))
    sentence = f"Port {stack.ports.postgres} is already in use .* NIGHTSHIFT_POSTGRES_PORT="
    with pytest.raises(CannotStart, match=sentence), running(other):
        pass
    assert left_behind(other.folder) == []


def test_a_second_start_keeps_the_data_and_a_stop_leaves_nothing(folders: Callable[[], Path]) -> None:
    folder = folders()
    seen = []
    for _ in range(2):
        stack = Stack(folder, ports=free_ports(), parameters=SHORT)
        with running(stack) as here:
            keep_few_users(stack)
            run_id = triggered(here, **QUICK)["id"]
            until(lambda here=here, run_id=run_id: ended(here, run_id))
            _, listed = call(here, "GET", f"/v1/teams/{here['team_id']}/jobs")
            seen.append((here["team_id"], here["agent_key"], len(listed["job_runs"])))
            stack.check()
        assert left_behind(folder) == []
        assert not stack.postgres.is_running()
        assert {path.name for path in folder.iterdir()} == {
            *("demo.json", "database.json", "postgres", "local-aws.log", "revenuecat.log")
        }
    (team, key, first), (same_team, same_key, second) = seen
    assert (same_team, same_key) == (team, key)
    assert (first, second) == (1, 2)


def test_a_database_of_another_version_is_told_and_created_anew(folders: Callable[[], Path]) -> None:
    folder, told = folders(), []
    for _ in range(2):
        stack = Stack(folder, ports=free_ports(), parameters=SHORT, say=told.append)
        with running(stack) as here, closing(stack.connect()) as owner:
            assert call(here, "GET", f"/v1/teams/{here['team_id']}/jobs")[1]["job_runs"] == []
            triggered(here)
            owner.run("UPDATE nightshift_migrations SET checksum = 'of another file' WHERE name = 'jobs/0001_runs'")
    [sentence] = [line for line in told if "another version" in line]
    assert "jobs/0001_runs.sql has changed. Creating a new one" in sentence


# Starts a stack that syncs at RevenueCat's own pace, so that later steps find the run half done.
SLOW = """
import sys, time
from pathlib import Path
from local.ports import Ports
from local.stack import Stack, running
aws, postgres, revenuecat, mailbox = map(int, sys.argv[2:])
ports = Ports(aws=aws, postgres=postgres, revenuecat=revenuecat, mailbox=mailbox)
with running(Stack(Path(sys.argv[1]), ports=ports, revenuecat_budget=480)):
    print("up", flush=True)
    time.sleep(3600)
"""


def test_what_a_killed_run_left_is_ended_and_its_run_goes_on(folders: Callable[[], Path], started: Any) -> None:
    folder, ports = folders(), free_ports()
    killed = started("-c", SLOW, str(folder), *map(str, asdict(ports).values()))
    assert killed.stdout.readline() == "up\n"
    here = json.loads((folder / "stack.json").read_text())
    run_id = triggered(here)["id"]
    until(lambda: call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"]["progress"]["processed"])
    killed.kill()
    killed.wait()
    orphans = left_behind(folder)
    assert len(orphans) >= 4  # local AWS, the sandbox, and one process each for the API and the worker

    stack = Stack(folder, ports=ports, parameters=SHORT)
    with running(stack) as here:
        assert not any(orphan.is_running() for orphan in orphans)
        body = {"job_type": "revenuecat_sync", "project_id": here["project_id"]}
        status, answer = call(here, "POST", f"/v1/teams/{here['team_id']}/jobs/trigger", body)
        assert (status, answer["existing_run_id"]) == (409, run_id)
        with closing(stack.connect()) as owner:
            # The worker may have been working, waiting for the rate limit, or between two slices.
            owner.run("UPDATE job_runs SET lease_expires_at = now() WHERE lease_expires_at IS NOT NULL")
            owner.run("UPDATE job_runs SET due_at = now(), resend_at = now() WHERE resend_at IS NOT NULL")
        stack.invoke("SweepFunction", {})
        run = until(lambda: ended(here, run_id))
        assert (run["status"], run["result"]["total"]) == ("completed", 1000)
    assert left_behind(folder) == []


def test_make_run_tells_its_story_and_goes_quietly(folders: Callable[[], Path], started: Any) -> None:
    folder, ports = folders(), free_ports()
    variables = {f"NIGHTSHIFT_{name.upper()}_PORT": str(port) for name, port in asdict(ports).items()}
    run = started("-u", "-m", "local.run", "--folder", str(folder), **variables)
    story = []
    for line in iter(run.stdout.readline, ""):
        story.append(line.rstrip())
        if story[-1].endswith("system health"):
            break
    assert any("1000/1000" in line for line in story), story
    assert any("completed" in line for line in story)
    [api_url] = [line.split()[-1] for line in story if line.startswith("  API ")]
    assert urllib3.request("GET", api_url + "/v1/health").json()["status"] == "ok"
    run.send_signal(signal.SIGTERM)
    run.communicate()
    assert run.returncode == 0
    assert left_behind(folder) == []
    assert not (folder / "stack.json").exists()


def test_a_value_that_decides_nothing_about_the_demo_is_refused(folders: Any, started: Any) -> None:
    run = started("-m", "local.run", "--folder", str(folders()), NIGHTSHIFT_DEMO="no")
    said, _ = run.communicate()
    assert (run.returncode, said) == (
        1,
        "NIGHTSHIFT_DEMO must be 1, for a demo sync at the start, or 0, for none; got 'no'\n",
    )


def test_answers_pass_the_gateway_as_they_are(here: dict[str, Any]) -> None:
    """Compressed answers on request, HEAD without a body, and the allowed methods of an unsupported one."""

    def ask(method: str, path: str, **headers: str) -> tuple[int, Any, bytes]:
        response = urllib3.request(method, here["api_url"] + path, headers=headers, decode_content=False)
        return response.status, response.headers, response.data

    status, headers, packed = ask("GET", "/v1/openapi.json", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"], headers["Cache-Control"]) == (200, "gzip", "no-store")
    _, headers, plain = ask("GET", "/v1/openapi.json", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in headers
    assert gzip.decompress(packed) == plain
    assert ask("HEAD", "/v1/health")[::2] == (200, b"")
    status, headers, _ = ask("DELETE", "/v1/health")
    assert (status, headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    status, headers, _ = ask("GET", "/v1/projects")
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="nightshift"')
    assert ask("POST", "/v1/jobs/x/cancel", **{"Content-Type": "text/plain"})[0] == 401

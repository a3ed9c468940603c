"""Releases of a stack: updated during runs, rolled back after a failing migration, removed."""

import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pg8000.native
import pytest
import urllib3

from local.deployment.deploy import STACK, DeployFailed, function_name, remove
from local.run import call
from local.seed import REVENUECAT_KEY, REVENUECAT_PROJECT_ID
from local.stack import CHECKOUT, Stack, running
from tests.support.stack_world import (
    QUICK,
    SHORT,
    USERS,
    age,
    ended,
    free_ports,
    keep_few_users,
    slow_revenuecat,
    triggered,
    until,
)
from tools import watch_updates

pytestmark = pytest.mark.stack

SYNCS = 3
CALLS_PER_USER = 3
# The smallest values, so that a lost slice is soon noticed.
PARAMETERS = SHORT | {"WorkerTimeout": "15", "SliceBudget": "8"}


@pytest.fixture(scope="module")
def stack(folders: Callable[[], Path]) -> Iterator[Stack]:
    """Start this module's own stack. It is updated and finally removed."""
    stack = Stack(folders(), ports=free_ports(), parameters=PARAMETERS, awaits_updates=True)
    with running(stack):
        keep_few_users(stack)
        yield stack


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Path]:
    """``release("1.2.3", **migrations)``: this checkout as that version, with more migrations, ``name=script``."""

    def release(version: str, **migrations: str) -> Path:
        folder = tmp_path / version
        for name in ("functions", "layers", "sql"):
            shutil.copytree(CHECKOUT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(CHECKOUT / "template.yaml", folder)
        package = folder / "functions/nightshift/__init__.py"
        package.write_text(re.sub('__version__ = ".*"', f'__version__ = "{version}"', package.read_text()))
        for name, script in migrations.items():
            (folder / f"sql/jobs/{name}.sql").write_text(script)
        return folder

    return release


def version(here: dict[str, Any]) -> str:
    status, answer = call(here, "GET", "/v1/health")
    assert status == 200, answer
    return answer["version"]


def add_project(stack: Stack, here: dict[str, Any], owner: pg8000.native.Connection) -> str:
    """Add another project to the demo team, with users and a RevenueCat key."""
    project_id = str(uuid.uuid4())
    encrypted = stack.local_aws.client("kms").encrypt(
        KeyId=here["integrations_key_id"],
        Plaintext=REVENUECAT_KEY.encode(),
        EncryptionContext={"project_id": project_id},
    )
    owner.run(
        "INSERT INTO projects (id, team_id, name, slug) VALUES (:id, CAST(:team_id AS uuid), :slug, :slug)",
        id=project_id,
        team_id=here["team_id"],
        slug=f"project-{project_id[:8]}",
    )
    owner.run(
        "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
        " VALUES (CAST(:id AS uuid), 'revenuecat', CAST(:config AS jsonb), :secret)",
        id=project_id,
        config=json.dumps({"project_id": REVENUECAT_PROJECT_ID}),
        secret=encrypted["CiphertextBlob"],
    )
    owner.run(
        "INSERT INTO app_users (project_id, user_id)"
        " SELECT CAST(:id AS uuid), to_char(n, '\"user_\"FM000000') FROM generate_series(1, CAST(:users AS integer)) n",
        id=project_id,
        users=USERS,
    )
    return project_id


def count_writes(owner: pg8000.native.Connection) -> None:
    """Write a row to ``app_user_writes`` for each later write of a user's row."""
    owner.run("CREATE TABLE app_user_writes (user_row uuid NOT NULL)")
    owner.run(
        "CREATE FUNCTION count_app_user_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN INSERT INTO app_user_writes VALUES (NEW.id); RETURN NULL; END $$"
    )
    owner.run(
        "CREATE TRIGGER count_writes AFTER UPDATE ON app_users FOR EACH ROW EXECUTE FUNCTION count_app_user_write()"
    )


def test_runs_in_flight_survive_an_update_with_a_migration(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection, release: Callable[..., Path]
) -> None:
    projects = [add_project(stack, here, stack_owner) for _ in range(SYNCS)]
    count_writes(stack_owner)
    faults = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"
    # After half of the calls that one run needs, each call is so slow that no run can end before the update does.
    urllib3.request("POST", faults, json={"path": "customers", "times": USERS * CALLS_PER_USER // 2})
    urllib3.request("POST", faults, json={"latency_s": 2, "path": "customers", "times": None})
    runs = [triggered(here, project_id=project)["id"] for project in projects]

    def in_flight() -> list[dict[str, Any]]:
        """Return the runs that have committed a page and have not ended."""
        found = [call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"] for run_id in runs]
        return [run for run in found if run["status"] == "running" and run["progress"]]

    until(lambda: len(in_flight()) == SYNCS)
    next_release = release("7.0.0", **{"9001_note": "ALTER TABLE job_runs ADD COLUMN note text DEFAULT 'new'"})
    stack.deploy(next_release)
    assert len(in_flight()) == SYNCS
    urllib3.request("DELETE", faults)
    assert version(here) == "7.0.0"
    assert stack_owner.run("SELECT DISTINCT note FROM job_runs") == [["new"]]

    for run_id in runs:
        run = until(lambda run_id=run_id: stack.invoke("SweepFunction", {}) and ended(here, run_id))
        assert run["status"] == "completed", run["error"]
        assert run["progress"]["processed"] == run["result"]["total"] == USERS
        assert run["result"]["errors"] == 0
    written = stack_owner.run(
        "SELECT CAST(project_id AS text), count(*), count(DISTINCT user_row) FROM app_user_writes"
        " JOIN app_users ON app_users.id = user_row GROUP BY project_id"
    )
    assert {project for project, _, _ in written} == set(projects)
    assert [writes - users for _, writes, users in written] == [0] * SYNCS


def test_a_failing_migration_rolls_the_release_back(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection, release: Callable[..., Path]
) -> None:
    before = version(here)
    broken = release("8.0.0", **{"9002_wrong": "CREATE TABLE half_done (id int); SELECT 1 / 0"})
    with pytest.raises(DeployFailed, match=r"^Migrations: Migration jobs/9002_wrong failed: division by zero$"):
        stack.deploy(broken)
    [rolled_back] = stack.local_aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert rolled_back["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert version(here) == before
    assert stack_owner.run("SELECT to_regclass('half_done')") == [[None]]
    run_id = triggered(here, **QUICK)["id"]
    assert until(lambda: ended(here, run_id))["status"] == "completed"

    stack.deploy(release("8.0.1", **{"9002_wrong": "CREATE TABLE half_done (id int)"}))
    assert version(here) == "8.0.1"
    assert stack_owner.run("SELECT to_regclass('half_done')") == [["half_done"]]


def test_a_release_is_left_for_the_earlier_one_during_a_run(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection, release: Callable[..., Path]
) -> None:
    """So a rollback works that alarms start after the update: each function gets its former code, the schema stays."""
    earlier = release("8.2.0")
    stack.deploy(earlier)
    stack.deploy(release("8.3.0", **{"9003_remark": "ALTER TABLE job_runs ADD COLUMN remark text DEFAULT 'new'"}))
    with slow_revenuecat(here, latency_s=2):
        run_id = triggered(here)["id"]
        until(lambda: call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"]["status"] == "running")
        stack.deploy(earlier)
    assert version(here) == "8.2.0"
    assert until(lambda: stack.invoke("SweepFunction", {}) and ended(here, run_id))["status"] == "completed"
    assert stack_owner.run("SELECT remark FROM job_runs WHERE id = CAST(:id AS uuid)", id=run_id) == [["new"]]


def test_updates_are_watched_without_another_change(stack: Stack, here: dict[str, Any]) -> None:
    def described() -> dict[str, Any]:
        [found] = stack.local_aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        assert found["StackStatus"] == "UPDATE_COMPLETE"
        return {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}

    sent: list[dict[str, Any]] = []
    session = stack.local_aws.session
    session.events.register("provide-client-params.cloudformation.UpdateStack", lambda params, **_: sent.append(params))
    before = described()
    watch_updates.watch(STACK, session=session, endpoint=stack.local_aws.url)
    assert described() == before
    [triggers] = [params["RollbackConfiguration"]["RollbackTriggers"] for params in sent]
    assert len({trigger["Arn"] for trigger in triggers}) == len(watch_updates.ALARMS)
    assert all(":alarm:" in trigger["Arn"] for trigger in triggers)
    # A stack whose alarm is on stays as it is.
    alarm = triggers[0]["Arn"].rpartition(":alarm:")[2]
    cloudwatch = stack.local_aws.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="test")
    with pytest.raises(SystemExit, match=r"^Nothing was changed, because this alarm is on: "):
        watch_updates.watch(STACK, session=session, endpoint=stack.local_aws.url)
    assert len(sent) == 1
    assert version(here)


def mixed(release: Callable[..., Path], name: str) -> Path:
    """Create the state in which CloudFormation has updated the code but not the layer of packages, permanently."""
    folder = release("9.0.0")
    code = folder / "functions" / name
    code.write_text(code.read_text() + "\nimport of_the_next_release\n")
    return folder


def goes_on(stack: Stack, here: dict[str, Any], owner: pg8000.native.Connection, run_id: str) -> None:
    assert ended(here, run_id) is None
    age(owner, run_id)
    run = until(lambda: stack.invoke("SweepFunction", {}) and ended(here, run_id))
    assert run["status"] == "completed", run["error"]
    assert run["result"]["errors"] == 0
    assert run_id not in json.dumps(stack.invoke("OperateFunction", {"command": "deadletters"}))


def test_a_worker_that_cannot_start_on_the_packages_of_another_release_loses_no_run(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection, release: Callable[..., Path]
) -> None:
    queue = function_name("RunQueue", local_aws=stack.local_aws)

    def on_their_way() -> int:
        attributes = stack.local_aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        return int(attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"])

    stack.deploy(mixed(release, "worker/app.py"))
    assert "of_the_next_release" in stack.invoke("WorkerFunction", {"Records": []})["errorMessage"]
    until(lambda: on_their_way() == 0)
    run_id = triggered(here, **QUICK)["id"]
    # Delivered, but not yet processed.
    until(on_their_way)

    stack.deploy(release("9.0.1"))
    goes_on(stack, here, stack_owner, run_id)


def test_a_job_that_cannot_start_on_the_packages_of_another_release_loses_no_run(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection, release: Callable[..., Path]
) -> None:
    stack.deploy(mixed(release, "nightshift_jobs/revenuecat_sync/job.py"))
    run_id = triggered(here, **QUICK)["id"]

    def outcomes() -> list[str]:
        return [each["outcome"] for each in call(here, "GET", f"/v1/jobs/{run_id}/timeline")[1]["timeline"]]

    until(lambda: outcomes()[:1] == ["retrying"])

    stack.deploy(release("9.0.1"))
    goes_on(stack, here, stack_owner, run_id)


def test_removing_the_stack_leaves_the_data_and_what_reads_them(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection
) -> None:
    client = stack.local_aws.client
    [deployed] = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    [secret] = [each["OutputValue"] for each in deployed["Outputs"] if each["OutputKey"] == "JwtSecretId"]
    before = stack_owner.run("SELECT count(*), max(app_users.id::text) FROM app_users")

    remove(local_aws=stack.local_aws)

    assert client("lambda").list_functions()["Functions"] == []
    assert client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    assert client("apigatewayv2").get_apis()["Items"] == []
    assert client("sqs").list_queues().get("QueueUrls", []) == []
    assert client("events").list_rules()["Rules"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert stack_owner.run("SELECT count(*), max(app_users.id::text) FROM app_users") == before
    assert client("kms").describe_key(KeyId=here["integrations_key_id"])["KeyMetadata"]["Enabled"]
    assert client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]

"""Functions as `sam local` would run them in Docker: in the environments that the stack wrote, with events/."""

import json
import stat
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from local.deployment.template import PATH, load
from local.processes import clean_environment
from local.sam import DOCKER_HOST
from local.stack import CHECKOUT, Stack

pytestmark = pytest.mark.stack

TEMPLATE = load(CHECKOUT / PATH)
SHARED = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}

# Lambda's part of an invocation, as the runtime in sam's container does it.
INVOKE = """
import importlib, json, sys, types
app = importlib.import_module(f"{sys.argv[1]}.app")
context = types.SimpleNamespace(
    function_name="function", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 30_000,
)
json.dump(app.handler(json.load(sys.stdin), context), sys.stdout)
"""


@pytest.fixture
def environments(stack: Stack) -> dict[str, dict[str, str]]:
    return json.loads(stack.sam_file.read_text())


def invoked(stack: Stack, function: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    package = FUNCTIONS[function]["Handler"].partition(".")[0]
    # The URL in the sample of a custom resource's request exists only in CloudFormation.
    event = "{}" if function == "MigrateFunction" else (CHECKOUT / f"events/{package}.json").read_text()
    here = {name: value.replace(DOCKER_HOST, "127.0.0.1") for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-c", INVOKE, package],
        input=event,
        env=clean_environment() | stack.local_aws.credentials | {"AWS_LAMBDA_FUNCTION_NAME": function} | here,
        capture_output=True,
        text=True,
    )


def test_sam_passes_every_variable_on(stack: Stack, environments: dict[str, dict[str, str]]) -> None:
    """sam drops variables that the template does not declare."""
    assert FUNCTIONS.keys() - environments.keys() == {"DashboardFunction"}
    for function, variables in environments.items():
        declared = {*SHARED, *FUNCTIONS[function]["Environment"]["Variables"]}
        assert variables.keys() == declared, function
        assert not [name for name, value in variables.items() if "127.0.0.1" in value], function
        assert variables["AWS_ENDPOINT_URL"] == f"http://{DOCKER_HOST}:{stack.ports.aws}"
    assert stat.S_IMODE(stack.sam_file.stat().st_mode) == 0o600


def test_sams_commands_find_the_file() -> None:
    commands = tomllib.loads((CHECKOUT / "samconfig.toml").read_text())["default"]
    for command in ("local_invoke", "local_start_api"):
        assert Path(commands[command]["parameters"]["env_vars"]) == Path(".local/sam-env.json")


def test_each_function_answers_its_sample_event(stack: Stack, environments: dict[str, dict[str, str]]) -> None:
    variables = [environments.get(function, {}) for function in FUNCTIONS]
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(FUNCTIONS, pool.map(partial(invoked, stack), FUNCTIONS, variables), strict=True))
    for function, process in done.items():
        assert process.returncode == 0, f"{function}: {process.stderr}"
    answers = {function: json.loads(process.stdout.split("\n")[-1]) for function, process in done.items()}
    assert answers["ApiFunction"]["statusCode"] == answers["DashboardFunction"]["statusCode"] == 200
    assert answers["MigrateFunction"]["applied"] == []
    found = {check["name"]: check["ok"] for check in answers["OperateFunction"]["checks"]}
    assert found["connections"]
    assert found["dead letters: runs"]

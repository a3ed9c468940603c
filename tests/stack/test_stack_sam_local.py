"""What `sam local` needs to run the functions in Docker: the environments that the stack writes."""

import json
import stat
import tomllib
from pathlib import Path

import pytest

from local.deployment.template import PATH, load
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


@pytest.fixture
def environments(stack: Stack) -> dict[str, dict[str, str]]:
    return json.loads(stack.sam_file.read_text())


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

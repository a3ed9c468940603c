"""The functions as Lambda runs them: its Python, its runtime client, the packages of the layer, the shipped files."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.deployment.packages import zipped
from local.deployment.template import PATH, load
from local.sam import DOCKER_HOST
from local.stack import CHECKOUT, Stack
from tests.stack import lambda_runtime

pytestmark = pytest.mark.stack

FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in load(CHECKOUT / PATH)["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the files that are shipped."""
    folder = tmp_path_factory.mktemp("task")
    zipfile.ZipFile(io.BytesIO(zipped(CHECKOUT / "functions"))).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lambda_runtime.install_layer(tmp_path_factory.mktemp("layer"))


@pytest.fixture
def started(stack: Stack, task: Path, layer: Path, tmp_path: Path) -> Callable[[str], Any]:
    """``started(function)``: an execution environment of that function, with the variables of the stack."""
    variables = json.loads(stack.sam_file.read_text())

    def started(function: str) -> Any:
        here = {name: value.replace(DOCKER_HOST, "127.0.0.1") for name, value in variables.get(function, {}).items()}
        handler = FUNCTIONS[function]["Handler"]
        given = stack.local_aws.credentials | {"AWS_LAMBDA_FUNCTION_NAME": function} | here
        return lambda_runtime.environment(task, layer, handler, given, log=tmp_path / f"{function}.log")

    return started


def sample(function: str) -> dict[str, Any]:
    package = FUNCTIONS[function]["Handler"].partition(".")[0]
    # The URL in the sample of a custom resource's request exists only in CloudFormation.
    return {} if function == "MigrateFunction" else json.loads((CHECKOUT / f"events/{package}.json").read_text())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_answers_its_sample_event_twice(function: str, started: Callable[[str], Any]) -> None:
    with started(function) as environment:
        first, second = environment.invoke(sample(function)), environment.invoke(sample(function))
    print(f"{function}: {first.seconds:.2f} s, then {second.seconds:.2f} s, {environment.peak_mb:.0f} MB")
    for answer in (first, second):
        assert not answer.is_error, answer.value
        assert answer.size <= lambda_runtime.MOST_BYTES
        check(function, answer.value)
    assert environment.peak_mb < lambda_runtime.MEMORY_MB / 2


def test_a_function_that_cannot_be_loaded_is_told_as_lambda_would(task: Path, layer: Path, tmp_path: Path) -> None:
    with lambda_runtime.environment(task, layer, "api.nowhere.handler", {}, log=tmp_path / "log") as environment:
        answer = environment.invoke({})
    assert answer.is_error
    assert answer.value["errorType"] == "Runtime.ImportModuleError"


def check(function: str, answer: Any) -> None:
    match function:
        case "ApiFunction" | "DashboardFunction":
            assert answer["statusCode"] == 200
        case "MigrateFunction":
            assert answer["applied"] == []
        case "OperateFunction":
            found = {check["name"]: check["ok"] for check in answer["checks"]}
            assert found["connections"]
            assert found["dead letters: runs"]
        case "WorkerFunction" | "NotifyFunction":
            # A function that fails answers with an error, and SQS sends the message again.
            assert answer is None


def test_the_build_for_lambda_holds_the_same_files(layer: Path, tmp_path: Path) -> None:
    for_lambda = lambda_runtime.install_layer(tmp_path / "arm64", platform="manylinux2014_aarch64")
    assert files(for_lambda) == files(layer)


def files(folder: Path) -> set[str]:
    """Return the paths of the files, with one name for all architectures, without pip's lists and libraries' hashes."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    named = (re.sub(r"(x86_64|aarch64|arm64)", "ARCH", path) for path in paths if "__pycache__" not in path)
    return {re.sub(r"-[0-9a-f]{8}(?=\.so)", "", path) for path in named}

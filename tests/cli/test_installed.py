"""`pipx install` of the checkout: the command line with only its declared dependencies."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

# The files of the command line, and those that it imports from the shared package.
LOADED = """
import importlib, json, pathlib, sys
for path in pathlib.Path("nightshift_cli").rglob("*.py"):
    importlib.import_module(".".join(path.with_suffix("").parts))
ours = [module for name, module in sys.modules.items() if name.startswith("nightshift")]
print(json.dumps([module.__file__ for module in ours if module.__file__]))  # a room without __init__.py has no file
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [*(sys.executable, "-m", "pip", "wheel"), *("--no-deps", "--no-build-isolation", "--quiet", "-w", folder)]
    subprocess.run([*command, "."], check=True, capture_output=True)
    [wheel] = folder.iterdir()
    return wheel


def test_the_wheel_holds_the_command(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        names = archive.namelist()
    assert "nightshift_jobs/db_pruning/__init__.py" in names  # the command completes the names of job types
    assert [name for name in names if "/test_" in name] == []
    command = [sys.executable, "-m", "nightshift_cli", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "nightshift, version 0.1.0\n"), done.stderr


def test_all_that_it_imports_is_declared():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    declared = set(project["dependencies"])
    loaded = json.loads(subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True).stdout)
    imported = {name.partition(".")[0] for file in loaded for name in _imports(Path(file))}
    # botocore comes with boto3, and pydantic is only for types. Other undeclared modules are ours or Python's.
    others = {"nightshift_cli", "nightshift", "nightshift_jobs", "botocore", "pydantic"}
    # pydantic's descriptions of the tools come with mcp.
    assert imported - others - sys.stdlib_module_names == declared | {"mcp"}
    assert [re.split("[<>]", each)[0] for each in project["optional-dependencies"]["mcp"]] == ["mcp"]


def _imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module

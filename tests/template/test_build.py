"""`make build` after sam has built: prune, compile for Lambda, check sizes."""

import importlib.util
import io
import marshal
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from local.deployment.build import (
    AWS_SERVICES,
    BUDGETS_KB,
    BuildFailed,
    compile_all,
    interpreter,
    over_budget,
    prune,
    prune_tests,
)
from local.deployment.packages import zipped
from local.deployment.template import PATH, code_of, load

THIS_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
FLAGS = slice(4, 8)  # PEP 552: 0b01 = by hash; 0b10 not set = do not compare it with the source


def compiled_file(source):
    return Path(importlib.util.cache_from_source(str(source)))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "app.py").write_text("ANSWER = 42\n")
    (tmp_path / "jobs" / "one.py").write_text("")
    return tmp_path


def test_what_is_compiled_is_taken_whatever_the_time_of_its_source(folder):
    compile_all(folder, python=Path(sys.executable), mounted_at="/var/task")
    for source in (folder / "app.py", folder / "jobs" / "one.py"):
        assert int.from_bytes(compiled_file(source).read_bytes()[FLAGS], "little") == 0b01
    # As in the zip, but with another source, which shows whether the source or the .pyc runs.
    (folder / "app.py").write_text("ANSWER = 0\n")
    os.utime(folder / "app.py", (315_532_800, 315_532_800))
    spec = importlib.util.spec_from_file_location("compiled_app", folder / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.ANSWER == 42


def test_tracebacks_name_the_place_in_the_function(folder):
    compile_all(folder, python=Path(sys.executable), mounted_at="/var/task")
    code = marshal.loads(compiled_file(folder / "jobs" / "one.py").read_bytes()[16:])
    assert code.co_filename == "/var/task/jobs/one.py"


def test_what_another_python_compiled_is_not_shipped(folder):
    stale = folder / "__pycache__" / "app.cpython-39.pyc"
    stale.parent.mkdir()
    stale.write_bytes(b"stale")
    compile_all(folder, python=Path(sys.executable), mounted_at="/opt")
    assert not stale.exists()
    assert compiled_file(folder / "app.py").exists()


def test_a_file_that_does_not_compile_fails_the_build(folder):
    (folder / "app.py").write_text("def\n")
    with pytest.raises(BuildFailed, match=r"app\.py"):
        compile_all(folder, python=Path(sys.executable), mounted_at="/var/task")


def test_the_interpreter_is_one_of_the_version_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    # A command with that name but another version is ignored.
    impostor = tmp_path / "bin" / "python3.99"
    impostor.parent.mkdir()
    impostor.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(impostor.parent))
    with pytest.raises(BuildFailed, match=r"Python 3\.99.*uv python install 3\.99"):
        interpreter("3.99")


def test_the_interpreter_is_found_in_pyenvs_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    installed = tmp_path / "versions" / f"{THIS_VERSION}.0" / "bin" / f"python{THIS_VERSION}"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(sys.executable)
    assert interpreter(THIS_VERSION).exists()


def test_the_services_that_ship_are_those_that_the_functions_call():
    code = "\n".join(path.read_text() for path in Path("functions").rglob("*.py"))
    assert set(re.findall(r'\bclient\("(\w+)"', code)) == AWS_SERVICES


def test_a_pruned_botocore_makes_the_clients_it_kept_and_no_other(tmp_path):
    packages = tmp_path / "python"
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil"):
        shutil.copytree(Path(find_spec(name).origin).parent, packages / name)
    shutil.copy(find_spec("six").origin, packages)
    prune(packages)
    script = f"""
import boto3
for service in {sorted(AWS_SERVICES)}:
    boto3.client(service, region_name="eu-central-1")
try:
    boto3.client("ec2", region_name="eu-central-1")
except boto3.exceptions.botocore.exceptions.UnknownServiceError:
    print(boto3.__file__)
"""
    # -S: without this environment's packages.
    alone = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
    )
    assert alone.stdout.startswith(str(packages)), alone.stderr


@pytest.fixture
def functions(tmp_path):
    """Copy functions/ as `sam build` does, which follows links."""
    return shutil.copytree("functions", tmp_path / "functions", ignore=shutil.ignore_patterns("__pycache__"))


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_neither_tests_nor_their_kit_are_shipped(functions):
    before = files_in(functions)
    prune_tests(functions)
    left_out = before - files_in(functions)
    assert {"nightshift/testing/__init__.py", "nightshift_jobs/db_pruning/test_db_pruning.py"} <= left_out
    assert not (functions / "nightshift/testing").exists()
    code = "\n".join(path.read_text() for path in functions.rglob("*.py"))
    assert not re.search(r"^\s*(from|import) (pytest|nightshift\.testing)\b", code, re.M)
    # Everything else is shipped: the code, the queries, the migrations and the certificates.
    assert all(name.startswith("nightshift/testing/") or "/test_" in name for name in left_out)
    assert {"sql/jobs/0001_runs.sql", "nightshift/database/rds.pem"} <= files_in(functions)


def test_local_aws_gets_the_files_that_aws_gets(functions):
    prune_tests(functions)
    with zipfile.ZipFile(io.BytesIO(zipped(Path("functions")))) as archive:
        assert set(archive.namelist()) == files_in(functions)


def test_the_certificates_are_where_the_functions_look_for_them(functions):
    """Lambda unpacks the folder of the functions in /var/task."""
    template = load(PATH)
    assert template["Globals"]["Function"]["CodeUri"] == "functions"
    prune_tests(functions)
    file = Path(template["Parameters"]["DatabaseCaFile"]["Default"]).relative_to("/var/task")
    assert "BEGIN CERTIFICATE" in (functions / file).read_text()


def test_everything_that_ships_has_a_budget():
    assert {logical_id for logical_id, _, _ in code_of(load(PATH))} | {"Functions"} == set(BUDGETS_KB)
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    assert sum(BUDGETS_KB.values()) < 250 * 1024


def test_what_is_over_its_budget_is_named_with_it():
    [sentence] = over_budget({"Functions": 3301 * 1024, "DependenciesLayer": 1})
    assert sentence.startswith("Functions is 3,301 KB, over its budget of 3,300 KB")
    assert over_budget({"NewFunction": 1}) != []

"""nightshift new job: its files, and a refusal that leaves the checkout unchanged."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from nightshift_cli.commands.new import JOB_TYPES, JOBS, LONGEST_NAME, TESTS
from nightshift_cli.main import main
from nightshift_cli.session import Session

ROOT = Path.cwd()


def make(folder):
    for path in (JOB_TYPES, Path("pyproject.toml")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    for path in (JOBS, TESTS):
        (folder / path).mkdir(parents=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Create the folder that the command reads, as the current folder."""
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new_job(*arguments):
    return CliRunner().invoke(main, ["new", "job", *arguments], obj=Session())


def texts(folder):
    return {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_projects_job_is_three_files(checkout):
    before = texts(checkout)

    said = new_job("weekly_report", "--format", "json")

    made, changed = [f"{JOBS}/weekly_report.py", f"{TESTS}/test_weekly_report.py"], [str(JOB_TYPES)]
    assert json.loads(said.stdout) == {"made": made, "changed": changed}
    after = texts(checkout)
    assert {str(path) for path in after if after[path] != before.get(path)} == {*made, *changed}
    assert 'label="Weekly Report",' in after[JOB_TYPES]
    assert "sample" not in "".join(after[Path(path)] for path in made).lower()


def test_a_scheduled_job_says_what_comes_next(checkout):
    said = new_job("quiet_users", "--label", "Who is Quiet", "--schedule", "*/30 1-3 * * 1").stdout

    assert said.endswith("  .venv/bin/python -m pytest tests/test_quiet_users.py tests/template/test_template.py\n")


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,12}(_[a-z0-9]{1,12}){0,2}", fullmatch=True).map(
    lambda name: f"x{name}"[:LONGEST_NAME]
)


@examples(derandomize=True, max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NAMES.filter(lambda name: not name.endswith("_")), min_size=1, max_size=3, unique=True), st.data())
def test_whatever_the_names_ruff_takes_what_was_made(tmp_path_factory, names, data):
    folder = tmp_path_factory.mktemp("checkout")
    make(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        scheduled = [name for name in names if data.draw(st.booleans(), label=f"{name} is scheduled")]
        for name in names:
            done = new_job(name, *(["--schedule", "0 5 * * *"] if name in scheduled else []))
            assert done.exit_code == 0, done.stderr
    for check in (["check"], ["format", "--check"]):
        subprocess.run([Path(sys.prefix) / "bin/ruff", *check, "--no-cache", "."], cwd=folder, check=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["WeeklyReport"],
            "invalid job name 'WeeklyReport': use lowercase letters, digits and underscores",
        ),
        (["weekly-report"], "invalid job name"),
        (["_weekly"], "invalid job name"),
        (["../weekly"], "invalid job name"),
        (["lambda"], "invalid job name 'lambda': it is a Python keyword."),
        (["a" * 41], "it has 41 characters, the limit is 40."),
        (["revenuecat_sync"], "catalogue.py already has a job type revenuecat_sync: choose another name."),
        (["report", "--label", "A: b"], "invalid label 'A: b'"),
        (["report", "--label", "x\ny"], "invalid label"),
        (["report", "--schedule", "0 5 * *"], "A cron expression has five fields, got '0 5 * *'."),
        (["report", "--schedule", "0 25 * * *"], "The hour '25' of '0 25 * * *' must be 0 to 23,"),
        (
            ["report", "--schedule", "*/100 * * * *"],
            "The minute '*/100' of '*/100 * * * *' has a step that is never reached",
        ),
        (["report", "--schedule", "0 5 * * *", "--project"], "A project job cannot have a schedule"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(checkout, arguments, sentence):
    before = texts(checkout)
    said = new_job(*arguments)
    assert said.exit_code == 2
    assert sentence in " ".join(said.stderr.split())
    assert texts(checkout) == before


@pytest.mark.parametrize(
    ("path", "old", "sentence"),
    [
        (JOB_TYPES, "    )\n}\n", "Cannot add a job type to"),
    ],
)
def test_a_place_that_is_not_found_is_named_and_nothing_changes(checkout, path, old, sentence):
    text = (checkout / path).read_text()
    assert old in text
    (checkout / path).write_text(text.replace(old, ""))
    before = texts(checkout)
    said = new_job("report", "--schedule", "0 5 * * *")
    assert said.exit_code == 2
    assert sentence in said.stderr
    assert texts(checkout) == before


@pytest.mark.parametrize("path", [JOBS / "report.py", TESTS / "test_report.py"])
def test_a_file_that_is_there_is_not_written_over(checkout, path):
    (checkout / path).write_text("mine")
    before = texts(checkout)
    assert f"{path} already exists: choose another name." in new_job("report").stderr
    assert texts(checkout) == before


def test_what_cannot_all_be_written_is_not_written(checkout):
    shutil.rmtree(checkout / TESTS)
    before = texts(checkout)
    said = new_job("report")
    assert said.exit_code == 2
    assert "Nothing was created: " in said.stderr
    assert texts(checkout) == before


def test_another_folder_is_no_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = new_job("report")
    assert said.exit_code == 2
    assert f"{tmp_path} is not a checkout of Nightshift: {JOB_TYPES} is missing." in said.stderr

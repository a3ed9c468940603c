"""nightshift new job: its folder, and a refusal that leaves the checkout unchanged."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from samtranslator.yaml_helper import yaml_parse

from nightshift_cli.commands.additions import TEMPLATE
from nightshift_cli.commands.new import JOBS, LONGEST_NAME
from nightshift_cli.main import main
from nightshift_cli.session import Session

ROOT = Path.cwd()
EXISTING = "revenuecat_sync"

# The registry of a checkout: every job type, as the API and the schedules read it, and whether its code can be loaded.
REGISTRY = """
import json
from nightshift.jobs.registry import JOB_TYPES
found = {name: [each.label, each.scope, each.schedule, each.handler().__name__] for name, each in JOB_TYPES.items()}
print(json.dumps(found))
"""


DECLARATION = f"""from nightshift.jobs import JobType

JOB_TYPE = JobType(name="{EXISTING}", label="Sync", description="Sync", scope="project")
"""


def make(folder):
    """Make the part of a checkout that the command looks at, and an existing job."""
    (folder / JOBS / EXISTING).mkdir(parents=True)
    for path in (JOBS / "__init__.py", TEMPLATE, Path("pyproject.toml")):
        (folder / path).write_text((ROOT / path).read_text())
    (folder / JOBS / EXISTING / "__init__.py").write_text(DECLARATION)
    (folder / JOBS / EXISTING / "job.py").write_text(f"def {EXISTING}():\n    pass\n")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Create the folder that the command reads, as the current folder."""
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new_job(*arguments):
    return CliRunner().invoke(main, ["new", "job", *arguments], obj=Session())


def texts(folder):
    """Return the text of every file, and None for every folder."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def registry(folder):
    """Return what the registry of a checkout with this folder of jobs finds."""
    path = os.pathsep.join([str(folder / "functions"), str(ROOT / "functions")])
    done = subprocess.run(
        [sys.executable, "-c", REGISTRY], cwd=folder, env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_job_is_one_folder_that_the_registry_finds(checkout):
    before = texts(checkout)

    said = new_job("weekly_report", "--format", "json")

    folder = f"{JOBS}/weekly_report"
    made = [f"{folder}/__init__.py", f"{folder}/job.py", f"{folder}/test_weekly_report.py"]
    assert json.loads(said.stdout) == {"made": made}
    after = texts(checkout)
    assert {path for path in after if path not in before} == {folder, *made}
    assert {path: after[path] for path in before} == before
    assert "sample" not in "".join(after[path] for path in made).lower()
    assert registry(checkout)["weekly_report"] == ["Weekly Report", "project", None, "weekly_report"]
    assert (checkout / folder).stat().st_mode == (checkout / JOBS).stat().st_mode


def test_a_scheduled_job_says_what_the_template_needs(checkout):
    said = new_job("quiet_users", "--label", "Who is Quiet", "--schedule", "*/30 1-3 * * 1").stdout

    assert registry(checkout)["quiet_users"] == ["Who is Quiet", "system", "0,30 1-3 * * MON", "quiet_users"]
    lines = said.splitlines()
    assert lines[lines.index("Add to template.yaml, in the list of Fn::ForEach::SystemJobs:") + 1] == "  QuietUsers"
    line = '  QuietUsers: { JobType: quiet_users, Entry: " quiet_users=cron(", Fields: "0,30 1-3 ? * MON *" }'
    assert lines[lines.index("and in Mappings, below SystemJobs:") + 1] == line
    assert lines[-1] == f"  .venv/bin/python -m pytest {JOBS}/quiet_users tests/template/test_system_jobs.py"


def test_a_program_reads_what_the_template_needs(checkout):
    before = (checkout / TEMPLATE).read_text()
    said = json.loads(new_job("quiet_users", "--schedule", "0 5 * * *", "--format", "json").stdout)
    assert said["template"]["word"] == "QuietUsers"
    assert yaml_parse(said["template"]["line"]) == {
        "QuietUsers": {"JobType": "quiet_users", "Entry": " quiet_users=cron(", "Fields": "0 5 * * ? *"}
    }
    assert (checkout / TEMPLATE).read_text() == before


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,12}(_[a-z0-9]{1,12}){0,2}", fullmatch=True).map(
    lambda name: f"x{name}"[:LONGEST_NAME]
)


@examples(derandomize=True, max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        NAMES.filter(lambda name: not name.endswith("_")),
        min_size=1,
        max_size=3,
        unique_by=lambda name: name.replace("_", ""),
    ),
    st.data(),
)
def test_whatever_the_names_ruff_and_the_registry_take_what_was_made(tmp_path_factory, names, data):
    folder = tmp_path_factory.mktemp("checkout")
    make(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        scheduled = [name for name in names if data.draw(st.booleans(), label=f"{name} is scheduled")]
        for name in names:
            done = new_job(name, *(["--schedule", "0 5 * * *"] if name in scheduled else []))
            assert done.exit_code == 0, done.stderr
    for check in (["check"], ["format", "--check"]):
        ruff = [Path(sys.prefix) / "bin/ruff", *check, "--no-cache", *(JOBS / name for name in names)]
        subprocess.run(ruff, cwd=folder, check=True)
    found = registry(folder)
    assert found.keys() == {*names, EXISTING}
    assert {name for name, (_, scope, _, _) in found.items() if scope == "system"} == set(scheduled)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["WeeklyReport"], "invalid job name 'WeeklyReport': use lowercase letters, digits and underscores"),
        (["weekly-report"], "invalid job name 'weekly-report'"),
        (["weekly report"], "invalid job name 'weekly report'"),
        (["weekly_report.py"], "invalid job name 'weekly_report.py'"),
        (["weekly_report/"], "invalid job name 'weekly_report/'"),
        (["weekly__report"], "invalid job name 'weekly__report'"),
        (["weekly_"], "invalid job name 'weekly_'"),
        (["_weekly"], "invalid job name '_weekly'"),
        (["__init__"], "invalid job name '__init__'"),
        (["2weekly"], "invalid job name '2weekly'"),
        (["wöchentlich"], "invalid job name 'wöchentlich'"),
        (["../weekly"], "invalid job name '../weekly'"),
        ([""], "invalid job name ''"),
        (["lambda"], "invalid job name 'lambda': it is a Python keyword."),
        (["test_report"], "invalid job name 'test_report': pytest takes files that begin with test_ for tests."),
        (["a" * 41], "it has 41 characters, the limit is 40."),
        ([EXISTING], f"{JOBS}/{EXISTING} already exists: choose another name, or remove the folder."),
        (["revenue_cat_sync"], f"revenue_cat_sync and {JOBS}/{EXISTING} differ only in underscores"),
        (["events", "--schedule", "0 5 * * *"], "template.yaml already has EventsFailedAlarm: choose another name."),
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


def test_a_project_job_may_have_the_name_of_a_resource(checkout):
    assert new_job("events").exit_code == 0


def test_a_checkout_has_a_template(checkout):
    (checkout / TEMPLATE).unlink()
    said = new_job("report", "--schedule", "0 5 * * *")
    assert said.exit_code == 2
    assert f"{checkout} is not a checkout of Nightshift: {TEMPLATE} is missing." in " ".join(said.stderr.split())


def test_a_name_of_the_longest_length_is_taken(checkout):
    assert new_job("a" * LONGEST_NAME).exit_code == 0


def test_a_job_that_git_removed_can_be_made_again(checkout):
    new_job("report")
    for path in (checkout / JOBS / "report").iterdir():
        path.unlink()
    (checkout / JOBS / "report/__pycache__").mkdir()
    (checkout / JOBS / "report/__pycache__/job.cpython-311.pyc").write_bytes(b"old")
    assert "report" not in registry(checkout)
    said = new_job("report")
    assert said.exit_code == 0, said.stderr
    assert {path.name for path in (checkout / JOBS / "report").iterdir()} == {"__init__.py", "job.py", "test_report.py"}


def test_a_file_in_the_place_of_the_folder_is_not_replaced(checkout):
    (checkout / JOBS / "report").write_text("mine")
    before = texts(checkout)
    assert f"{JOBS}/report already exists: choose another name" in new_job("report").stderr
    assert texts(checkout) == before


@pytest.mark.parametrize("room_for", range(3))
def test_a_full_disk_leaves_nothing(checkout, monkeypatch, room_for):
    before, written = texts(checkout), []

    def write_text(path, text, **of):
        if len(written) == room_for:
            with path.open("w") as half:
                half.write(text[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        path.write_bytes(text.encode())

    monkeypatch.setattr(Path, "write_text", write_text)
    said = new_job("report")
    assert said.exit_code == 2
    assert f"Nothing was created: {JOBS}/report: No space left on device." in said.stderr
    assert texts(checkout) == before


def test_a_job_of_the_name_that_comes_in_between_stays(checkout, monkeypatch):
    rename = Path.rename

    def late(made, folder):
        folder.mkdir()
        (folder / "job.py").write_text("mine")
        rename(made, folder)

    monkeypatch.setattr(Path, "rename", late)
    said = new_job("report")
    assert said.exit_code == 2
    assert "Nothing was created: " in said.stderr
    assert {path for path in texts(checkout) if "report" in path} == {f"{JOBS}/report", f"{JOBS}/report/job.py"}
    assert (checkout / JOBS / "report/job.py").read_text() == "mine"


def test_another_folder_is_no_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = new_job("report")
    assert said.exit_code == 2
    assert f"{tmp_path} is not a checkout of Nightshift: {JOBS} is missing." in said.stderr

"""Changed files reach the running stack: a job, a new job, a query, the dashboard. No run is lost."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.reload import Watch
from local.run import call
from local.stack import CHECKOUT, Stack
from tests.support.stack_world import (
    USERS,
    ended,
    free_ports,
    slow_revenuecat,
    triggered,
    until,
    until_it_is_up,
)

pytestmark = pytest.mark.stack

DECLARATION = """
from nightshift.jobs.job_type import JobType

JOB_TYPE = JobType(name="greeting", label="Greeting", description="Greets.", scope="project")
"""
CODE = """
def greeting(run, db):
    return {{"greeting": "{0}"}}
    yield
"""


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def author(stack: Stack, tmp_path: Path, lines: list[str]) -> Iterator[Callable[[str, str], None]]:
    """``author(name, content)``: save a file in a copy of the checkout, and look as `make run` does."""
    for name in ("functions", "layers", "sql"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "template.yaml", tmp_path)
    watch = Watch(
        tmp_path,
        update=lambda: stack.update_code(tmp_path),
        error=stack.start_error,
        declare=stack.declare,
        say=lines.append,
    )

    def save(name: str, content: str) -> None:
        path = tmp_path / "functions" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        for _ in range(2):
            watch.look()

    yield save
    stack.update_code()


def greeted(here: dict[str, Any]) -> Any:
    run_id = triggered(here, job_type="greeting")["id"]
    run = until(lambda: ended(here, run_id))
    return run["result"] or run["error"]


def with_rights(rights: str) -> str:
    return DECLARATION.replace("scope=", f"rights={rights}, scope=")


def test_a_new_job_its_changes_and_its_mistakes(
    here: dict[str, Any], author: Callable[[str, str], None], lines: list[str], stack_owner: Any
) -> None:
    author("nightshift_jobs/greeting/__init__.py", DECLARATION)
    author("nightshift_jobs/greeting/job.py", CODE.format("Hello"))
    assert "greeting" in [each["job_type"] for each in call(here, "GET", "/v1/job-types")[1]["job_types"]]
    assert greeted(here) == {"greeting": "Hello"}

    author("nightshift_jobs/greeting/job.py", CODE.format("Good morning"))
    assert greeted(here) == {"greeting": "Good morning"}
    assert lines[-1] == "Reloaded the functions: nightshift_jobs/greeting/job.py changed."

    author("nightshift_jobs/greeting/job.py", "def greeting(:")
    assert lines[-1].startswith("nightshift_jobs/greeting/job.py, line 1: invalid syntax.")
    assert greeted(here) == {"greeting": "Good morning"}

    # The run of a job that cannot be loaded fails at once, without the retries that an update on AWS needs.
    author("nightshift_jobs/greeting/job.py", "import no_such_module")
    assert greeted(here) == "ModuleNotFoundError: No module named 'no_such_module'"

    author("nightshift_jobs/greeting/job.py", CODE.format("Good night"))
    assert greeted(here) == {"greeting": "Good night"}

    author("nightshift_jobs/greeting/__init__.py", DECLARATION.replace("greeting", "welcome"))
    assert lines[-1].startswith("The functions cannot start until you correct this: ")
    assert "nightshift_jobs/greeting must declare JOB_TYPE = JobType(name='greeting', …)" in lines[-1]
    author("nightshift_jobs/greeting/__init__.py", DECLARATION)
    assert lines[-1] == "Reloaded the functions: nightshift_jobs/greeting/__init__.py changed."

    may_read = "SELECT has_table_privilege('nightshift_worker', 'apps', 'SELECT')"
    assert stack_owner.run(may_read) == [[False]]
    author("nightshift_jobs/greeting/__init__.py", with_rights('{"apps": ("SELECT",)}'))
    assert lines[-1] == "Reloaded the functions: nightshift_jobs/greeting/__init__.py changed."
    assert stack_owner.run(may_read) == [[True]]
    author("nightshift_jobs/greeting/__init__.py", with_rights('{"invoices": ("SELECT",)}'))
    assert lines[-1] == (
        "The database refuses what a job declares until you correct this: A right that a job needs cannot be granted: "
        'relation "invoices" does not exist (GRANT SELECT ON invoices TO nightshift_worker, as greeting declares)'
    )
    author("nightshift_jobs/greeting/__init__.py", DECLARATION)
    assert stack_owner.run(may_read) == [[False]]


def test_a_query_and_the_dashboard(here: dict[str, Any], author: Callable[[str, str], None]) -> None:
    query = (CHECKOUT / "sql/queries/tenants/list_apps.sql").read_text()
    _, project = call(here, "GET", f"/v1/projects/{here['project_id']}")
    assert project["apps"]
    author(
        "sql/queries/tenants/list_apps.sql",
        query.replace("LIMIT", "LIMIT 0 *"),
    )
    _, project = call(here, "GET", f"/v1/projects/{here['project_id']}")
    assert project["apps"] == []

    author("dashboard/static/index.html", "<p>changed</p>")
    page = urllib3.request("GET", here["dashboard_url"], headers={"Accept-Encoding": "identity"})
    assert page.data == b"<p>changed</p>"


def test_a_slice_that_is_at_work_ends_as_it_began(
    here: dict[str, Any], author: Callable[[str, str], None], lines: list[str]
) -> None:
    with slow_revenuecat(here, latency_s=0.4):
        run_id = triggered(here)["id"]
        until(lambda: call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"]["progress"]["processed"])
        author("nightshift_jobs/revenuecat_sync/another.py", "")
    assert lines == ["Reloaded the functions: nightshift_jobs/revenuecat_sync/another.py changed."]
    run = until(lambda: ended(here, run_id))
    assert (run["status"], run["result"]["total"]) == ("completed", USERS)
    outcomes = [each["outcome"] for each in call(here, "GET", f"/v1/jobs/{run_id}/timeline")[1]["timeline"]]
    assert "lost" not in outcomes


def test_make_run_looks_for_changes_and_can_leave_the_demo_out(
    checkout: Path, folders: Callable[[], Path], started: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = folders()
    variables = {f"NIGHTSHIFT_{name.upper()}_PORT": str(port) for name, port in asdict(free_ports()).items()}
    arguments = ("-u", "-m", "local.run", "--folder", str(folder))
    run = started(*arguments, checkout=checkout, NIGHTSHIFT_DEMO="0", **variables)
    story = until_it_is_up(run)
    assert "Adding the demo team …\n" in story
    assert not [line for line in story if line.startswith("Triggering")]
    here = json.loads((folder / "stack.json").read_text())
    assert call(here, "GET", f"/v1/teams/{here['team_id']}/jobs")[1]["job_runs"] == []

    job = folders() / "greeting"
    job.mkdir(parents=True)
    (job / "__init__.py").write_text(DECLARATION)
    (job / "job.py").write_text(CODE.format("Hello"))
    # Both files at once: `make run` may look at any moment.
    job.rename(checkout / "functions/nightshift_jobs/greeting")
    assert run.stdout.readline() == "\n"
    line = run.stdout.readline()
    assert line == "Reloaded the functions: nightshift_jobs/greeting/__init__.py and 1 other file changed.\n"
    assert greeted(here) == {"greeting": "Hello"}
    run.terminate()
    run.communicate()
    assert run.returncode == 0

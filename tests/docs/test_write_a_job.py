"""docs/write-a-job.md, followed word for word in a copy of this checkout."""

import os
import re
import shlex
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.stack_world import free_ports

PAGE = Path("docs/write-a-job.md")
# A fenced block, its language, and the path at the end of the line before it, if there is one.
BLOCK = re.compile(r"(?:`([\w/]+\.\w+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TO_WRITE, TO_RUN = PAGE.read_text().split("## 5. Let it run")


def run(command, *, folder):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "NIGHTSHIFT_"))}
    # This path comes before the checkout that the environment was made for. pytest closes its root folder to other
    # users, and the outer run's server starts below that root.
    environ["PYTEST_DEBUG_TEMPROOT"] = str(folder.parent)
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(folder / "functions")])
    done = subprocess.run(shlex.split(command), cwd=folder, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow(steps, *, folder):
    """Return the output of the commands of these ``steps`` of the page."""
    said = []
    for path, language, text in BLOCK.findall(steps):
        if language == "sh":
            said += [run(command, folder=folder) for command in text.splitlines()]
        else:
            assert path, f"no file is named above\n{text}"
            (folder / path).write_text(text)
    return said


def test_the_page_leads_to_a_job_that_is_done(checkout):
    made, tested = follow(TO_WRITE, folder=checkout)
    assert "tests/test_quiet_users.py" in made
    # The job's own tests, and those that compare the template with the registry.
    assert re.search(r"^\.+ .*%\]$", tested, re.MULTILINE)
    assert int(re.search(r"(\d+) passed", tested)[1]) > 50
    assert "test_each_system_job_has_its_rule[quiet_users]" in run(
        ".venv/bin/python -m pytest --collect-only -q tests/template/test_template.py", folder=checkout
    )
    run(".venv/bin/python -m pytest tests/docs/test_docs.py -k made_anew", folder=checkout)
    run(".venv/bin/python -m pytest tests/cli/test_cli_examples.py -k the_reference", folder=checkout)
    ruff = ".venv/bin/ruff"
    run(f"{ruff} check .", folder=checkout)
    run(f"{ruff} format --check .", folder=checkout)


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_the_job_runs_on_the_local_stack(checkout, started):
    follow(TO_WRITE, folder=checkout)
    variables = {f"NIGHTSHIFT_{name.upper()}_PORT": str(port) for name, port in asdict(free_ports()).items()}
    stack = started("-u", "-m", "local.run", checkout=checkout, **variables)
    until_it_is_up = list(iter(stack.stdout.readline, "  .venv/bin/nightshift system health\n"))
    [said] = follow(TO_RUN, folder=checkout)
    assert "Marked 491 users" in said, "".join(until_it_is_up) + said


def test_the_job_has_twenty_lines():
    [job] = [text for path, _, text in BLOCK.findall(PAGE.read_text()) if path.startswith("functions/worker/jobs/")]
    assert len(job.splitlines()) <= 20


def test_the_page_names_what_the_helpers_have():
    from nightshift.testing.job_run import JobRun

    for name in re.findall(r"`run\.(\w+)", PAGE.read_text().split("## The test kit")[1]):
        assert hasattr(JobRun, name) or name in JobRun.__dataclass_fields__, name

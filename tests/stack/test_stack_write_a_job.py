"""docs/write-a-job.md, followed word for word in a copy of this checkout."""

import os
import re
import shlex
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.stack_world import copied, free_ports, until_it_is_up

pytestmark = pytest.mark.stack

PAGE = Path("docs/write-a-job.md")
# A fenced block, its language, and the path at the end of the line before it, if there is one.
BLOCK = re.compile(r"(?:`([\w/]+\.\w+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TO_MAKE, TO_WRITE, TO_RUN, RULES = re.split(
    r"^(?:\| where in .*|## 5\. Let it run|## Rules for jobs)$", PAGE.read_text(), flags=re.MULTILINE
)
# The word and the line for template.yaml.
[WORD, LINE] = re.findall(r"^\| in .* \| `([^`]+)` \|$", TO_WRITE, re.MULTILINE)


def run(command, *, folder):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "NIGHTSHIFT_"))}
    # This path comes before the checkout that the environment was made for. pytest closes its root folder to other
    # users, and the outer run's server starts below that root.
    environ["PYTEST_DEBUG_TEMPROOT"] = str(folder.parent)
    environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(folder / "functions")])
    done = subprocess.run(shlex.split(command), cwd=folder, env=environ, capture_output=True, text=True)
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


def add_to_template(*, said, folder):
    """Add what both the page and the command name."""
    assert f"in the list of Fn::ForEach::SystemJobs:\n  {WORD}\n" in said
    assert f"in Mappings, below SystemJobs:\n  {LINE}\n" in said
    template = folder / "template.yaml"
    words = re.compile(r"(^  Fn::ForEach::SystemJobs:\n +- \w+\n +- \[.*)\]\n", re.MULTILINE)
    lines = re.compile(r"^  SystemJobs:\n(?:    \w+: \{.*\}\n)+", re.MULTILINE)
    text, with_word = words.subn(rf"\1, {WORD}]\n", template.read_text())
    text, with_line = lines.subn(rf"\g<0>    {LINE}\n", text)
    assert (with_word, with_line) == (1, 1)
    template.write_text(text)


@pytest.fixture(scope="module")
def made(folders):
    """Follow the page up to a tested job. Return the folder, and the output of the first and the last command."""
    folder = copied(folders)
    [made] = follow(TO_MAKE, folder=folder)
    add_to_template(said=made, folder=folder)
    return folder, made, follow(TO_WRITE, folder=folder)[-1]


def test_the_page_leads_to_a_job_that_is_done(made):
    checkout, said, tested = made
    assert "functions/nightshift_jobs/quiet_users/test_quiet_users.py" in said
    # The job's own tests, and those that compare the template with the registry.
    assert re.search(r"^\.+ .*%\]$", tested, re.MULTILINE)
    assert int(re.search(r"(\d+) passed", tested)[1]) > 30
    # Its rule, the tests that read every job's queries, and the generated pages.
    others = [
        "tests/template/test_system_jobs.py",
        "tests/executor/test_clocks.py",
        "tests/database/test_database_pages.py",
        "tests/docs/test_docs.py",
        "tests/cli/test_cli_examples.py",
    ]
    words = "quiet_users or test_clocks or TestPlatform or made_anew or the_reference"
    said = run(f".venv/bin/python -m pytest -v -k '{words}' {' '.join(others)}", folder=checkout)
    assert "test_each_system_job_has_its_rule[quiet_users] PASSED" in said
    for file in others:
        assert f"{file}::" in said, file
    ruff = ".venv/bin/ruff"
    run(f"{ruff} check .", folder=checkout)
    run(f"{ruff} format --check .", folder=checkout)


def test_the_job_runs_on_the_local_stack(made, started):
    checkout, _, _ = made
    variables = {f"NIGHTSHIFT_{name.upper()}_PORT": str(port) for name, port in asdict(free_ports()).items()}
    stack = started("-u", "-m", "local.run", checkout=checkout, NIGHTSHIFT_DEMO="0", **variables)
    story = until_it_is_up(stack)
    [said] = follow(TO_RUN, folder=checkout)
    assert "Marked 491 users" in said, "".join(story) + said

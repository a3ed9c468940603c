"""Changes to a checkout beside a running stack: what they lead to, and what `make run` says."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from local.deployment.deploy import DeployFailed
from local.reload import Watch

JOB = "functions/nightshift_jobs/greeting/job.py"


class Stack:
    """A watch over ``folder`` that counts the updates of the functions, and keeps its lines."""

    def __init__(self, folder: Path):
        self.folder, self.updates, self.refusal = folder, 0, ""
        self.error: str | None = None
        self.declared, self.declare_error = 0, ""
        self.lines: list[str] = []
        self.watch = Watch(
            folder, update=self._update, error=lambda: self.error, declare=self._declare, say=self.lines.append
        )

    def _update(self) -> None:
        if self.refusal:
            raise DeployFailed(self.refusal)
        self.updates += 1

    def _declare(self) -> str | None:
        self.declared += 1
        return self.declare_error or None

    def save(self, name: str, content: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(content)

    def told(self) -> list[str]:
        """Look until the changes are handled, and return the lines about them."""
        self.lines.clear()
        self.watch.look()
        assert self.lines == []  # more files may change
        for _ in range(3):
            self.watch.look()
        return self.lines


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    for name in (JOB, "sql/jobs/0001_runs.sql", "sql/queries/runs/find_run.sql", "template.yaml", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "functions/sql").symlink_to("../sql")
    return Stack(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (JOB, "nightshift_jobs/greeting/job.py"),
        ("functions/nightshift_jobs/parting/__init__.py", "nightshift_jobs/parting/__init__.py"),
        ("functions/dashboard/static.js", "dashboard/static.js"),
        ("sql/queries/runs/find_run.sql", "sql/queries/runs/find_run.sql"),
    ],
)
def test_a_change_to_the_code_or_a_query_reloads_the_functions(stack: Stack, name: str, told: str) -> None:
    stack.save(name, "# changed")
    assert stack.told() == [f"Reloaded the functions: {told} changed."]
    assert stack.updates == 1


def test_a_changed_declaration_is_brought_to_the_database(stack: Stack) -> None:
    declaration = "functions/nightshift_jobs/greeting/__init__.py"
    stack.save(JOB, "# changed")
    stack.told()
    assert stack.declared == 0
    stack.save(declaration, "# changed")
    stack.told()
    assert stack.declared == 1
    stack.declare_error = "no such table"
    stack.save(declaration, "# changed again")
    assert stack.told()[-1] == "The database refuses what a job declares until you correct this: no such table"
    stack.error = "it cannot be imported"
    stack.save(declaration, "# changed once more")
    assert stack.told()[-1] == "The functions cannot start until you correct this: it cannot be imported"
    assert stack.declared == 2


def test_a_removed_file_is_a_change(stack: Stack) -> None:
    (stack.folder / JOB).unlink()
    assert stack.told() == ["Reloaded the functions: nightshift_jobs/greeting/job.py changed."]


def test_a_burst_of_saves_is_one_change(stack: Stack) -> None:
    for number in range(5):
        stack.save(f"functions/nightshift_jobs/greeting/{number}.py", "")
        stack.watch.look()
    assert stack.lines == []
    stack.watch.look()
    assert stack.lines == ["Reloaded the functions: nightshift_jobs/greeting/0.py and 4 other files changed."]
    assert stack.updates == 1


def test_a_file_with_a_mistake_is_told_with_its_line_and_the_next_save_mends_it(stack: Stack) -> None:
    stack.save(JOB, "first = 1\ndef job(:\n")
    [line] = stack.told()
    assert line.startswith("nightshift_jobs/greeting/job.py, line 2: invalid syntax.")
    assert line.endswith("The functions keep their previous code until you correct it.")
    stack.save("functions/nightshift_jobs/greeting/other.py", "")
    assert stack.told() == [line]
    assert stack.updates == 0
    stack.save(JOB, "first = 1\n")
    assert stack.told() == ["Reloaded the functions: nightshift_jobs/greeting/job.py and 1 other file changed."]
    assert stack.updates == 1


def test_a_new_file_with_a_mistake_that_is_removed_leaves_nothing_to_do(stack: Stack) -> None:
    stack.save("functions/nightshift_jobs/greeting/other.py", "def (")
    assert len(stack.told()) == 1
    (stack.folder / "functions/nightshift_jobs/greeting/other.py").unlink()
    assert stack.told() == []
    assert stack.updates == 0


def test_a_file_that_is_no_text_is_told(stack: Stack) -> None:
    stack.save(JOB, "first = 1\0")
    [line] = stack.told()
    assert line.startswith("nightshift_jobs/greeting/job.py: source code string cannot contain null bytes.")


def test_what_local_aws_refuses_is_told_and_tried_again_with_the_next_save(stack: Stack) -> None:
    stack.refusal = "The code is too large"
    stack.save(JOB, "# large")
    [line] = stack.told()
    assert "keep their previous code" in line
    assert line.endswith("The code is too large")
    stack.refusal = ""
    stack.save("sql/queries/runs/find_run.sql", "SELECT 1")
    assert stack.told() == ["Reloaded the functions: nightshift_jobs/greeting/job.py and 1 other file changed."]


def test_code_that_the_functions_cannot_start_with_is_told(stack: Stack) -> None:
    stack.error = "NameError: name 'x' is not defined"
    stack.save(JOB, "x")
    assert stack.told() == [
        "Reloaded the functions: nightshift_jobs/greeting/job.py changed.",
        "The functions cannot start until you correct this: NameError: name 'x' is not defined",
    ]


@pytest.mark.parametrize("name", ["template.yaml", "sql/jobs/0001_runs.sql", "sql/jobs/0002_next.sql"])
def test_what_a_deployment_alone_applies_needs_a_restart(stack: Stack, name: str) -> None:
    stack.save(name, "changed")
    restart = f"{name} changed. Press Ctrl-C and start `make run` again to apply it."
    assert stack.told() == [restart]
    assert stack.updates == 0
    # It is told once, and holds nothing else up.
    stack.save(JOB, "# changed")
    assert stack.told() == ["Reloaded the functions: nightshift_jobs/greeting/job.py changed."]


def write(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text("changed")


@pytest.mark.parametrize(
    "change",
    [
        write("README.md"),
        write("functions/nightshift_jobs/greeting/.job.py.swp"),
        write("functions/nightshift_jobs/greeting/job.py~"),
        lambda folder: (folder / "functions/.#job.py").symlink_to("me@machine.1"),
        lambda folder: (folder / "functions/lock.py").symlink_to("nowhere"),
        lambda folder: (folder / "functions/__pycache__").mkdir() or write("functions/__pycache__/job.pyc")(folder),
        lambda folder: os.utime(folder / "functions/nightshift_jobs"),
    ],
    ids=["a page", "swap file", "copy", "lock", "dangling", "compiled", "folder"],
)
def test_what_editors_and_python_write_is_no_change(stack: Stack, change: Callable[[Path], object]) -> None:
    change(stack.folder)
    assert stack.told() == []
    assert stack.updates == 0


def test_a_change_during_the_start_is_handled_after_it(stack: Stack) -> None:
    stack.save(JOB, "# saved before the first look")
    assert len(stack.told()) == 1

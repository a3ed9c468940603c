"""A deployment migrates first, so the previous release works on the new schema until it ends or is rolled back.

So migrations only add, and code ignores additions. The release before this one runs on this one's schema: the last tag
or, until there is one, the commit in previous_release.txt. A checkout without history lacks both. This release runs on
a schema with additional columns in every table.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
# The main path: trigger, slices, endings.
TESTS = ["tests/executor/test_executor.py", "tests/api/test_runs.py"]

GROWN = """
DO $$
DECLARE grown regclass;
BEGIN
    FOR grown IN SELECT oid FROM pg_class
        WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN grown text NOT NULL DEFAULT ''later''', grown);
    END LOOP;
END $$;
"""


def git(*arguments: str) -> str:
    """Return the command's output; nothing if it fails."""
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def previous_release() -> str:
    """Return the last tag before this commit, otherwise the commit in the file. Nothing without history."""
    commit = (Path(__file__).parent / "previous_release.txt").read_text().strip()
    last_tag = git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*", "HEAD^")
    return last_tag or git("rev-parse", "--verify", f"{commit}^{{commit}}")


def this_release(folder: Path) -> None:
    for name in ("functions", "layers", "local", "nightshift_cli", "sql", "events", "tests", "tools"):
        shutil.copytree(CHECKOUT / name, folder / name, symlinks=True)
    for name in ("conftest.py", "pyproject.toml", "template.yaml"):
        shutil.copy(CHECKOUT / name, folder)
    (folder / "sql/jobs/9999_grown.sql").write_text(GROWN)


def release_before(name: str) -> Callable[[Path], None]:
    def fetch(folder: Path) -> None:
        archive = subprocess.run(["git", "archive", name], cwd=CHECKOUT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "--extract", "--file", "-", "--directory", folder], input=archive, check=True)
        for migrations in ("sql/platform", "sql/jobs"):
            shutil.rmtree(folder / migrations)
            shutil.copytree(CHECKOUT / migrations, folder / migrations)

    return fetch


PREVIOUS = previous_release()
RELEASES = {"this release, on tables that have grown": this_release} | (
    {"the previous release, on this schema": release_before(PREVIOUS)} if PREVIOUS else {}
)


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_a_release_works_on_its_successors_schema(release: Callable[[Path], None], tmp_path: Path) -> None:
    release(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHONPATH"))}
    environment["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path)  # pytest closes that folder to other users
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:schemathesis", *TESTS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert re.search(r"\d{2,} passed", done.stdout)

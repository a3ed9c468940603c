"""A platform's settings for its database and our roles do not change Nightshift's behaviour.

The main path runs with an unusual value for every setting that a session depends on (tests/support/hostile.py).
Roles belong to a whole server, so the run has its own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import hostile

TESTS = {
    "API, executor, schedules": [
        *("tests/api/test_api.py", "tests/api/test_runs.py"),
        *("tests/executor/test_executor.py", "tests/schedules/test_schedules.py"),
    ],
    "partitions and cleanup": [
        "functions/nightshift_jobs/partition_creation/test_partition_creation.py",
        "functions/nightshift_jobs/soft_delete_cleanup/test_soft_delete_cleanup.py",
    ],
}
# Tests that repeat their work for every step or for many examples take minutes, and depend on no other settings.
TOO_LONG = "killed or Killed or topmost or after_any_step or a_fortnight"


@pytest.mark.parametrize("tests", TESTS.values(), ids=TESTS)
def test_it_works_in_a_database_whose_every_setting_is_another_one(tests: list[str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path)  # pytest closes that folder to other users
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:schemathesis",
            "-k",
            f"not ({TOO_LONG})",
            *tests,
        ],
        env=environment | {hostile.ASKED_FOR: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert re.search(r"\d{2,} passed", done.stdout)

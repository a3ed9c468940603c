"""Each benchmark still runs, although a change of what it measures is made without running it."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import bench

# The smallest form of those that take seconds. The others are only imported here, or have tests of their own.
CHEAP = {
    "schedules": ["--schedules", "30"],
    "sync_budget": ["--users", "10"],
    "sync_company": ["--users", "10"],
    "sync_faults": ["--seeds", "1"],
    "sync_warm": ["--users", "60"],
}


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(bench.__path__) if not module.ispkg])
def test_a_benchmark_can_be_imported(name):
    import_module(f"bench.{name}")


@pytest.mark.parametrize("name", CHEAP)
def test_the_smallest_form_of_a_benchmark_ends_with_figures(name):
    run = subprocess.run([sys.executable, "-m", f"bench.{name}", *CHEAP[name]], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert any(character.isdigit() for character in run.stdout)

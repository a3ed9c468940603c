"""A process with all packages and a Postgres, but without the checkout's own code. Each trial is a fork of it."""

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ports import free_port
from local.postgres import Postgres
from tests.mutants import fork
from tests.mutants.child import Verdict, run_tests

# The path of the product's modules, as in pyproject.toml for pytest.
PATHS = ("functions",)


@dataclass(frozen=True)
class Trial:
    """A trial. ``prepare`` installs the mutant in the fork. It gets a folder, and the fixtures, which it may change.

    ``tests`` run batch by batch, until one fails.
    """

    name: Any
    tests: list[list[str]]
    prepare: Callable[[Path, dict[str, Any]], None]
    trace: bool = False


class Warm:
    def __init__(self, server: Postgres, folder: Path, *, patience_s: float):
        self.given: dict[str, Any] = {"postgres": server}
        self._folder = folder
        self._patience_s = patience_s

    def ask(self, function: Callable[[], Any]) -> Any:
        """Return the function's result from a fork, or raise its exception. Its imports stay in the fork."""
        [(_, answer)] = fork.each([(None, lambda folder: function())], folder=self._folder, patience_s=self._patience_s)
        if isinstance(answer, fork.Failed):
            raise answer
        return answer

    def run(self, trials: Iterable[Trial]) -> Iterator[tuple[Trial, Verdict]]:
        """Yield each trial with its verdict, in the order in which they end."""

        def trying(trial: Trial) -> Callable[[Path], Verdict]:
            def attempt(folder: Path) -> Verdict:
                given = dict(self.given)
                trial.prepare(folder, given)
                verdict = Verdict()
                for batch in trial.tests:
                    verdict = run_tests(batch, given=given, trace=trial.trace)
                    if verdict.failed or verdict.is_fault:
                        break
                return verdict

            return attempt

        tasks = ((trial, trying(trial)) for trial in trials)
        for trial, answer in fork.each(tasks, folder=self._folder, patience_s=self._patience_s):
            yield trial, Verdict(is_fault=True, error=str(answer)) if isinstance(answer, fork.Failed) else answer


@contextmanager
def warmed(test_files: list[str], *, patience_s: float = 300) -> Iterator[Warm]:
    """Start the server, migrate its template and load the packages that these tests load."""
    sys.path[:0] = PATHS
    with tempfile.TemporaryDirectory(prefix="nightshift-mutants-") as name:
        folder = Path(name)
        server = Postgres(folder / "postgres", free_port())
        server.start(fsync="off", full_page_writes="off")
        try:
            warm = Warm(server, folder, patience_s=patience_s)
            warm.given["template"] = warm.ask(lambda: _migrated(server))
            for module in warm.ask(lambda: _packages_of(test_files)):
                importlib.import_module(module)
            yield warm
        finally:
            server.stop("immediate")


def _migrated(server: Postgres) -> str:
    from nightshift.database.queries import Database
    from tests.support.fixtures import make_template, settings_for

    return make_template(server, Database(settings_for(server, "postgres", user="postgres")))


def _packages_of(test_files: list[str]) -> list[str]:
    import pytest

    before = set(sys.modules)
    pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", *test_files])
    return sorted(
        name
        for name, module in sys.modules.items()
        if name not in before and f"{os.sep}site-packages{os.sep}" in (getattr(module, "__file__", None) or "")
    )

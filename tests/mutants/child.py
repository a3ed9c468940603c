"""The work of a forked process: install a mutant, run tests and exit, which leaves no trace."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

# These are not refusals by the product. A mutant that ends in one of these was never tried.
FAULTS = ("SyntaxError", "ImportError", "ModuleNotFoundError", "FixtureLookupError", "SignInRefused")

# The parent process has imported packages that pytest would rewrite.
LOADED_BEFORE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")


@dataclass
class Verdict:
    """``failed`` is the first failed test, ``error`` its exception; ``ran`` has the seconds of each test."""

    ran: dict[str, float] = field(default_factory=dict)
    failed: str = ""
    error: str = ""
    is_fault: bool = False
    seconds: float = 0
    touched: dict[str, list[str]] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """Return ``killed`` by a test, ``survived`` all tests, or ``fault``: never tried."""
        if self.is_fault:
            return "fault"
        return "killed" if self.failed else "survived"


class Given:
    """Fixtures from the parent process: one Postgres server and one template for all."""

    def __init__(self, values: dict[str, Any]):
        self._values = values

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        if fixturedef.argname not in self._values:
            return None
        value = self._values[fixturedef.argname]
        fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
        return value


class Watch:
    """Record the tests that ran and the first failed one; with ``trace``, also the functions that each reached."""

    def __init__(self, verdict: Verdict, *, trace: bool):
        self._verdict = verdict
        self._trace = trace

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        began, reached = time.monotonic(), set()
        with reaching(reached) if self._trace else nullcontext():
            result = yield
        self._verdict.ran[item.nodeid] = round(time.monotonic() - began, 2)
        if self._trace:
            self._verdict.touched[item.nodeid] = sorted(reached)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        if self._verdict.failed:
            return
        self._verdict.failed = report.nodeid
        kind = type(call.excinfo.value)
        text = " ".join(str(call.excinfo.value).split())[:160]
        self._verdict.error = f"{kind.__name__}: {text}"
        self._verdict.is_fault = isinstance(node, pytest.Collector) or kind.__name__ in FAULTS


@contextmanager
def reaching(reached: set[str]) -> Iterator[None]:
    """Record the product's functions and queries that are called in any thread during the block."""

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "/functions/nightshift/" in frame.f_code.co_filename:
            reached.add(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}")
            if frame.f_code.co_name == "_run_prepared":
                reached.add(frame.f_locals["name"])

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def run_tests(tests: list[str], *, given: dict[str, Any], trace: bool = False) -> Verdict:
    """Run these tests until one fails."""
    verdict, began = Verdict(), time.monotonic()
    flags = ["-q", "-x", "-p", "no:cacheprovider", *LOADED_BEFORE]
    code = pytest.main([*flags, *tests], plugins=[Given(given), Watch(verdict, trace=trace)])
    verdict.seconds = round(time.monotonic() - began, 2)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        verdict.is_fault = True
        verdict.error = verdict.error or f"pytest ended with {code!r}"
    return verdict


def put_query(name: str, text: str, folder: Path) -> None:
    """Make the product in this process find this text under the query's name."""
    folder.mkdir()
    path = folder / f"{name}.sql"
    path.write_text(text)
    importlib.import_module("nightshift.database.queries").query_files()[name] = path


def altered_template(given: dict[str, Any], script: str) -> str:
    """Alter a copy of the template with the script and return its name."""
    from nightshift.database.queries import Database
    from nightshift.testing.database_copy import copy_database
    from tests.support.fixtures import settings_for

    name = f"mutant_{uuid.uuid4().hex}"
    superuser = Database(settings_for(given["postgres"], "postgres", user="postgres"))
    copy_database(superuser, given["template"], name)
    superuser.close()
    owner = Database(settings_for(given["postgres"], name, user="postgres"))
    owner.run_script(script)
    owner.close()
    return name


def put_module(name: str, text: str) -> None:
    """Make ``import`` in this process find this text under the module's name."""
    sys.meta_path.insert(0, _Finder(name, text))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, text: str):
        self._name, self._text = name, text

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self._name:
            return None
        original = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert original
        assert original.origin
        loader = _Loader(fullname, original.origin)
        loader.text = self._text
        return importlib.util.spec_from_file_location(fullname, original.origin, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    text: str

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")

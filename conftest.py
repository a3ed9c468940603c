"""The fixtures of all tests. Tests of a job are in the job's folder, so this file is above both."""

import importlib.util

# Playwright is missing where `make test-browser` has never run.
HAS_PLAYWRIGHT = importlib.util.find_spec("playwright") is not None
collect_ignore_glob = [] if HAS_PLAYWRIGHT else ["tests/dashboard/test_browser*.py"]
pytest_plugins = [
    "nightshift.testing.job_run",
    "tests.support.fixtures",
    *(f"tests.support.{world}_world" for world in ("stack", "cli", "operator", "executor", "mail", "sync")),
    "tests.support.two_sessions",
    *(["tests.support.browser_world"] if HAS_PLAYWRIGHT else []),
]

"""Tests end what they start, however they were started themselves."""

import signal
import sys

import pytest

from tests.support import fixtures
from tests.support.processes import started

SLEEPING = [sys.executable, "-c", "import signal; print('ready', flush=True); signal.pause()"]


def test_a_process_ends_with_the_test_that_fails():
    with pytest.raises(ZeroDivisionError), started(SLEEPING) as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


def test_ctrl_c_reaches_what_a_test_starts_though_a_script_ignores_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fixtures.pytest_configure()
        with started(SLEEPING, stdout=-1) as process:
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode != 0

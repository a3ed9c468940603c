"""The command's end when its output, its terminal or its first second is unusual."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_world import ACME, RUN, TEAM, TOKEN, Nightshift, Script, environment, run
from tests.support.processes import started

START = [sys.executable, "-W", "error", "-m", "nightshift_cli"]
ASCII = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def ended(command: str, *, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Return bash's result, with this command as ``nightshift``."""
    shell = f'nightshift() {{ {" ".join(START)} "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", shell], env=env, capture_output=True, timeout=60)


@pytest.fixture
def many(api: Script) -> Script:
    """Script more output than a pipe holds."""
    page = {"job_runs": [run(id=f"r{number}") for number in range(2000)], "cursor": None, "has_more": False}
    api.on(f"GET /v1/teams/{TEAM}/jobs", page)
    return api


@pytest.mark.parametrize("arguments", ["jobs list", "jobs list --format json", "jobs list --help"])
def test_a_full_disk_is_told(many: Script, arguments: str) -> None:
    done = ended(f"nightshift {arguments} > /dev/full", env=environment(many))
    assert (done.returncode, done.stderr) == (
        6,
        b"Error: The output cannot be written: No space left on device.\n",
    )


@pytest.mark.parametrize("arguments", ["jobs list", "jobs list --format json", "jobs list --help"])
def test_a_reader_that_has_seen_enough_is_no_error(many: Script, arguments: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*START, *arguments.split()], env=environment(many), stdout=theirs, stderr=subprocess.PIPE, timeout=60
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")
    done = ended(f"nightshift {arguments} | head -1", env=environment(many))
    assert (done.stdout.count(b"\n"), done.stderr) == (1, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_end_nothing(api: Script, closed: str) -> None:
    api.runs(run("failed", error="No key"))
    done = ended(f"nightshift jobs view {RUN} {closed}", env=environment(api))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_without_utf_8_ends_nothing(api: Script) -> None:
    api.runs(run("failed", error="Schlüssel 🔑"))
    for arguments in (f"jobs view {RUN}", "jobs view --help", "system doctor --help", "--help"):
        done = ended(f"nightshift {arguments}", env=environment(api) | ASCII)
        assert (done.returncode, done.stderr) == (0, b""), arguments
        assert done.stdout.isascii()
    done = ended(f"nightshift jobs view {RUN} --format json", env=environment(api) | ASCII)
    assert json.loads(done.stdout)["error"] == "Schlüssel 🔑"


def test_bytes_that_are_no_text_are_a_usage_error(api: Script) -> None:
    done = ended("nightshift jobs list --type $'\\xff'", env=environment(api))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"'?' contains bytes that are not valid" in done.stderr
    assert api.requests == []


# Send Ctrl-C at the first import of one of our other modules.
INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "nightshift_cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from nightshift_cli.__main__ import start
start()
"""


def test_ctrl_c_while_python_imports(api: Script) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "--help"], env=environment(api), capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


# Send another Ctrl-C after the output, while Python exits.
LATE = """
import atexit, os, signal
atexit.register(os.kill, os.getpid(), signal.SIGINT)
from nightshift_cli.__main__ import start
start()
"""
FAULTY = """
import nightshift_cli.main
nightshift_cli.main.main = lambda **_: {}["no such key\\x1b[2J"]
from nightshift_cli.__main__ import start
start()
"""


def test_ctrl_c_while_python_ends(api: Script) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE, "--version"], env=environment(api), capture_output=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_fault_of_ours_is_a_line(api: Script) -> None:
    done = subprocess.run([sys.executable, "-c", FAULTY], env=environment(api), capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (70, b"")
    assert done.stderr.startswith(
        b"Error: Internal error in nightshift: KeyError: 'no such key\\x1b[2J' (<string>, line 3)"
    )
    assert done.stderr.count(b"\n") == 1


def test_ctrl_c_at_a_question(api: Script) -> None:
    ours, theirs = os.openpty()
    env = {name: value for name, value in environment(api).items() if not name.startswith("NIGHTSHIFT_")}
    with started(
        [*START, "login"], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = b""
        while b"API URL:" not in seen:
            seen += os.read(ours, 1024)
        # Python notices a signal just before it waits for a key only with the next one; users see the same.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        assert process.returncode == 130
    # On Linux, reading from a closed terminal raises an error after the remaining output.
    with contextlib.suppress(OSError):
        while sent := os.read(ours, 1024):
            seen += sent
    os.close(ours)
    assert b"Interrupted." in seen
    assert b"Traceback" not in seen


@pytest.mark.parametrize(("link", "arguments"), [("/", ()), (f"/runs/{RUN}", (RUN,))])
def test_open_prints_the_link_where_there_is_no_terminal(
    api: Script, nightshift: Nightshift, link: str, arguments: tuple[str, ...]
) -> None:
    for extra in ((), ("--print",)):
        assert nightshift("open", *arguments, *extra).stdout == f"{api.url}{link}\n"
    assert json.loads(nightshift("open", *arguments, "--format", "json").stdout) == {"url": api.url + link}
    assert api.requests == []
    # The fixture with this name asserts that no output contains the token.
    assert "--sign-in --print" in nightshift("open", *arguments, "--sign-in").stdout


def test_open_signs_in_only_when_it_is_asked_to(api: Script, tmp_path: Path) -> None:
    done = ended(f"nightshift open {RUN} --sign-in --print", env=environment(api))
    assert done.stdout.decode() == f"{api.url}/runs/{RUN}#token={TOKEN}\n"

    (browser := tmp_path / "browser").write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(0o700)
    for extra, opened in (((), ""), (("--sign-in",), f"#token={TOKEN}")):
        ours, theirs = os.openpty()
        with started(
            [*START, "open", RUN, *extra], stdout=theirs, env=environment(api) | {"BROWSER": str(browser)}
        ) as process:
            os.close(theirs)
            seen = os.read(ours, 4096).decode()
            assert process.wait(timeout=30) == 0
        os.close(ours)
        assert f"Opened {api.url}/runs/{RUN}" in seen.replace("\r\n", "")
        assert TOKEN not in seen
        assert (tmp_path / "opened").read_text() == f"{api.url}/runs/{RUN}{opened}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(nightshift: Nightshift, shell: str) -> None:
    script = nightshift("completion", shell).stdout
    assert f"_NIGHTSHIFT_COMPLETE={shell}_complete" in script


def test_bash_completes_commands_and_options(api: Script) -> None:
    question = {"_NIGHTSHIFT_COMPLETE": "bash_complete", "COMP_WORDS": "nightshift jobs c", "COMP_CWORD": "2"}
    assert ended("nightshift", env=environment(api) | question).stdout == b"plain,cancel\n"
    question |= {"COMP_WORDS": "nightshift jobs list --sta"} | {"COMP_CWORD": "3"}
    assert ended("nightshift", env=environment(api) | question).stdout == b"plain,--status\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("jobs trigger revenuecat_s", "plain,revenuecat_sync\n"),
        ("jobs list --type revenuecat_b", "plain,revenuecat_backfill\n"),
        ("jobs trigger revenuecat_sync --project ac", "plain,acme\n"),
        (f"jobs view {RUN[:6]}", f"plain,{RUN}\n"),
        ("jobs view 00", "\n"),
    ],
)
def test_bash_completes_values_that_the_api_has(api: Script, typed: str, offered: str) -> None:
    api.on("GET /v1/projects", {"projects": [ACME, ACME | {"slug": "other"}]})
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [run()], "cursor": None, "has_more": False})
    question = {"_NIGHTSHIFT_COMPLETE": "bash_complete", "COMP_WORDS": f"nightshift {typed}"}
    question |= {"COMP_CWORD": str(len(typed.split()))}
    assert ended("nightshift", env=environment(api) | question).stdout.decode() == offered


def test_completion_tells_no_failure(api: Script) -> None:
    api.on("GET /v1/projects", {"error": "Invalid or expired token"}, status=401)
    question = {"_NIGHTSHIFT_COMPLETE": "bash_complete", "COMP_WORDS": "nightshift jobs list --project a"}
    done = ended("nightshift", env=environment(api) | question | {"COMP_CWORD": "4"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\n", b"")


@pytest.mark.parametrize("group", [(), ("jobs",), ("jobs", "trigger"), ("system", "health")])
def test_h_is_help(nightshift: Nightshift, group: tuple[str, ...]) -> None:
    assert nightshift(*group, "-h").stdout == nightshift(*group, "--help").stdout


# Let the registry find jobs in one more folder.
WITH_JOBS = """
import sys, nightshift_jobs
nightshift_jobs.__path__.append(sys.argv.pop(1))
from nightshift_cli.__main__ import start
start()
"""


@pytest.mark.parametrize(
    ("declaration", "sentence"),
    [
        ("JOB_TYPE = 3", "nightshift_jobs/bad must declare JOB_TYPE = JobType(name='bad', …), got 3."),
        ("", "nightshift_jobs/bad must declare JOB_TYPE = JobType(name='bad', …), got None."),
        ("1 / 0", "nightshift_jobs/bad/__init__.py cannot be imported: ZeroDivisionError: division by zero."),
        (
            "def (",
            "nightshift_jobs/bad/__init__.py cannot be imported: SyntaxError: invalid syntax (__init__.py, line 1).",
        ),
    ],
)
def test_a_job_that_is_declared_wrongly_is_named(api: Script, tmp_path: Path, declaration: str, sentence: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "__init__.py").write_text(declaration)
    command = [sys.executable, "-c", WITH_JOBS, str(tmp_path), "--version"]
    done = subprocess.run(command, env=environment(api), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr == f"Error: {sentence} Correct that file, or remove its folder.\n"

"""The stack's processes: each in a session of its own and marked, so that what a killed run left behind is found."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

# Names the stack's folder in the environment of its processes and, inherited, of theirs.
MARK = "NIGHTSHIFT_STACK_FOLDER"

# What a process needs of its user's environment. The rest (AWS_PROFILE, PYTHONPATH, LANG …) would make it behave
# otherwise.
INHERITED = ("PATH", "HOME", "SYSTEMROOT")


def start(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a process whose output goes to ``log``, anew each time. It does not see the terminal's Ctrl-C."""
    with private_log(log, mode="wb") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=clean_environment() | {MARK: str(folder)} | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )


def private_log(log: Path, *, mode: str) -> IO[bytes]:
    """Opened for writing, and closed to the machine's other users, where an earlier release has left it open, too."""
    log.touch(mode=0o600)
    log.chmod(0o600)
    return log.open(mode)


def end(process: subprocess.Popen[bytes], *, patience_s: float = 3) -> None:
    """Ask the process to end, then end it and everything it has started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def left_behind(folder: Path) -> list[psutil.Process]:
    """Processes of the stack in ``folder`` that are alive, whoever started them."""
    return [process for process in psutil.process_iter() if _mark(process) == str(folder)]


def end_left_behind(folder: Path, *, patience_s: float = 5) -> int:
    """End them without asking, until none is left; returns how many there were.

    Raises RuntimeError for those that do not go.
    """
    ended = 0
    while found := left_behind(folder):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(found, timeout=patience_s)
        if alive:
            raise RuntimeError(f"Could not end process {alive[0].pid} of an earlier run. End it by hand and try again.")
        ended += len(found)
    return ended


def clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {"PYTHONUTF8": "1"}


@contextlib.contextmanager
def signals_end(*numbers: signal.Signals) -> Iterator[None]:
    """Inside, the first of these signals raises KeyboardInterrupt; later ones do not disturb the clean-up."""

    def interrupt(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, signals wait until the end: for what cannot be undone when it is half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _mark(process: psutil.Process) -> str | None:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return None
        mark: str | None = process.environ().get(MARK)
        return mark
    except (psutil.Error, OSError):
        return None  # another user's, or gone in between

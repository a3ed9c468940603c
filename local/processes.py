"""Start and end the stack's processes. Each has its own session and a mark, so that a later run can find leftovers."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

# The environment variable that names the stack's folder. Child processes inherit it.
MARK = "NIGHTSHIFT_STACK_FOLDER"

# The variables that a process takes from the user's environment. Others (AWS_PROFILE, PYTHONPATH, LANG …) would change
# its behaviour.
INHERITED = ("PATH", "HOME", "SYSTEMROOT")


def start(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a process that writes to ``log``, which is truncated first. The terminal's Ctrl-C does not reach it."""
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
    """Open the log for writing, readable only by this user even if an earlier release created it with wider access."""
    log.touch(mode=0o600)
    log.chmod(0o600)
    return log.open(mode)


def end(process: subprocess.Popen[bytes], *, patience_s: float = 3) -> None:
    """Terminate the process. After ``patience_s`` seconds, kill it and every process that it started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def left_behind(folder: Path) -> list[psutil.Process]:
    """Return the live processes of the stack in ``folder``, including those that another run started."""
    return [process for process in psutil.process_iter() if _mark(process) == str(folder)]


def end_left_behind(folder: Path, *, patience_s: float = 5) -> int:
    """Kill them until none is left and return their number. Raise RuntimeError if one cannot be killed."""
    ended = 0
    while found := left_behind(folder):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(found, timeout=patience_s)
        if alive:
            raise RuntimeError(f"Could not end process {alive[0].pid} of an earlier run. Kill it and try again.")
        ended += len(found)
    return ended


def clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {"PYTHONUTF8": "1"}


@contextlib.contextmanager
def signals_end(*numbers: signal.Signals) -> Iterator[None]:
    """Raise KeyboardInterrupt for the first of these signals. Ignore later ones, so that the clean-up can finish."""

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
    """Delay signals until the end of the block, for steps that must not be interrupted half-way."""
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
        return None  # another user's process, or one that has just ended

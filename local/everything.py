"""``make test``: every part of the proof. Tests wait now and then, so the other parts run beside them.

Some parts need a program that the machine may lack. It is fetched first; where that fails, the part is left out, which
is said before anything runs and shows in the exit code.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local import chromium
from local.deployment.build import UV, BuildFailed, interpreter, runtime

LEFT_OUT = 3
"""The exit code if all parts that ran passed and one was left out. make shows it as "Error 3" and exits with 2."""

INTERRUPTED = 130
DOWNLOAD_S = 600
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "PLAYWRIGHT_BROWSERS_PATH": str(chromium.FOLDER.absolute())}
Command = Sequence[str | Path]


@dataclass(frozen=True)
class Need:
    """A program, and the commands that fetch it."""

    name: str
    is_here: Callable[[], bool]
    commands: Callable[[], list[Command]]


@dataclass(frozen=True, eq=False)
class Part:
    name: str
    command: Command
    need: Need | None = None
    row: int = 0
    """The parts of a row run one after the other, beside the other rows: tests wait now and then."""


class Failed(Exception):
    def __init__(self, part: Part, code: int):
        super().__init__(f"Failed: {part.name} ({' '.join(map(str, part.command))})")
        self.code = code


def has_python() -> bool:
    try:
        interpreter(runtime())
    except BuildFailed:
        return False
    return True


def python_commands() -> list[Command]:
    return [["make", "--no-print-directory", ".venv/uv/ready"], [UV, "python", "install", runtime()]]


def chromium_commands() -> list[Command]:
    """As root on Debian its package, which brings the libraries that it needs; elsewhere the build of Playwright."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = ["--quiet=2", "--no-install-recommends", "--no-remove"]
        return [["apt-get", "update", "--quiet=2"], ["apt-get", "install", "--yes", *quiet, chromium.SHELL]]
    playwright = [".venv/bin/playwright", "install", "--only-shell", "chromium"]
    return [["make", "--no-print-directory", ".venv/browser/ready"], playwright]


PYTHON_OF_LAMBDA = Need("Lambda's Python", has_python, python_commands)
CHROMIUM = Need("Chromium", lambda: chromium.find() is not None, chromium_commands)
MAKE = ("make", "--no-print-directory")
PARTS = (
    # First, because parts that run at once must not change an environment in which another one runs. They set up the
    # tools' environments themselves; if two need the same one, one of them waits.
    Part("the tests' packages", [*MAKE, "test-packages"]),
    Part("the build", [*MAKE, "build"], PYTHON_OF_LAMBDA, row=1),
    Part("the tests of the whole stack", [*MAKE, "test-stack"], PYTHON_OF_LAMBDA, row=1),
    Part("lint, types and template", [*MAKE, "lint", "types", "template"], row=2),
    Part("the tests in a browser", [*MAKE, "test-browser"], CHROMIUM, row=2),
    Part("the tests", [*MAKE, "test-code"]),
)


def main() -> int:
    try:
        return run(PARTS)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED


def run(parts: Sequence[Part]) -> int:
    """Return 0, LEFT_OUT, or the exit code of the first part that failed; parts that run beside it are interrupted."""
    left_out = dict(_unavailable(parts))
    for part, reason in left_out.items():
        print(f"{part.need and part.need.name} is not here and cannot be fetched, so {part.name} is left out: {reason}")
    sys.stdout.flush()
    failed: list[Failed] = []
    try:
        asyncio.run(_run_all([part for part in parts if part not in left_out]))
    except* Failed as group:
        failed = [each for each in group.exceptions if isinstance(each, Failed)]
    if failed:
        print(failed[0], file=sys.stderr)
        return failed[0].code
    if left_out:
        print(f"Passed, without {' and '.join(part.name for part in left_out)} (exit code {LEFT_OUT})", file=sys.stderr)
        return LEFT_OUT
    return 0


async def _run_all(parts: Sequence[Part]) -> None:
    """Run the first row in order, and the others beside its last part. Their output is shown after its own, and that
    of a row that failed comes last.

    Raises a group of Failed.
    """
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # Ctrl-C cancels it, too
    first, *others = ([part for part in parts if part.row == row] for row in sorted({0, *(p.row for p in parts)}))
    with ExitStack() as files:
        outputs: dict[asyncio.Task[None], IO[bytes]] = {}
        try:
            async with asyncio.TaskGroup() as rows:
                await _run_in_order(first[:-1])
                for row in others:
                    output: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
                    outputs[rows.create_task(_run_in_order(row, output))] = output
                rows.create_task(_run_in_order(first[-1:]))
        finally:
            for task in sorted(outputs, key=_has_failed):
                outputs[task].seek(0)
                sys.stdout.write(outputs[task].read().decode(errors="replace"))
            sys.stdout.flush()


def _has_failed(task: asyncio.Task[None]) -> bool:
    """Tell a row that failed from one that ended well, and from one that was interrupted because another failed."""
    return not task.cancelled() and task.exception() is not None


async def _run_in_order(parts: Sequence[Part], output: IO[bytes] | None = None) -> None:
    """Run one part after the other, each in a process group of its own. If it is cancelled, interrupt the group."""
    for part in parts:
        process = await asyncio.create_subprocess_exec(
            *part.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does, so that it clears up after itself
            await process.wait()
            raise
        if code:
            raise Failed(part, code)


def _unavailable(parts: Sequence[Part]) -> Iterator[tuple[Part, str]]:
    for part in parts:
        if part.need and not part.need.is_here():
            print(f"Fetching {part.need.name} for {part.name} …", flush=True)
            reason = _fetch(part.need)
            if not part.need.is_here():
                yield part, reason or "what was fetched cannot be found"


def _fetch(need: Need) -> str:
    """Return why a command failed; nothing where all succeeded."""
    for command in need.commands():
        try:
            environment = os.environ | ENVIRONMENT
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_S
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            return str(exc)
        if done.returncode:
            last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            return f"{' '.join(map(str, command))} said {last[-1].strip() if last else 'nothing'!r}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

"""Run functions in forks of this process, as many at once as there are cores."""

import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

FORK = multiprocessing.get_context("fork")


class Failed(Exception):
    """A fork ended without an answer"""


def each(
    tasks: Iterable[tuple[Any, Callable[[Path], Any]]], *, folder: Path, patience_s: float
) -> Iterator[tuple[Any, Any]]:
    """Yield each task's name with its function's result, or with Failed. Each function gets its own folder."""
    waiting = iter(tasks)
    running: dict[Connection, tuple[Any, ForkProcess, float]] = {}
    while True:
        while len(running) < (os.cpu_count() or 1) and (task := next(waiting, None)):
            ours, theirs = FORK.Pipe(duplex=False)
            own = Path(tempfile.mkdtemp(dir=folder))
            process = FORK.Process(target=_answer, args=(task[1], theirs, own))
            process.start()
            theirs.close()
            running[ours] = (task[0], process, time.monotonic() + patience_s)
        if not running:
            return
        first_end = min(ends_at for _, _, ends_at in running.values())
        ready = wait(list(running), timeout=max(0, first_end - time.monotonic()))
        late = [connection for connection, (_, _, ends_at) in running.items() if ends_at <= time.monotonic()]
        for connection in {*ready, *late}:
            name, process, _ = running.pop(connection)
            yield name, _received(connection, process, patience_s)


def _received(connection: Connection, process: ForkProcess, patience_s: float) -> Any:
    try:
        answer = connection.recv() if connection.poll(0) else Failed(f"It took more than {patience_s:.0f} s")
    except EOFError:
        answer = Failed("Its process ended without an answer")
    if process.is_alive() and isinstance(answer, Failed) and process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    connection.close()
    return answer


def _answer(function: Callable[[Path], Any], connection: Connection, folder: Path) -> None:
    os.setpgid(0, 0)
    with (folder / "output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        try:
            answer = function(folder)
        except BaseException as exc:
            traceback.print_exc()
            answer = Failed(f"{type(exc).__name__}: {exc}")
        connection.send(answer)
        connection.close()
    # Threads of the tests may still run, so exit without any clean-up.
    os._exit(0)

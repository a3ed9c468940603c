"""Watch a run until it ends: a progress bar on a terminal, one line per change elsewhere."""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from nightshift_cli.base.failures import Failure, Interrupted, Throttled, Unreachable
from nightshift_cli.base.text import clean
from nightshift_cli.show.output import Output
from nightshift_cli.show.run_rows import LIVE, progress_of

# The pause grows: a run of seconds should show progress, a run of hours should not be polled four times a second.
FIRST_POLL_S, POLL_S, SLOWER = 0.25, 2, 1.3
# Consecutive failed polls before giving up: a minute if connections are refused, longer if they hang.
PATIENCE = 30
# While a run does not change, ask for its reason every fifth poll.
ASK_WHY_EVERY = 5


class Source(Protocol):
    """A source of runs: the API, or the operator's operate function. ``view`` is the command that shows a run."""

    @property
    def view(self) -> tuple[str, ...]: ...

    def run(self, run_id: str, *, attempts: int) -> dict[str, Any]: ...
    def timeline(self, run_id: str, *, attempts: int) -> dict[str, Any]: ...


def follow(api: Source, run: dict[str, Any], *, output: Output, sleep: Callable[[float], None]) -> dict[str, Any]:
    """Show the progress of ``run`` and return the ended run.

    Raise RequestRefused, Unreachable or, on Ctrl-C, Interrupted. Each message names the run, which continues.
    """
    failures, unchanged, pause_s = 0, 0, FIRST_POLL_S
    display = Bar(output) if output.is_live else Lines(output)
    try:
        display.show(run)
        with display:
            while run["status"] in LIVE:
                sleep(pause_s)
                pause_s = min(POLL_S, pause_s * SLOWER)
                try:
                    latest = api.run(run["id"], attempts=1)
                except (Unreachable, Throttled) as exc:
                    failures += 1
                    if failures == PATIENCE:
                        raise
                    display.note(f"{exc.message} Trying again …")
                    continue
                if latest != run or failures:
                    display.show(latest)
                unchanged = unchanged + 1 if latest == run else 0
                failures, run = 0, latest
                if unchanged and unchanged % ASK_WHY_EVERY == 0:
                    with contextlib.suppress(Failure):
                        display.note(clean(api.timeline(run["id"], attempts=1).get("why")))
    except KeyboardInterrupt:
        again = look_again(run["id"], view=api.view)
        raise Interrupted(f"Stopped watching; the run continues. {again}", body={"run_id": run["id"]}) from None
    except Failure as exc:
        exc.body = {"run_id": run["id"]} | exc.body
        exc.message = f"{exc.message} {look_again(run['id'], view=api.view)}"
        raise
    return run


def look_again(run_id: str, *, view: Sequence[str]) -> str:
    return f"To watch it: {follow_command(run_id, view=view)}"


def follow_command(run_id: str, *, view: Sequence[str]) -> str:
    """Return the command to follow a run, quoted for a shell."""
    # Without the project's environment on PATH, the command was called by a path: repeat that path.
    called = Path(sys.argv[0])
    program = "nightshift" if shutil.which("nightshift") or called.name != "nightshift" else str(called)
    return f"{shlex.join([program, *view, clean(run_id)])} --follow"


class Lines:
    """One line per change, for logs and pipes."""

    def __init__(self, output: Output):
        self._output = output
        self._state = self._note = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, run: dict[str, Any]) -> None:
        progress = progress_of(run)
        state = " ".join(filter(None, (clean(run["status"]), progress.counts, progress.message)))
        if state != self._state:
            self._output.say(state)
            self._state, self._note = state, ""

    def note(self, sentence: str) -> None:
        if sentence and sentence != self._note:
            self._output.say(sentence)
            self._note = sentence


class Bar:
    """A live progress bar. Its task's description is the run's latest message."""

    def __init__(self, output: Output):
        self._progress = Progress(
            TextColumn("{task.fields[status]}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=output.words,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None, status="", counts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, run: dict[str, Any]) -> None:
        processed, total, counts, message = progress_of(run)
        if not total and run["status"] not in LIVE:
            # The run never reported a total: show an empty or a full bar instead of a pulsing one.
            processed, total = int(run["status"] == "completed"), 1
        self._progress.update(
            self._task,
            completed=processed,
            total=total or None,
            status=clean(run["status"]),
            counts=counts,
            description=message,
            refresh=True,
        )

    def note(self, sentence: str) -> None:
        if sentence:
            self._progress.update(self._task, description=sentence, refresh=True)

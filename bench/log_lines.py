"""Claim: a step that logs ten lines needs one statement and one commit like a step without lines, and its yield takes at
most a tenth longer.

    make bench BENCH=log_lines
    make bench BENCH="log_lines --steps 20000"

Steps of a tenth of a second, on a clock that the script moves on. So each twentieth yield stores two hundred lines. The
server writes each commit to disk. The time of a yield is that of ``Slice.save``: its statement, its commit and what
belongs to them. What the job itself spends on making lines is shown apart; a step without lines computes for as long.
Steps of the two kinds take turns in blocks, in one run. Most of the time is the disk's, which other programs disturb, so
a yield with lines is 19 medians of those that store none and one of those that do. The counts are as in run_costs.py.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench import own_runs
from bench.costs import Cost, cost_of_each, counting_server
from bench.own_runs import Project, database_with_projects, functions_on, job_type, request, work_runs
from local.ports import free_port
from local.postgres import Postgres
from nightshift.base.logger import logger
from nightshift.jobs import Progress
from nightshift.runs.job_log import STORED_EVERY_S
from nightshift.runs.slices import Slice

LINES, STEP_S = 10, 0.1
FIRST, TOTAL = 1_000_000, 9_999_999


EVERY = round(STORED_EVERY_S / STEP_S)


@dataclass
class Times:
    """The times of yields (seconds): without lines, with lines, and those of them that stored lines."""

    without: list[float] = field(default_factory=list)
    unstored: list[float] = field(default_factory=list)
    storing: list[float] = field(default_factory=list)
    lines_s: float = 0

    @property
    def bare_us(self) -> float:
        return statistics.median(self.without) * 1e6

    @property
    def storing_us(self) -> float:
        return statistics.median(self.storing) * 1e6

    @property
    def with_lines_us(self) -> float:
        return ((EVERY - 1) * statistics.median(self.unstored) * 1e6 + self.storing_us) / EVERY


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.log_lines")
    parser.add_argument("--steps", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="on", synchronous_commit="on", checkpoint_timeout="1h", max_wal_size="16GB")
        try:
            [project, *_] = database_with_projects(server, "timed", projects=20)
            times = Times()
            take_steps(server, "timed", project, asked.steps, lines=LINES, times=times)
        finally:
            server.stop("immediate")
    print(f"yield without lines    {times.bare_us:6.0f} µs")
    print(f"yield, ten lines       {times.with_lines_us:6.0f} µs   {times.with_lines_us / times.bare_us:.3f} times")
    print(f"  of them each {EVERY}th    {times.storing_us:6.0f} µs   stores {LINES * EVERY} lines")
    print(f"making a line          {times.lines_s / asked.steps / LINES * 2e6:6.0f} µs   in the job's own time")
    with counting_server(autovacuum="off") as server:
        [project, *_] = database_with_projects(server, "counted", projects=20)
        for lines in (0, LINES):
            cost = cost_of_steps(server, "counted", project, steps=2_000, lines=lines)
            print(
                f"{lines:>2} lines a step: {cost.statements:.2f} statements, {cost.commits:.2f} commits, "
                f"{cost.buffers:.1f} buffers, {cost.wal_bytes:.0f} bytes of WAL, {cost.index_entries:.2f} index entries"
            )


def cost_of_steps(server: Postgres, database: str, project: Project, *, steps: int, lines: int) -> Cost:
    """Return the cost of one of these steps."""

    def work(count: int) -> None:
        take_steps(server, database, project, count, lines=lines)

    return cost_of_each(work, server, database, many=100 + steps)


def take_steps(
    server: Postgres, database: str, project: Project, steps: int, *, lines: int, times: Times | None = None
) -> None:
    """Work a run of so many steps, each of which logs so many lines. With ``times``, blocks of steps log none."""
    clock, took_s = {"left_s": 1e6}, 0.0
    real_save = Slice.save

    def save(current: Slice, step: Progress) -> None:
        stores = current.log.due().text is not None
        began = time.perf_counter()
        real_save(current, step)
        if times:
            kind = times.storing if stores else times.unstored if logs(step.processed - FIRST) else times.without
            kind.append(time.perf_counter() - began)

    def logs(number: int) -> bool:
        return not times or number // EVERY % 2 == 0

    def stepping(run: Any, db: Any) -> Any:
        nonlocal took_s
        for number in range(steps):
            began = time.perf_counter()
            if lines and logs(number):
                for line in range(lines):
                    run.log("Looked at a subscriber of the project", user=FIRST + number * lines + line, entitlements=2)
                if times:
                    took_s = time.perf_counter() - began
                    times.lines_s += took_s
            while times and time.perf_counter() < began + took_s:
                pass
            clock["left_s"] -= STEP_S
            done = FIRST + number
            yield Progress(processed=done, total=TOTAL, message="Counted", cursor={"done": done})

    own_runs.CONTEXT.get_remaining_time_in_millis = lambda: clock["left_s"] * 1000
    with (
        functions_on(server, database) as sent,
        patch.dict(os.environ, {"SLICE_BUDGET_S": "1000000"}),
        patch.object(Slice, "save", save),
        silent(),
        job_type(stepping) as name,
    ):
        work_runs([project], name, sent=sent, trigger=request, at_once=1)
    own_runs.CONTEXT.get_remaining_time_in_millis = lambda: 60_000


@contextmanager
def silent() -> Iterator[None]:
    """Write the lines for CloudWatch, and the metrics, nowhere."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        before = logger.registered_handler.setStream(nowhere)
        try:
            yield
        finally:
            logger.registered_handler.setStream(before)


if __name__ == "__main__":
    main()

"""``make run``: starts the stack, shows a sync from trigger to completion, and stays until Ctrl-C."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import urllib3
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local.processes import signals_end
from local.stack import Ports, Stack, running

LIVE = ("pending", "running")
POLL_S = 0.3
CHECK_S = 1


class DemoFailed(RuntimeError):
    """The demo did not get to its end"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".local"), help="where it keeps its data (.local)")
    folder: Path = parser.parse_args().folder
    console = Console(highlight=False, soft_wrap=True)
    try:
        with signals_end(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            stack = Stack(folder, ports=Ports.from_environment(), say=lambda line: console.print(escape(line)))
            try:
                with running(stack) as here:
                    try:
                        show_a_sync(here, stack=stack, console=console)
                    except DemoFailed as exc:
                        # The stack stays up, for whoever wants to find out why.
                        console.print(f"[red]{escape(str(exc))}[/red]")
                    console.print(welcome(here, folder=folder))
                    while True:
                        time.sleep(CHECK_S)
                        stack.check()
            except KeyboardInterrupt:
                console.print(f"\nStopped: no process is left. The data stay in {folder} for the next start.")
    except RuntimeError as exc:
        console.print(f"[red]{escape(str(exc))}[/red]")
        sys.exit(1)
    except OSError as exc:
        # A full disk, a folder that is read-only, no more processes: what Python says, without its traceback.
        where = f"{exc.filename}: " if exc.filename and str(exc.filename) != str(folder) else ""
        console.print(f"[red]{escape(f'Nightshift cannot run in {folder}: {where}{exc.strerror or exc}.')}[/red]")
        sys.exit(1)


def show_a_sync(here: dict[str, Any], *, stack: Stack, console: Console) -> None:
    """Raises DemoFailed where it does not complete, with the run's own error."""
    console.print(
        f"Triggering a RevenueCat Sync of 1,000 users (the sandbox allows {stack.revenuecat_budget:,} calls a minute; "
        "RevenueCat itself allows 480, which would take about six minutes)"
    )
    path = f"/v1/teams/{here['team_id']}/jobs/trigger"
    wish = {"job_type": "revenuecat_sync", "project_id": here["project_id"], "notify": True}
    status, body = call(here, "POST", path, wish)
    nudge = None
    if status == 409:
        run_id = body["existing_run_id"]
        console.print(
            f"The stack was stopped during run {run_id}, so that one goes on from its checkpoint, as soon as its lost "
            "worker or message is noticed: within a minute"
        )
        # EventBridge would do it once a minute: nobody should have to watch that.
        nudge = partial(stack.invoke, "SweepFunction", {})
    elif status == 201:
        run_id = body["job_run"]["id"]
    else:
        raise DemoFailed(f"The API refused the trigger with {status}: {body.get('error')}")
    polls = poll(here, run_id, nudge=nudge)
    run = (follow_with_bar if console.is_terminal else follow_in_lines)(polls, console=console)
    if run["status"] != "completed":
        raise DemoFailed(f"Run {run_id} {run['status']}: {run['error']}")
    console.print(f"Run {run_id} completed: {run['progress']['message']}")


def poll(here: dict[str, Any], run_id: str, *, nudge: Callable[[], object] | None) -> Iterator[dict[str, Any]]:
    """The run as it is now, again and again, until it is over, with a ``nudge`` every few polls."""
    for number in count():
        if nudge and number % 10 == 0:
            nudge()
        status, body = call(here, "GET", f"/v1/jobs/{run_id}")
        if status != 200:
            raise DemoFailed(f"The API answered {status}: {body.get('error')}")
        yield body["job_run"]
        if body["job_run"]["status"] not in LIVE:
            return
        time.sleep(POLL_S)


def follow_with_bar(polls: Iterator[dict[str, Any]], *, console: Console) -> dict[str, Any]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        for run in polls:
            progress = run["progress"] or {"processed": 0, "total": None, "message": run["status"]}
            bar.update(
                task,
                completed=progress["processed"],
                total=progress["total"],
                description=escape(progress["message"] or run["status"]),
            )
    return run


def follow_in_lines(polls: Iterator[dict[str, Any]], *, console: Console) -> dict[str, Any]:
    shown = None
    for run in polls:
        progress = run["progress"]
        line = f"{progress['processed']}/{progress['total']} {progress['message']}" if progress else run["status"]
        if line != shown:
            console.print("  " + escape(line))
        shown = line
    return run


def welcome(here: dict[str, Any], *, folder: Path) -> str:
    return f"""
[bold]Nightshift is up.[/bold] Ctrl-C stops it.
  Dashboard   {here["dashboard_url"]}#token={here["admin_token"]}
  API         {here["api_url"]}
  RevenueCat  {here["revenuecat_url"]} (a sandbox)
  Mailbox     {here["mailbox_page_url"]} (what SES would have sent; the sync's mail is there)
  Keys        {folder}/stack.json
  Logs        {folder}/engine.log

Try in another terminal, in this folder:
  .venv/bin/nightshift jobs list
  .venv/bin/nightshift jobs trigger revenuecat_sync --wait
  .venv/bin/nightshift system health
"""


def call(here: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON body. Raises DemoFailed where there is no such answer."""
    headers = {"Authorization": f"Bearer {here['agent_key']}"}
    # A first call waits for a function to start, on a busy machine for long.
    timeout = urllib3.Timeout(total=60)
    url = here["api_url"] + path
    try:
        answer = urllib3.request(method, url, json=body, headers=headers, timeout=timeout, retries=False)
        return answer.status, answer.json()
    except (urllib3.exceptions.HTTPError, ValueError) as exc:
        raise DemoFailed(f"No answer from {url}: {exc}") from exc


if __name__ == "__main__":
    main()

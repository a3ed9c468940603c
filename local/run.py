"""``make run``: start the local stack, run one demo sync from trigger to completion, and stay up until Ctrl-C.

While it is up, changed code is brought into the stack. NIGHTSHIFT_DEMO=0 leaves the demo sync out.
"""

import argparse
import os
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

from local.ports import Ports
from local.processes import signals_end
from local.reload import Watch
from local.stack import CHECKOUT, CannotStart, Stack, running
from nightshift_cli.show.run_rows import progress_of

LIVE = ("pending", "running")
POLL_S = 0.3
# How often it looks for changed files. A change is handled at the second look after it.
LOOK_S = 0.25


class DemoFailed(RuntimeError):
    """The demo sync did not complete"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".local"), help="the stack's folder (default: .local)")
    folder: Path = parser.parse_args().folder
    console = Console(highlight=False, soft_wrap=True)
    try:
        with signals_end(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            stack = Stack(folder, ports=Ports.from_environment(), say=lambda line: console.print(escape(line)))
            demo = wants_demo()
            watch = Watch(
                CHECKOUT, update=stack.update_code, error=stack.start_error, declare=stack.declare, say=stack.say
            )
            try:
                with running(stack) as here:
                    if demo:
                        try:
                            show_a_sync(here, stack=stack, console=console)
                        except DemoFailed as exc:
                            # The stack stays up, so that the developer can find out why.
                            console.print(f"[red]{escape(str(exc))}[/red]")
                    console.print(welcome(here, folder=folder))
                    while True:
                        time.sleep(LOOK_S)
                        stack.check()
                        watch.look()
            except KeyboardInterrupt:
                console.print(f"\nStopped all processes. The data stay in {folder} for the next start.")
    except RuntimeError as exc:
        console.print(f"[red]{escape(str(exc))}[/red]")
        sys.exit(1)
    except OSError as exc:
        # A full disk, a read-only folder or too many processes: print the system's error without a traceback.
        where = f"{exc.filename}: " if exc.filename and str(exc.filename) != str(folder) else ""
        console.print(f"[red]{escape(f'Nightshift cannot run in {folder}: {where}{exc.strerror or exc}.')}[/red]")
        sys.exit(1)


def wants_demo() -> bool:
    """Return whether to run the demo sync. Raise CannotStart for an invalid NIGHTSHIFT_DEMO."""
    text = os.environ.get("NIGHTSHIFT_DEMO", "1")
    if text not in ("0", "1"):
        raise CannotStart(f"NIGHTSHIFT_DEMO must be 1, for a demo sync at the start, or 0, for none; got {text!r}")
    return text == "1"


def show_a_sync(here: dict[str, Any], *, stack: Stack, console: Console) -> None:
    """Trigger a demo sync and follow it. Raise DemoFailed with the run's error when it does not complete."""
    console.print(
        f"Triggering a RevenueCat Sync of 1,000 users (the sandbox allows {stack.revenuecat_budget:,} calls a minute; "
        "RevenueCat itself allows 480, so the same sync would take about six minutes)"
    )
    path = f"/v1/teams/{here['team_id']}/jobs/trigger"
    wish = {"job_type": "revenuecat_sync", "project_id": here["project_id"], "notify": True}
    status, body = call(here, "POST", path, wish)
    nudge = None
    if status == 409:
        run_id = body["existing_run_id"]
        console.print(
            f"The stack was stopped during run {run_id}. The sweep notices its lost worker or message within a minute; "
            "then the run continues from its checkpoint."
        )
        # EventBridge invokes the sweep once a minute; the demo does not wait for that.
        nudge = partial(stack.invoke, "SweepFunction", {})
    elif status == 201:
        run_id = body["job_run"]["id"]
    else:
        raise DemoFailed(f"The API refused the trigger with status {status}: {body.get('error')}")
    polls = poll(here, run_id, nudge=nudge)
    run = (follow_with_bar if console.is_terminal else follow_in_lines)(polls, console=console)
    if run["status"] != "completed":
        raise DemoFailed(f"Run {run_id} ended as {run['status']}: {run['error']}")
    console.print(f"Run {run_id} completed: {run['progress']['message']}")


def poll(here: dict[str, Any], run_id: str, *, nudge: Callable[[], object] | None) -> Iterator[dict[str, Any]]:
    """Yield the run's current state until the run ends. Call ``nudge`` at every tenth poll."""
    for number in count():
        if nudge and number % 10 == 0:
            nudge()
        status, body = call(here, "GET", f"/v1/jobs/{run_id}")
        if status != 200:
            raise DemoFailed(f"The API answered with status {status}: {body.get('error')}")
        yield body["job_run"]
        if body["job_run"]["status"] not in LIVE:
            return
        time.sleep(POLL_S)


def follow_with_bar(polls: Iterator[dict[str, Any]], *, console: Console) -> dict[str, Any]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        for run in polls:
            progress = progress_of(run)
            bar.update(
                task,
                completed=progress.processed,
                total=progress.total if run["progress"] else None,
                description=escape(progress.message or run["status"]),
            )
    return run


def follow_in_lines(polls: Iterator[dict[str, Any]], *, console: Console) -> dict[str, Any]:
    shown = None
    for run in polls:
        progress = progress_of(run)
        line = f"{progress.counts} {progress.message}".rstrip() if run["progress"] else run["status"]
        if line != shown:
            console.print("  " + escape(line))
        shown = line
    return run


def welcome(here: dict[str, Any], *, folder: Path) -> str:
    return f"""
[bold]Nightshift is up.[/bold] It takes over your changes to functions/ and sql/queries. Ctrl-C stops it.
  Dashboard   {here["dashboard_url"]}#token={here["admin_token"]}
  API         {here["api_url"]}
  RevenueCat  {here["revenuecat_url"]} (a sandbox)
  Mailbox     {here["mailbox_page_url"]} (all mails that SES would have sent)
  Alerts      {here["alert_sink_url"]} (an address for webhooks and Slack, and what they sent)
  Keys        {folder}/stack.json
  Logs        {folder}/local-aws.log

Try these commands in another terminal, in this folder:
  .venv/bin/nightshift jobs list
  .venv/bin/nightshift jobs trigger revenuecat_sync --wait
  .venv/bin/nightshift system health
"""


def call(here: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Return the answer's status and JSON body. Raise DemoFailed without an answer in JSON."""
    headers = {"Authorization": f"Bearer {here['agent_key']}"}
    # The first call waits until its function has started, which can take long on a busy machine.
    timeout = urllib3.Timeout(total=300)
    url = here["api_url"] + path
    try:
        with urllib3.PoolManager() as pool:  # the server may have closed a connection that was kept
            answer = pool.request(method, url, json=body, headers=headers, timeout=timeout, retries=False)
            return answer.status, answer.json()
    except (urllib3.exceptions.HTTPError, ValueError) as exc:
        raise DemoFailed(f"No answer from {url}: {exc}") from exc


if __name__ == "__main__":
    main()

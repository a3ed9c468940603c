"""The promises on the whole stack: over HTTP, through local AWS's SQS and Lambdas, with processes that die."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pg8000.native
import psutil
import pytest
import urllib3

from local.run import call
from local.stack import Stack
from tests.support.stack_world import ended, function_processes, slow_revenuecat, triggered, until

pytestmark = pytest.mark.stack

# Fewer than the API admits in one burst. Each needs a process of the API.
AT_ONCE = 12
ROUNDS = 6


def forget_what_was_synced(owner: pg8000.native.Connection) -> None:
    owner.run("UPDATE app_users SET properties = '{}', total_revenue_usd_cents = NULL, revenue_synced_at = NULL")


def synced(owner: pg8000.native.Connection) -> list[Any]:
    return owner.run("SELECT user_id, properties, total_revenue_usd_cents FROM app_users ORDER BY user_id")


def workers(stack: Stack) -> list[psutil.Process]:
    """Return local AWS's processes that run our worker function."""
    return [
        process
        for process, environment in function_processes(stack.folder)
        if "WorkerFunction" in environment["AWS_LAMBDA_FUNCTION_NAME"]
    ]


def frozen_half_way(stack: Stack, here: dict[str, Any], owner: pg8000.native.Connection) -> tuple[str, psutil.Process]:
    """Start a run and freeze its worker in the middle of a slice. Return the run's id and the process.

    Try again where the run ended, took its last step, or the slice was over before the process was frozen, or where a
    run of a schedule got a process of its own, because either could be the one at work.
    """
    while True:
        forget_what_was_synced(owner)
        # Keep only the working process: a message for an idle frozen process would only wait.
        for idle in workers(stack):
            with suppress(psutil.NoSuchProcess):
                idle.kill()
        with slow_revenuecat(here, latency_s=0.2):
            run_id = triggered(here)["id"]
            until(lambda run_id=run_id: begun(here, run_id))
            frozen = workers(stack)
            for process in frozen:
                process.suspend()
        run = call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"]
        holds = "SELECT lease_expires_at IS NOT NULL FROM job_runs WHERE id = CAST(:id AS uuid)"
        is_half_way = run["progress"]["processed"] < run["progress"]["total"]
        if len(frozen) == 1 and is_half_way and owner.run(holds, id=run_id) == [[True]]:
            return run_id, frozen[0]
        for process in frozen:
            process.resume()
        until(lambda run_id=run_id: ended(here, run_id))


def let_leases_end(stack: Stack, owner: pg8000.native.Connection) -> None:
    owner.run("UPDATE job_runs SET lease_expires_at = clock_timestamp() WHERE lease_expires_at IS NOT NULL")
    stack.invoke("SweepFunction", {})


def begun(here: dict[str, Any], run_id: str) -> dict[str, Any] | None:
    """Wait until a step of the run is committed, and return its progress."""
    progress: dict[str, Any] = call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"]["progress"]
    return progress if progress["processed"] else None


def slices_of(here: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
    return call(here, "GET", f"/v1/jobs/{run_id}/timeline")[1]["timeline"]


def test_identical_triggers_at_once_make_one_run(stack: Stack, here: dict[str, Any]) -> None:
    path = f"/v1/teams/{here['team_id']}/jobs/trigger"
    body = {"job_type": "revenuecat_sync", "project_id": here["project_id"]}
    sandbox = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"
    # The run must still be live at the last of the triggers, so RevenueCat is down and the run waits.
    urllib3.request("POST", sandbox, json={"status": 503, "path": "entitlements", "times": None})
    for _ in range(ROUNDS):
        start = threading.Barrier(AT_ONCE)

        def once(start: threading.Barrier = start) -> tuple[int, Any]:
            start.wait()
            return call(here, "POST", path, body)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = [future.result() for future in [pool.submit(once) for _ in range(AT_ONCE)]]
        assert Counter(status for status, _ in answers) == {201: 1, 409: AT_ONCE - 1}
        [winner] = [answer["job_run"]["id"] for status, answer in answers if status == 201]
        assert {answer["existing_run_id"] for status, answer in answers if status == 409} == {winner}
        call(here, "POST", f"/v1/jobs/{winner}/cancel")
        until(lambda winner=winner: ended(here, winner))
    urllib3.request("DELETE", sandbox)


def test_workers_killed_and_frozen_in_five_runs(
    stack: Stack,
    here: dict[str, Any],
    stack_owner: pg8000.native.Connection,
) -> None:
    forget_what_was_synced(stack_owner)
    first = triggered(here)["id"]
    assert until(lambda: ended(here, first))["status"] == "completed"
    undisturbed = synced(stack_owner)
    for round_number in range(5):
        run_id, struck = frozen_half_way(stack, here, stack_owner)
        if round_number % 2 == 0:
            struck.kill()
        let_leases_end(stack, stack_owner)
        if round_number % 2:
            # Thawed while another worker already works on the run.
            until(lambda run_id=run_id: len(slices_of(here, run_id)) > 1)
            struck.resume()
        run = until(lambda run_id=run_id: ended(here, run_id))
        assert run["status"] == "completed", run
        assert synced(stack_owner) == undisturbed
        assert "lost" in [entry["outcome"] for entry in slices_of(here, run_id)]
    stack.check()


def test_a_run_goes_on_when_postgres_restarts_under_it(
    stack: Stack,
    here: dict[str, Any],
) -> None:
    with slow_revenuecat(here, latency_s=0.2):
        run_id = triggered(here)["id"]
        until(lambda: begun(here, run_id))
        stack.postgres.stop("immediate")
    assert call(here, "GET", f"/v1/jobs/{run_id}")[0] == 503
    stack.postgres.start()
    with closing(stack.connect()) as owner:
        let_leases_end(stack, owner)
    assert until(lambda: ended(here, run_id))["status"] == "completed"

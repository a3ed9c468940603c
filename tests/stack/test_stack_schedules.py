"""EventBridge on the whole stack: the rules of template.yaml really fire."""

import pg8000.native
import pytest

from local.stack import Stack
from nightshift.jobs.registry import JOB_TYPES
from tests.support.stack_world import until

pytestmark = pytest.mark.stack


def test_a_rule_fires_each_minute_and_its_slot_becomes_a_run(
    stack: Stack, stack_owner: pg8000.native.Connection
) -> None:
    def slots() -> list[list[object]]:
        return stack_owner.run(
            "SELECT slot.slot, slot.outcome, run.status, run.triggered_by FROM job_schedule_slots slot"
            " JOIN job_runs run ON run.id = slot.run_id"
            " WHERE slot.job_type = 'partition_creation' AND run.completed_at IS NOT NULL"
        )

    slot, outcome, status, triggered_by = until(slots)[0]
    assert (slot.second, outcome, status, triggered_by) == (0, "started", "completed", "schedule")


def test_a_scheduled_slot_that_comes_twice_runs_once(stack: Stack, stack_owner: pg8000.native.Connection) -> None:
    [[slot]] = until(
        lambda: stack_owner.run(
            "SELECT max(slot) FROM job_schedule_slots WHERE job_type = 'partition_creation'"
            " HAVING max(slot) IS NOT NULL"
        ),
    )
    again = {"job_type": "partition_creation", "time": slot.strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert stack.invoke("ScheduleFunction", again) == {"outcome": "duplicate"}


def test_the_deployment_says_what_is_scheduled(stack: Stack, stack_owner: pg8000.native.Connection) -> None:
    rows = stack_owner.run("SELECT job_type, cron FROM job_schedules")
    in_the_code = {
        job_type.name: job_type.schedule for job_type in JOB_TYPES.values() if job_type.schedule and not job_type.opt_in
    }
    assert {job_type: cron for job_type, cron in rows} == in_the_code | {"partition_creation": "* * * * *"}

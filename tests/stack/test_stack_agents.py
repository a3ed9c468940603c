"""A session of an agent, through the official client, on the whole stack: find, start, follow, stop, start again."""

import json
import sys
from typing import Any

import anyio
import pg8000.native
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from nightshift_cli.agents.untrusted import NOTE
from tests.support.stack_world import ended, until

pytestmark = pytest.mark.stack


def test_an_agent_finds_starts_follows_stops_and_repeats(
    here: dict[str, Any], stack_owner: pg8000.native.Connection
) -> None:
    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "nightshift_cli", "mcp"],
        env={"NIGHTSHIFT_API_URL": here["api_url"], "NIGHTSHIFT_TOKEN": here["agent_key"]},
    )
    recorded: list[tuple[str, bool]] = []

    async def session() -> None:
        async with Client(program) as client:

            async def call(tool: str, **arguments: Any) -> Any:
                result = await client.call_tool(tool, arguments)
                text = "".join(block.text for block in result.content)
                recorded.append((tool, bool(result.is_error)))
                return text if result.is_error else json.loads(text)

            types = await call("list_job_types")
            assert types["note"] == NOTE
            assert "revenuecat_sync" in [each["job_type"] for each in types["job_types"]]
            run = (await call("trigger_run", job_type="revenuecat_sync", params={"mode": "full"}))["job_run"]
            assert run["triggered_by"].startswith("manual:api_key:")
            refused = await call("trigger_run", job_type="revenuecat_sync")
            assert run["id"] in refused
            assert (await call("cancel_run", run_id=run["id"]))["cancelled"] is True
            await anyio.to_thread.run_sync(lambda: until(lambda: ended(here, run["id"])))
            seen = (await call("get_run", run_id=run["id"][:13]))["job_run"]
            assert seen["status"] in ("cancelled", "completed")
            again = (await call("rerun", run_id=run["id"]))["job_run"]
            done = await anyio.to_thread.run_sync(lambda: until(lambda: ended(here, again["id"])))
            assert done["status"] == "completed"
            assert (await call("get_run_timeline", run_id=again["id"]))["timeline"]
            found = await call("list_runs", status="completed", job_type="revenuecat_sync")
            assert again["id"] in [each["id"] for each in found["job_runs"]]
            made = await call("create_schedule", job_type="revenuecat_sync", cron="0 3 * * *", zone="Europe/Berlin")
            schedule_id = made["schedule"]["id"]
            paused = await call("pause_schedule", schedule_id=schedule_id, why="The provider moves")
            assert paused["schedule"]["paused"]["why"] == "The provider moves"
            # A run of another team is not there.
            [[foreign]] = stack_owner.run(
                "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at)"
                " VALUES (gen_random_uuid(), 'revenuecat_sync', gen_random_uuid(), gen_random_uuid(), 'x', 'cancelled',"
                " now()) RETURNING id"
            )
            assert "not found" in await call("get_run", run_id=str(foreign))
            stack_owner.run("DELETE FROM job_runs WHERE id = :id", id=foreign)
            stack_owner.run("DELETE FROM job_team_schedules WHERE id = :id", id=schedule_id)

    anyio.run(session)
    assert [tool for tool, is_error in recorded if is_error] == ["trigger_run", "get_run"]

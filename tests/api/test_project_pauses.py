"""Pauses of a team: no run of the type starts for its project, by whichever way, and each refusal says why."""

from datetime import UTC, datetime, timedelta

import pytest

from nightshift.testing.rows import make_team, sweep
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.world import store_keys, token

SYNC = "revenuecat_sync"


@pytest.fixture
def team(cloud, owner):
    team = make_team(owner, projects=2)
    store_keys(owner)
    return team


@pytest.fixture
def api(team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def at(team):
    return f"/v1/projects/{team.project_id}/pauses"


@pytest.fixture
def trigger(api, team):
    def trigger(project_id=team.project_id):
        return api("POST", f"/v1/teams/{team.id}/jobs/trigger", {"job_type": SYNC, "project_id": project_id})

    return trigger


def other_project(owner, team):
    [[other]] = owner.run_script(f"SELECT id::text FROM projects WHERE id <> '{team.project_id}'")
    return other


def pause(api, at, **fields):
    status, answer = api("PUT", f"{at}/{SYNC}", {"why": "The provider moves"} | fields)
    assert status == 200, answer
    return answer["pause"]


def test_a_paused_type_starts_no_run_of_the_project_and_says_why(api, at, trigger, team, owner):
    made = pause(api, at)
    assert (made["what"], made["by"], made["until"]) == ("project", f"manual:user:{team.users['admin']}", None)
    status, refused = trigger()
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    assert status == 400
    assert refused["error"].startswith(f"RevenueCat Sync is paused for this project (since {day} ")
    assert refused["error"].endswith(" UTC, by the team): The provider moves")
    assert refused["paused"] == made
    assert api("GET", at)[1]["pauses"] == [made]
    assert trigger(other_project(owner, team))[0] == 201
    assert api("DELETE", f"{at}/{SYNC}") == (200, {"deleted": True})
    assert trigger()[0] == 201
    rows = owner.run_script("SELECT action, details FROM job_audit_entries ORDER BY occurred_at")
    told = {"project_id": team.project_id, "job_type": SYNC}
    assert rows == [
        ["job_type.paused", told | {"why": "The provider moves", "until": None}],
        ["job_type.resumed", told],
    ]


def test_another_type_of_the_project_is_not_paused(api, at, team):
    pause(api, at)
    path = f"/v1/teams/{team.id}/jobs/trigger"
    wanted = {"job_type": "integration_check", "project_id": team.project_id, "params": {"provider": "revenuecat"}}
    assert api("POST", path, wanted)[0] == 201


def test_the_sync_of_the_platforms_client_and_a_rerun_are_refused_too(api, at, trigger, team, owner):
    run_id = trigger()[1]["job_run"]["id"]
    owner.run_script(
        "UPDATE job_runs SET status = 'failed', error = 'x', completed_at = clock_timestamp(), resend_at = NULL"
    )
    pause(api, at)
    for path in (f"/v1/jobs/{run_id}/rerun", f"/v1/projects/{team.project_id}/integrations/revenuecat/sync"):
        status, refused = api("POST", path)
        assert (status, refused["paused"]["why"]) == (400, "The provider moves")


def test_a_live_run_goes_on(api, at, trigger, owner):
    run_id = trigger()[1]["job_run"]["id"]
    pause(api, at)
    assert owner.run_script(f"SELECT status FROM job_runs WHERE id = '{run_id}'") == [["pending"]]


def test_a_schedule_that_meets_the_pause_is_skipped_with_the_reason(api, at, team, db, cloud, owner):
    body = {"job_type": SYNC, "project_id": team.project_id, "cron": "0 3 * * *"}
    schedule = api("POST", f"/v1/teams/{team.id}/schedules", body)[1]["schedule"]
    pause(api, at)
    now = datetime.now(UTC)
    owner.run_script("UPDATE job_team_schedules SET next_slot = clock_timestamp() - interval '1 s'")
    assert sweep(db=db, settings=cloud, now=now + timedelta(seconds=1))["skipped"] == 1
    [slot] = api("GET", f"/v1/schedules/{schedule['id']}/slots")[1]["slots"]
    assert (slot["outcome"], slot["reason"]) == ("skipped", "paused by the team: The provider moves")
    owner.run_script(
        "UPDATE job_project_pauses SET until = clock_timestamp();"
        "UPDATE job_team_schedules SET next_slot = clock_timestamp() - interval '1 ms'"
    )
    assert sweep(db=db, settings=cloud, now=now + timedelta(seconds=2))["scheduled"] == 1


def test_a_pause_ends_by_itself(api, at, trigger, owner):
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="milliseconds")
    made = pause(api, at, until=later)
    assert made["until"] == later.replace("+00:00", "Z")
    assert f", until {later[:10]} {later[11:16]} UTC, by the team)" in trigger()[1]["error"]
    owner.run_script("UPDATE job_project_pauses SET until = clock_timestamp()")
    assert api("GET", at)[1] == {"pauses": []}
    assert trigger()[0] == 201
    assert api("DELETE", f"{at}/{SYNC}")[0] == 404


def test_a_pause_is_changed_and_keeps_its_time_until_it_has_ended(api, at, owner):
    first = pause(api, at)
    owner.run_script("UPDATE job_project_pauses SET paused_at = paused_at - interval '1 h'")
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    second = pause(api, at, why="It takes longer", until=later)
    assert second["why"] == "It takes longer"
    assert second["since"] < first["since"]
    owner.run_script("UPDATE job_project_pauses SET until = clock_timestamp()")
    third = pause(api, at)
    assert third["since"] > first["since"]
    assert third["until"] is None


def test_blanks_are_no_reason(api, at):
    status, answer = api("PUT", f"{at}/{SYNC}", {"why": " \t "})
    assert (status, answer["error"].split(",")[0]) == (400, "why must have at least 1 character")
    assert pause(api, at, why=" The provider moves ")["why"] == "The provider moves"


class TestTheOperatorsPause:
    @pytest.fixture(autouse=True)
    def paused(self, owner):
        owner.run_script(
            f"INSERT INTO job_pauses (job_type, what, paused_by, why) VALUES ('{SYNC}', 'type', 'ada', 'disk')"
        )

    def test_stands_above_the_teams(self, api, at, trigger):
        pause(api, at)
        assert [(each["what"], each["by"]) for each in api("GET", at)[1]["pauses"]] == [
            ("type", "ada"), ("project", api("GET", at)[1]["pauses"][1]["by"]),
        ]  # fmt: skip
        assert trigger()[1]["paused"]["by"] == "ada"
        assert api("DELETE", f"{at}/{SYNC}")[0] == 200
        assert trigger()[1]["paused"]["by"] == "ada"

    def test_is_not_the_teams_to_end(self, api, at, trigger):
        status, refused = api("DELETE", f"{at}/{SYNC}")
        assert (status, refused["error"]) == (
            404,
            "The team has not paused RevenueCat Sync for this project. The operator has paused it, and only the"
            " operator can resume it",
        )
        assert trigger()[0] == 400

    def test_of_a_system_job_is_not_shown(self, api, at, owner):
        owner.run_script(
            "INSERT INTO job_pauses (job_type, what, paused_by, why) VALUES ('db_pruning', 'type', 'ada', 'secret'),"
            f" ('{SYNC}', 'schedule', 'ada', 'x')"
        )
        assert [each["why"] for each in api("GET", at)[1]["pauses"]] == ["disk"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"why": ""}, 'why must have at least 1 character, got ""'),
        (
            {"until": "2020-01-01T00:00:00Z"},
            'until must be in the future, within a year, got "2020-01-01T00:00:00.000Z"',
        ),
        (
            {"until": "2099-01-01T00:00:00Z"},
            'until must be in the future, within a year, got "2099-01-01T00:00:00.000Z"',
        ),
        ({"until": "soon"}, 'until must be ISO 8601 or relative like 30m, 1h, 7d, got "soon"'),
    ],
)
def test_bad_input_pauses_nothing(api, at, owner, fields, error):
    assert api("PUT", f"{at}/{SYNC}", {"why": "x"} | fields) == (400, {"error": error})
    assert owner.run_script("SELECT count(*) FROM job_project_pauses") == [[0]]


@pytest.mark.parametrize("job_type", ["db_pruning", "nope"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_system_and_unknown_types_look_the_same(api, at, job_type, method):
    body = {"why": "x"} if method == "PUT" else None
    assert api(method, f"{at}/{job_type}", body) == (404, {"error": "Job type not found"})

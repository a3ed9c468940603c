"""Teams make, change, pause and delete schedules over the API."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from nightshift.base.errors import Conflict
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules import team_schedules
from nightshift.schedules.team_schedules import Wanted
from nightshift.tenants.audit import Author
from nightshift.testing.rows import make_team, sweep
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.world import token

NIGHTLY = {"job_type": "revenuecat_sync", "cron": "0 3 * * *", "zone": "Europe/Berlin"}


@pytest.fixture
def team(cloud, owner):
    return make_team(owner, projects=2)


@pytest.fixture
def api(team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def made(api, team):
    """``made(name="x")``: make a nightly schedule with these fields and return it."""

    def make(**fields):
        body = {"project_id": team.project_id} | NIGHTLY | fields
        status, answer = api("POST", f"/v1/teams/{team.id}/schedules", body)
        assert status == 201, answer
        return answer["schedule"]

    return make


def refusal(api, team, **fields):
    body = {"project_id": team.project_id} | NIGHTLY | fields
    status, answer = api("POST", f"/v1/teams/{team.id}/schedules", {k: v for k, v in body.items() if v is not ...})
    return status, answer["error"]


def test_a_schedule_says_its_times_and_its_maker(made, api, team):
    schedule = made(params={"mode": "full"}, notify=True)
    assert schedule["said"] == schedule["name"] == "At 03:00 every day"
    assert (schedule["zone"], schedule["cron"], schedule["run_at"]) == ("Europe/Berlin", "0 3 * * *", None)
    assert schedule["params"] == {"mode": "full"}
    assert schedule["created_by"] == f"manual:user:{team.users['admin']}"
    assert not schedule["maker_has_left"]
    times = [datetime.fromisoformat(time) for time in schedule["next"]]
    assert len(times) == 5
    assert times[0] > datetime.now(UTC)
    assert api("GET", f"/v1/schedules/{schedule['id']}") == (200, {"schedule": schedule})
    assert api("GET", f"/v1/teams/{team.id}/schedules") == (200, {"schedules": [schedule]})
    assert api("GET", f"/v1/teams/{team.id}/schedules", job_type="db_pruning") == (200, {"schedules": []})


def test_a_preview_says_an_expression_in_words(api):
    status, answer = api("GET", "/v1/cron", cron="30 2 * * MON-FRI", zone="America/New_York")
    assert (status, answer["said"], len(answer["next"])) == (200, "At 02:30 from Monday to Friday", 5)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "cron: A cron expression has five fields, got ''"),
        ({"cron": "61 * * * *"}, "cron: The minute '61' of '61 * * * *' must be 0 to 59"),
        ({"cron": "0 3 * * *", "zone": "Berlin"}, "Did you mean Europe/Berlin?"),
        (
            {"cron": "*/5 * * * *"},
            'cron: "*/5 * * * *" has times that are 5 min apart; on this server, a team\'s schedule',
        ),
        ({"cron": "x" * 5000}, "cron: "),
    ],
)
def test_a_preview_names_the_bad_field(api, query, said):
    status, answer = api("GET", "/v1/cron", **query)
    assert status == 400
    assert said in answer["error"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cron": ...}, "A schedule needs either cron or run_at: cron repeats, run_at starts one run"),
        ({"run_at": "2100-01-01T00:00:00Z"}, "A schedule needs either cron or run_at"),
        ({"cron": ..., "run_at": "2100-01-01T00:00:00Z"}, "run_at must be in the future, within a year"),
        ({"cron": ..., "run_at": "30m"}, "run_at must be in the future, within a year"),
        ({"cron": ..., "run_at": "soon"}, 'run_at must be ISO 8601 or relative like 30m, 1h, 7d, got "soon"'),
        ({"cron": "* * * * *"}, "has times that are 1 min apart"),
        ({"cron": 3}, "cron must be text, got 3"),
        ({"zone": "Mars/Olympus"}, "zone must be the name of a time zone"),
        ({"params": {"speed": 9}}, "params.speed is not a known field"),
        ({"params": {"project_id": "x"}}, "params.project_id must be a UUID"),
        ({"name": "x" * 101}, "name must have at most 100 characters"),
        ({"job_type": "db_pruning"}, 'Cannot trigger system job "db_pruning" via API'),
        ({"job_type": ...}, "Invalid job_type. Must be one of"),
        ({"project_id": ...}, "project_id is required"),
        ({"colour": "red"}, "colour is not a known field"),
    ],
)
def test_a_bad_field_is_named(api, team, fields, said):
    status, error = refusal(api, team, **fields)
    assert status == 400
    assert said in error


def test_the_same_schedule_is_made_once(made, api, team):
    schedule = made()
    status, answer = api("POST", f"/v1/teams/{team.id}/schedules", {"project_id": team.project_id} | NIGHTLY)
    assert (status, answer["existing_schedule_id"]) == (409, schedule["id"])
    made(params={"mode": "full"})
    made(zone="UTC")


def test_a_team_has_a_limit_also_for_requests_at_once(made, team, db, cloud, owner):
    object.__setattr__(cloud, "schedules_per_team", 3)
    made()
    refused = []

    def make(hour):
        wanted = Wanted(project_id=team.project_id, params={}, cron=f"0 {hour} * * *")
        session = db.sibling()
        try:
            team_schedules.make(
                JOB_TYPES["revenuecat_sync"],
                wanted,
                team_id=team.id,
                author=Author(actor=f"user:{team.users['admin']}", request_id="r"),
                now=datetime.now(UTC),
                db=session,
                settings=cloud,
            )
        except Conflict as exc:
            refused.append(str(exc))
        finally:
            session.close()

    threads = [threading.Thread(target=make, args=(hour,)) for hour in range(10, 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["This team has 3 schedules, which is the limit. Delete one first"] * 4
    assert owner.run_script("SELECT count(*) FROM job_team_schedules") == [[3]]


def test_a_trigger_with_a_time_makes_a_schedule_of_one_start(api, team, owner, db, cloud):
    at = datetime.now(UTC) + timedelta(hours=2)
    body = {"job_type": "revenuecat_sync", "project_id": team.project_id, "run_at": at.isoformat(), "notify": True}
    status, answer = api("POST", f"/v1/teams/{team.id}/jobs/trigger", body)
    assert (status, answer["schedule"]["said"], answer["schedule"]["notify"]) == (201, "Once", True)
    assert owner.run_script("SELECT count(*) FROM job_runs") == [[0]]
    # A repeated request means the same start.
    assert api("POST", f"/v1/teams/{team.id}/jobs/trigger", body) == (201, answer)
    owner.run_script(
        "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
        f" VALUES ('{team.project_id}', 'revenuecat', '{{}}', '')"
    )
    sweep(db=db, settings=cloud, now=at + timedelta(seconds=1))
    _, page = api("GET", f"/v1/teams/{team.id}/jobs")
    [run] = page["job_runs"]
    assert (run["triggered_by"], run["schedule_id"], run["notify"]) == ("schedule", answer["schedule"]["id"], True)
    status, answer = api("PATCH", f"/v1/schedules/{answer['schedule']['id']}", {"name": "again"})
    assert (status, answer["error"]) == (400, "This schedule has started its one run. Make a new one")


def test_changes_count_from_now_on(made, api):
    schedule = made()
    path = f"/v1/schedules/{schedule['id']}"
    changed = api("PATCH", path, {"cron": "0 5 * * *", "name": "Early", "params": {"mode": "full"}})[1]["schedule"]
    assert (changed["said"], changed["name"], changed["params"]) == ("At 05:00 every day", "Early", {"mode": "full"})
    assert changed["zone"] == "Europe/Berlin"
    moved = api("PATCH", path, {"zone": "UTC"})[1]["schedule"]
    assert moved["next"][0].endswith("T05:00:00.000Z")
    once = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    assert api("PATCH", path, {"run_at": once})[1]["schedule"]["cron"] is None
    status, answer = api("PATCH", path, {"params": {"mode": "fast"}})
    assert (status, "params.mode must be one of" in answer["error"]) == (400, True)


def test_a_change_into_another_schedule_is_refused(made, api):
    made()
    other = made(cron="0 4 * * *")
    status, answer = api("PATCH", f"/v1/schedules/{other['id']}", {"cron": "0 3 * * *"})
    assert (status, answer["error"]) == (409, "Another schedule of the project has this job type, time and parameters")


def test_a_pause_has_a_reason_and_leaves_its_slots_out(made, api, owner, db, cloud, team):
    schedule = made()
    path = f"/v1/schedules/{schedule['id']}"
    status, answer = api("POST", f"{path}/pause", {})
    assert (status, answer["error"]) == (400, "why is required")
    paused = api("POST", f"{path}/pause", {"why": "The provider moves"})[1]["schedule"]
    assert (paused["paused"]["why"], paused["next"]) == ("The provider moves", [])
    assert paused["paused"]["by"] == f"manual:user:{team.users['admin']}"
    assert api("POST", f"{path}/pause", {"why": "again"})[1]["error"] == "This schedule is already paused"
    # A change does not end the pause.
    assert api("PATCH", path, {"cron": "0 6 * * *"})[1]["schedule"]["next"] == []
    sweep(db=db, settings=cloud, now=datetime.now(UTC) + timedelta(days=5))
    assert owner.run_script("SELECT count(*) FROM job_team_slots") == [[0]]
    resumed = api("POST", f"{path}/resume")[1]["schedule"]
    assert (resumed["paused"], len(resumed["next"])) == (None, 5)
    assert api("POST", f"{path}/resume")[1]["error"] == "This schedule is not paused"


def test_a_start_whose_time_passed_in_a_pause_is_not_resumed(made, api, owner):
    schedule = made(cron=None, run_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    path = f"/v1/schedules/{schedule['id']}"
    api("POST", f"{path}/pause", {"why": "later"})
    owner.run_script("UPDATE job_team_schedules SET run_at = clock_timestamp()")
    status, answer = api("POST", f"{path}/resume")
    assert (status, answer["error"]) == (
        400,
        "The one time of this schedule has passed while it was paused. Make a new one",
    )


def test_a_deleted_schedule_is_gone_and_its_runs_stay(made, api, owner, db, cloud, team):
    schedule = made()
    owner.run_script(
        "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
        f" VALUES ('{team.project_id}', 'revenuecat', '{{}}', '')"
    )
    sweep(db=db, settings=cloud, now=datetime.now(UTC) + timedelta(days=2))
    path = f"/v1/schedules/{schedule['id']}"
    _, page = api("GET", f"{path}/slots")
    assert (page["slots"][0]["outcome"] in ("started", "caught_up"), page["slots"][0]["status"]) == (True, "pending")
    assert api("DELETE", path) == (200, {"deleted": True})
    assert api("GET", path) == (404, {"error": "Schedule not found"})
    assert owner.run_script("SELECT count(*) FROM job_runs") == [[1]]


def test_slots_are_listed_in_pages(made, api, owner):
    schedule = made()
    owner.run_script(
        "INSERT INTO job_team_slots (schedule_id, slot, outcome) SELECT "
        f"'{schedule['id']}', '2026-01-01T03:00:00Z'::timestamptz + n * interval '1 day', 'missed'"
        " FROM generate_series(0, 4) AS n"
    )
    path = f"/v1/schedules/{schedule['id']}/slots"
    _, page = api("GET", path, limit="3")
    assert ([slot["slot"][8:10] for slot in page["slots"]], page["has_more"]) == (["05", "04", "03"], True)
    _, rest = api("GET", path, before=page["slots"][-1]["slot"])
    assert rest == {"slots": [{"slot": f"2026-01-0{day}T03:00:00.000Z", "outcome": "missed", "reason": None,
                               "run_id": None, "status": None} for day in (2, 1)]}  # fmt: skip


def test_a_maker_who_left_is_said_and_so_is_a_key(made, api, owner, team):
    schedule = made()
    key = Api(f"Bearer {team.agent_key}")
    _, answer = key(
        "POST", f"/v1/teams/{team.id}/schedules", {"project_id": team.project_id} | NIGHTLY | {"zone": "UTC"}
    )
    by_key = answer["schedule"]
    assert not by_key["maker_has_left"]
    owner.run_script(
        f"DELETE FROM team_members WHERE user_id = '{team.users['admin']}'; UPDATE api_keys SET deleted_at = now()"
    )
    other = Api(f"Bearer {token(team.users['owner'], JWT_SECRET)}")
    _, listed = other("GET", f"/v1/teams/{team.id}/schedules")
    assert {each["id"]: each["maker_has_left"] for each in listed["schedules"]} == {
        schedule["id"]: True,
        by_key["id"]: True,
    }


def test_each_change_is_in_the_audit(made, api, team):
    schedule = made(name="Nightly")
    path = f"/v1/schedules/{schedule['id']}"
    api("PATCH", path, {"cron": "0 4 * * *"})
    api("POST", f"{path}/pause", {"why": "The provider moves"})
    api("POST", f"{path}/resume")
    api("DELETE", path)
    # A refused change has no entry.
    assert api("DELETE", path)[0] == 404
    _, page = api("GET", f"/v1/teams/{team.id}/audit")
    told = [(entry["action"], entry["actor"], entry["subject_id"]) for entry in page["entries"]]
    actions = ("deleted", "resumed", "paused", "changed", "made")
    assert told == [(f"schedule.{action}", f"user:{team.users['admin']}", schedule["id"]) for action in actions]
    assert page["entries"][2]["details"] == {"name": "Nightly", "why": "The provider moves"}
    assert page["entries"][4]["details"]["cron"] == "0 3 * * *"


def test_a_zone_that_a_later_release_does_not_know_costs_its_schedule_alone(made, api, team, owner):
    bad, good = made(), made(zone="UTC")
    owner.run_script(f"UPDATE job_team_schedules SET zone = 'Mars/Olympus' WHERE id = '{bad['id']}'")
    _, listed = api("GET", f"/v1/teams/{team.id}/schedules")
    told = {schedule["id"]: schedule for schedule in listed["schedules"]}
    assert told[good["id"]] == good
    assert told[bad["id"]]["next"] == []
    assert told[bad["id"]]["said"].startswith("zone must be the name of a time zone")

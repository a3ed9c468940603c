"""The HTTP contract, one request at a time, through the function's handler."""

import base64
import json
import socket
import uuid
from pathlib import Path

import jwt
import pytest

from api import database_probe
from api.route_table import OPERATIONS
from nightshift.aws import clients, queue
from nightshift.base.settings import settings
from nightshift.database.queries import database, query_text
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import pauses
from nightshift.testing.rows import make_team, run_row
from tests.support.api_world import DOCUMENT, Api
from tests.support.fixtures import JWT_SECRET, new_database
from tests.support.world import claim, cut_sessions, received, store_keys, token


@pytest.fixture
def team(owner):
    team = make_team(owner)
    store_keys(owner)
    return team


@pytest.fixture
def strangers(owner):
    strangers = make_team(owner, slug="strangers")
    store_keys(owner)
    return strangers


@pytest.fixture
def api(cloud, team):
    return Api(f"Bearer {team.agent_key}")


@pytest.fixture
def as_user(cloud, team):
    return lambda role: Api(f"Bearer {token(team.users[role], JWT_SECRET)}")


def trigger(api, team, **body):
    wish = {"job_type": "revenuecat_sync", "project_id": team.project_id} | body
    return api("POST", f"/v1/teams/{team.id}/jobs/trigger", wish)


def error(status, sentence, **extra):
    return status, {"error": sentence} | extra


def test_a_trigger_returns_the_run_and_sends_its_first_message(api, team, cloud, owner):
    status, body = trigger(api, team, params={"include_sandbox": True}, notify=True)

    run = body["job_run"]
    assert status == 201
    assert list(run) == [
        "id", "job_type", "status", "team_id", "project_id", "triggered_by", "params", "progress", "result", "error",
        "notify", "started_at", "completed_at", "created_at", "waiting_for", "schedule_id",
    ]  # fmt: skip
    assert run["status"] == "pending"
    assert run["params"] == {"project_id": team.project_id, "include_sandbox": True, "mode": "incremental"}
    assert run["triggered_by"].startswith("manual:api_key:")
    assert run["notify"] is True
    assert run["created_at"].endswith("Z")
    assert len(run["created_at"]) == len("2026-11-23T16:35:00.123Z")
    assert received(cloud) == [{"run_id": run["id"], "slice": 0, "group": team.id}]
    assert api("GET", f"/v1/jobs/{run['id']}") == (200, {"job_run": run})


def test_a_trigger_takes_two_statements(api, team):
    trigger(api, team)  # warms up the connection
    before = database().statements
    assert trigger(api, team)[0] == 409
    assert database().statements - before == 2


def test_a_second_trigger_names_the_run_that_is_there(api, team, as_user):
    _, first = trigger(api, team)
    sentence = "A job of this type is already running or pending"
    assert trigger(as_user("owner"), team) == error(409, sentence, existing_run_id=first["job_run"]["id"])


def test_sqs_refusing_the_send_is_no_error_of_the_trigger(api, team, monkeypatch, owner):
    def refuse(message):
        raise ConnectionError("no SQS")

    monkeypatch.setattr(queue, "send", refuse)
    status, body = trigger(api, team)
    assert status == 201
    assert run_row(owner, body["job_run"]["id"])["resend_at"] is not None


class TestAuthentication:
    @pytest.mark.parametrize(
        ("authorization", "sentence"),
        [
            (None, "Missing authorization"),
            ("", "Missing authorization"),
            ("Basic abc", "Invalid authorization format"),
            ("Bearer", "Invalid authorization format"),
            ("Bearer a b", "Invalid authorization format"),
            ("Bearer owl_agent_nobody", "Invalid API key"),
            ("Bearer owl_agent_\u00fc", "Invalid API key"),
            ("Bearer not-a-token", "Invalid or expired token"),
            ("Bearer a.b.c", "Invalid or expired token"),
        ],
    )
    def test_bad_credentials(self, cloud, team, authorization, sentence):
        for method, path in [
            ("GET", f"/v1/teams/{team.id}/jobs"),
            ("POST", f"/v1/teams/{team.id}/jobs/trigger"),
            ("GET", f"/v1/jobs/{uuid.uuid4()}"),
            ("POST", f"/v1/jobs/{uuid.uuid4()}/cancel"),
            ("GET", "/v1/auth/whoami"),
            ("GET", "/v1/projects"),
            ("GET", "/v1/job-types"),
            ("GET", f"/v1/teams/{team.id}/members"),
        ]:
            assert Api(authorization)(method, path) == error(401, sentence)

    def test_expired_and_deleted_keys(self, api, team, owner):
        owner.run_script("UPDATE api_keys SET expires_at = clock_timestamp() - interval '1 ms'")
        assert trigger(api, team) == error(401, "API key expired")
        owner.run_script("UPDATE api_keys SET expires_at = NULL, deleted_at = clock_timestamp()")
        assert trigger(api, team) == error(401, "Invalid API key")

    def test_tokens_that_are_not_to_be_trusted(self, cloud, team):
        admin = team.users["admin"]
        for bad in [
            token(admin, JWT_SECRET, expires_in_s=-61),
            token(admin, "another secret of a decent length, really"),
            token("not-a-uuid", JWT_SECRET),
            token(str(uuid.uuid4()), JWT_SECRET),
            jwt.encode({"sub": admin}, JWT_SECRET, algorithm="HS256"),
            jwt.encode({"sub": admin, "exp": 9999999999}, "", algorithm="none"),
        ]:
            assert Api(f"Bearer {bad}")("GET", "/v1/auth/whoami") == error(401, "Invalid or expired token")

    def test_whoami(self, api, team, as_user):
        named = {"id": team.id, "name": "The owls", "slug": "owls"}
        assert api("GET", "/v1/auth/whoami") == (
            200,
            {"type": "api_key", "key_type": "agent", "team": named, "permissions": ["jobs:read", "jobs:write"]},
        )
        assert as_user("member")("GET", "/v1/auth/whoami") == (
            200,
            {"type": "user", "email": "member@owls.example", "teams": [named | {"role": "member"}]},
        )


class TestAuthorization:
    def test_members_may_nothing_admins_and_owners_everything(self, cloud, team, as_user, api):
        _, body = trigger(api, team)
        run = body["job_run"]["id"]
        for method, path in [
            ("GET", f"/v1/teams/{team.id}/jobs"),
            ("GET", f"/v1/teams/{team.id}/members"),
            ("POST", f"/v1/teams/{team.id}/jobs/trigger"),
            ("GET", f"/v1/jobs/{run}"),
            ("GET", f"/v1/jobs/{run}/timeline"),
            ("POST", f"/v1/jobs/{run}/rerun"),
            ("POST", f"/v1/jobs/{run}/cancel"),
        ]:
            assert as_user("member")(method, path) == error(403, "Requires admin role or higher")
        assert as_user("admin")("GET", f"/v1/jobs/{run}")[0] == 200
        assert as_user("owner")("POST", f"/v1/jobs/{run}/cancel") == (200, {"cancelled": True})

    def test_a_key_needs_the_permission(self, api, team, owner):
        owner.run_script("UPDATE api_keys SET permissions = '{jobs:read}'")
        assert trigger(api, team) == error(403, "Missing permission: jobs:write")
        assert api("GET", f"/v1/teams/{team.id}/jobs")[0] == 200
        owner.run_script("UPDATE api_keys SET permissions = '{jobs:write}'")
        assert api("GET", f"/v1/teams/{team.id}/jobs") == error(403, "Missing permission: jobs:read")
        assert api("GET", "/v1/projects") == error(403, "Missing permission: jobs:read")

    def test_another_team_is_closed(self, api, team, strangers, as_user):
        theirs = Api(f"Bearer {strangers.agent_key}")
        run = trigger(theirs, strangers)[1]["job_run"]["id"]
        for caller in (api, as_user("owner")):
            assert trigger(caller, strangers) == error(403, "Not a member of this team")
            assert caller("GET", f"/v1/teams/{strangers.id}/jobs") == error(403, "Not a member of this team")
            assert caller("GET", f"/v1/teams/{strangers.id}/members") == error(403, "Not a member of this team")
            assert trigger(caller, team, project_id=strangers.project_id) == error(404, "Project not found")
            assert caller("GET", f"/v1/jobs/{run}") == error(404, "Job run not found")
            assert caller("GET", f"/v1/jobs/{run}/timeline") == error(404, "Job run not found")
            assert caller("GET", f"/v1/jobs/{run}/logs") == error(404, "Job run not found")
            assert caller("POST", f"/v1/jobs/{run}/cancel") == error(404, "Job run not found")
            assert caller("POST", f"/v1/jobs/{run}/rerun") == error(404, "Job run not found")
            assert caller("GET", f"/v1/projects/{strangers.project_id}") == error(404, "Project not found")
            assert caller("GET", "/v1/projects", team_id=strangers.id) == error(403, "Not a member of this team")
            foreign = caller("GET", f"/v1/teams/{team.id}/jobs", project_id=strangers.project_id)
            assert foreign == error(404, "Project not found")

    def test_params_cannot_reach_another_project(self, api, team, strangers):
        status, body = trigger(api, team, params={"project_id": strangers.project_id})
        assert status == 400
        assert body["error"].startswith("params.project_id must be the run's own project")
        assert trigger(api, team, params={"project_id": team.project_id})[0] == 201

    def test_deleted_teams_and_projects_are_gone(self, api, team, owner, as_user):
        owner.run_script("UPDATE projects SET deleted_at = clock_timestamp()")
        assert trigger(api, team) == error(404, "Project not found")
        assert api("GET", f"/v1/projects/{team.project_id}") == error(404, "Project not found")
        owner.run_script("UPDATE teams SET deleted_at = clock_timestamp()")
        assert trigger(api, team) == error(401, "Invalid API key")
        assert trigger(as_user("owner"), team) == error(403, "Not a member of this team")

    def test_system_runs_are_invisible(self, api, team, owner, as_user):
        run_id = uuid.uuid4()
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
            f" VALUES ('{run_id}', 'db_pruning', 'schedule', clock_timestamp())"
        )
        for caller in (api, as_user("admin"), as_user("owner")):
            for method, path in (
                *(("GET", ""), ("GET", "/timeline"), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/rerun")),
            ):
                assert caller(method, f"/v1/jobs/{run_id}{path}") == error(404, "Job run not found"), path
            for name in ("db_pruning", "soft_delete_cleanup", "partition_creation"):
                refused = caller(
                    "POST", f"/v1/teams/{team.id}/jobs/trigger", {"job_type": name, "project_id": team.project_id}
                )
                assert refused == error(400, f'Cannot trigger system job "{name}" via API')
        assert run_row(owner, run_id)["status"] == "pending"
        assert api("GET", f"/v1/teams/{team.id}/jobs")[1]["job_runs"] == []
        listed = api("GET", "/v1/job-types")[1]["job_types"]
        assert [job["job_type"] for job in listed] == [
            job_type.name for job_type in JOB_TYPES.values() if job_type.scope == "project"
        ]


class TestBadInput:
    @pytest.fixture(scope="class")
    @classmethod
    def config(cls, postgres, superuser, template):
        with new_database(postgres, superuser, template) as settings:
            yield settings

    @pytest.fixture
    def team(self, owner):
        team = make_team(owner, slug=f"owls-{uuid.uuid4().hex}")
        store_keys(owner)
        return team

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (
                {},
                f"Invalid job_type. Must be one of: {', '.join(JOB_TYPES)}",
            ),
            ({"job_type": 7}, "Invalid job_type. Must be one of: "),
            ({"job_type": "db_pruning"}, 'Cannot trigger system job "db_pruning" via API'),
            ({"job_type": "revenuecat_sync"}, "project_id is required for project-scoped jobs"),
            ({"job_type": "revenuecat_sync", "project_id": None}, "project_id is required for project-scoped jobs"),
            ({"project_id": "x"}, 'project_id must be a UUID, got "x"'),
            ({"project_id": 5}, "project_id must be text, got 5"),
            ({"project_id": "{" + str(uuid.uuid4()) + "}"}, "project_id must be a UUID"),
            ({"params": []}, "params must be a JSON object, got []"),
            (
                {"params": {"include_sandbox": "yes"}},
                'params.include_sandbox must be true or false, got "yes"',
            ),
            ({"params": {"all": 1}}, "params.all is not a known field, got 1"),
            ({"notify": "true"}, 'notify must be true or false, got "true"'),
            ({"notfy": True}, "notfy is not a known field, got true"),
        ],
    )
    def test_bodies(self, api, team, body, sentence):
        valid = {"job_type": "revenuecat_sync", "project_id": team.project_id}
        wish = body if "job_type" in body or not body else valid | body
        status, answer = api("POST", f"/v1/teams/{team.id}/jobs/trigger", wish)
        assert status == 400
        assert answer["error"].startswith(sentence)

    @pytest.mark.parametrize("raw", ["{", "[]", '"x"', "nul", '{"a": NaN}', "[" * 5000, '{"job_type": "\\u0000"}'])
    def test_bodies_that_are_no_json_objects(self, api, team, raw):
        status, answer = api("POST", f"/v1/teams/{team.id}/jobs/trigger", raw=raw)
        assert status == 400
        assert "body must" in answer["error"]

    @pytest.mark.parametrize("base64_encoded", [False, True])
    def test_a_byte_order_mark_before_a_body_is_no_part_of_it(self, api, team, base64_encoded):
        wish = json.dumps({"job_type": "revenuecat_sync", "project_id": team.project_id})
        raw = base64.b64encode(wish.encode("utf-8-sig")).decode() if base64_encoded else "\ufeff" + wish
        path = f"/v1/teams/{team.id}/jobs/trigger"
        run = api("POST", path, raw=raw, base64_encoded=base64_encoded)[1]["job_run"]
        api("POST", f"/v1/jobs/{run['id']}/cancel")
        assert api("POST", f"/v1/jobs/{run['id']}/rerun", raw="\ufeff")[0] == 201
        assert "body must be JSON in UTF-8" in api("POST", path, raw="\ufeff\ufeff" + wish)[1]["error"]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
    def test_a_body_in_another_encoding_is_told_which_one_is_wanted(self, api, team, encoding):
        wish = json.dumps({"job_type": "revenuecat_sync", "project_id": "é"}, ensure_ascii=False).encode(encoding)
        path = f"/v1/teams/{team.id}/jobs/trigger"
        answers = [
            api("POST", path, raw=base64.b64encode(wish).decode(), base64_encoded=True),
            # API Gateway passes on the body of a JSON content type in this form.
            api("POST", path, raw=wish.decode("utf-8", "replace")),
        ]
        # The invalid byte has become a question mark, which is an ordinary value.
        said = [
            "The body must be JSON in UTF-8",
            "project_id" if encoding == "latin-1" else "The body must be JSON in UTF-8",
        ]
        for (status, answer), beginning in zip(answers, said, strict=True):
            assert (status, answer["error"].startswith(beginning)) == (400, True), answer

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ({"limit": "5.5"}, 'limit must be a whole number from 1 to 200, got "5.5"'),
            ({"limit": "1e3"}, "limit must be a whole number from 1 to 200"),
            ({"limit": "-"}, "limit must be a whole number from 1 to 200"),
            ({"limit": "ten"}, "limit must be a whole number from 1 to 200"),
            ({"limit": "\u0665"}, "limit must be a whole number from 1 to 200"),
            ({"status": "done"}, 'status must be one of pending, running, completed, failed, cancelled, got "done"'),
            ({"job_type": "a\x00b"}, "job_type must not contain NUL characters"),
            ({"project_id": "x"}, 'project_id must be a UUID, got "x"'),
            ({"since": "yesterday"}, 'since must be ISO 8601 or relative like 30m, 1h, 7d, got "yesterday"'),
            ({"since": "999999d"}, "since must be ISO 8601 or relative"),
            ({"since": "999999999w"}, "since must be ISO 8601 or relative"),
            ({"since": "5y"}, "since must be ISO 8601 or relative"),
            ({"since": "-5m"}, "since must be ISO 8601 or relative"),
            ({"until": "2026-13-01"}, "until must be ISO 8601 or relative"),
            ({"cursor": "x"}, 'cursor must be one that a list returned, got "x"'),
            ({"cursor": "2026-01-01T00:00:00.000Z|"}, "cursor must be one that a list returned"),
            ({"cursor": f"2026-01-01T00:00:00|{uuid.uuid4()}"}, "cursor must be one that a list returned"),
            ({"cursor": f"0001-01-01T00:00:00+14:00|{uuid.uuid4()}"}, "cursor must be one that a list returned"),
        ],
    )
    def test_filters(self, api, team, query, sentence):
        status, answer = api("GET", f"/v1/teams/{team.id}/jobs", **query)
        assert status == 400
        assert answer["error"].startswith(sentence)

    @pytest.mark.parametrize("bad", ["x", "0", "%00", "1' OR '1'='1", "\u0000"])
    def test_ids_in_the_path(self, api, bad):
        for method, path, field in [
            ("GET", f"/v1/teams/{bad}/jobs", "team_id"),
            ("GET", f"/v1/jobs/{bad}", "run_id"),
            ("POST", f"/v1/jobs/{bad}/cancel", "run_id"),
            ("GET", f"/v1/projects/{bad}", "project_id"),
        ]:
            status, answer = api(method, path)
            assert status in (400, 404)
            if status == 400:
                assert answer["error"].startswith(f"{field} must be a UUID")

    def test_unknown_endpoints(self, api):
        assert api("GET", "/v1/nothing") == error(404, "No such endpoint: GET /v1/nothing")


class TestFiltersOfClientsThatExist:
    @pytest.fixture
    def many(self, team, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at, created_at)"
            f" SELECT gen_random_uuid(), 'retired_job', '{team.id}', '{team.project_id}', 'x', 'cancelled',"
            " clock_timestamp(), clock_timestamp() - n * interval '1 h' FROM generate_series(0, 249) n"
        )

    def test_a_limit_out_of_bounds_is_the_nearest_one(self, api, team, many):
        for limit, runs in [
            *[("0", 1), ("-1", 1), ("1", 1), ("7", 7), ("007", 7), ("+7", 7), (" 7 ", 7), ("200", 200), ("201", 200)],
            *[("9" * 5000, 200), ("-" + "9" * 5000, 1), ("", 50), ("  ", 50)],
        ]:
            assert len(api("GET", f"/v1/teams/{team.id}/jobs", limit=limit)[1]["job_runs"]) == runs, limit

    def test_ages_in_every_unit(self, api, team, many):
        ages = {"30s": 1, "90m": 2, "3h": 3, "2d": 48, "1w": 168, "604800s": 168, "20w": 250}
        for age, younger in ages.items():
            for side, runs in (("since", younger), ("until", 250 - younger)):
                page = api("GET", f"/v1/teams/{team.id}/jobs", limit="200", **{side: age})[1]
                assert len(page["job_runs"]) == min(200, runs), (side, age)

    def test_empty_values_are_ignored(self, api, team, many):
        nothing = dict.fromkeys(("job_type", "status", "project_id", "since", "until", "cursor", "limit"), "")
        path = f"/v1/teams/{team.id}/jobs"
        assert api("GET", path, **nothing) == api("GET", path)
        assert api("GET", "/v1/projects", team_id="") == api("GET", "/v1/projects")

    def test_an_unknown_type_has_no_runs_and_a_retired_one_has_its_own(self, api, team, many, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
            " VALUES (gen_random_uuid(), 'db_pruning', 'schedule', clock_timestamp())"
        )
        path = f"/v1/teams/{team.id}/jobs"
        empty = (200, {"job_runs": [], "cursor": None, "has_more": False})
        for unknown in ("db_pruning", "soft_delete_cleanup", "moon_landing", "revenuecat_sync", "x" * 4000, "' OR 1=1"):
            assert api("GET", path, job_type=unknown) == empty
        assert len(api("GET", path, job_type="retired_job")[1]["job_runs"]) == 50
        assert trigger(api, team, job_type="retired_job")[0] == 400


class TestSyncRoute:
    """The other way in which clients start a sync."""

    @pytest.fixture
    def sync(self, team, owner):
        owner.run_script(
            "INSERT INTO app_users (project_id, user_id)"
            f" SELECT '{team.project_id}', 'user-' || n FROM generate_series(1, 7) n"
        )
        return f"/v1/projects/{team.project_id}/integrations/revenuecat/sync"

    @pytest.mark.parametrize("body", [{}, {"raw": ""}, {"body": {}}])
    def test_it_starts_a_run_like_any_other(self, api, team, sync, cloud, body):
        status, answer = api("POST", sync, **body)
        assert status == 200
        run_id = answer["job_run_id"]
        assert answer == {"syncing": True, "total": 7, "job_run_id": run_id}
        run = api("GET", f"/v1/jobs/{run_id}")[1]["job_run"]
        assert (run["job_type"], run["status"], run["notify"]) == ("revenuecat_sync", "pending", False)
        assert run["params"] == {"project_id": team.project_id, "include_sandbox": False, "mode": "incremental"}
        assert received(cloud) == [{"run_id": run_id, "slice": 0, "group": team.id}]

    def test_it_overlaps_like_any_other(self, api, team, sync):
        run_id = trigger(api, team)[1]["job_run"]["id"]
        said = "A job of this type is already running or pending"
        assert api("POST", sync) == error(409, said, existing_run_id=run_id)

    def test_a_repeat_under_a_key_is_the_same_run(self, api, sync):
        key = {"Idempotency-Key": "monday"}
        assert api("POST", sync, headers=key) == api("POST", sync, headers=key)
        assert api("POST", sync)[0] == 409

    def test_a_paused_type_refuses(self, api, sync, db):
        pauses.pause(JOB_TYPES["revenuecat_sync"], what="type", by="ada", why="maintenance", db=db)
        status, body = api("POST", sync)
        assert (status, body["paused"]["by"]) == (400, "ada")

    def test_who_may_not(self, api, team, strangers, as_user, owner, sync):
        foreign = f"/v1/projects/{strangers.project_id}/integrations/revenuecat/sync"
        unknown = f"/v1/projects/{uuid.uuid4()}/integrations/revenuecat/sync"
        for path in (foreign, unknown):
            for caller in (api, as_user("owner")):
                assert caller("POST", path) == error(404, "Project not found")
        assert Api()("POST", sync) == error(401, "Missing authorization")
        assert as_user("member")("POST", sync) == error(403, "Requires admin role or higher")
        owner.run_script("UPDATE api_keys SET permissions = '{jobs:read}'")
        assert api("POST", sync) == error(403, "Missing permission: jobs:write")
        assert as_user("admin")("POST", sync)[0] == 200

    def test_a_project_without_the_integration(self, api, sync, owner):
        owner.run_script("UPDATE project_integrations SET deleted_at = clock_timestamp()")
        assert api("POST", sync) == error(404, "RevenueCat integration not found or disabled")
        owner.run_script("UPDATE projects SET deleted_at = clock_timestamp()")
        assert api("POST", sync) == error(404, "Project not found")


class TestProgressBeforeTheFirstStep:
    def progress(self, api, run_id):
        return api("GET", f"/v1/jobs/{run_id}")[1]["job_run"]["progress"]

    def test_it_is_zero_of_the_total_from_the_start(self, api, team, owner, db):
        owner.run_script(
            "INSERT INTO app_users (project_id, user_id)"
            f" SELECT '{team.project_id}', 'user-' || n FROM generate_series(1, 7) n"
        )
        run = trigger(api, team)[1]["job_run"]
        waits = {"processed": 0, "total": 7, "message": "Waiting for a free worker"}
        assert run["progress"] == waits
        assert self.progress(api, run["id"]) == waits
        assert api("GET", f"/v1/teams/{team.id}/jobs")[1]["job_runs"][0]["progress"] == waits
        claim(db, run["id"], 0)
        assert self.progress(api, run["id"]) == waits | {"message": ""}

    def test_a_project_without_users(self, api, team):
        assert trigger(api, team)[1]["job_run"]["progress"]["total"] == 0

    def test_while_the_run_waits_its_message_says_what_for(self, api, team, owner):
        run = trigger(api, team)[1]["job_run"]["id"]
        owner.run_script(
            "UPDATE job_runs SET status = 'running', started_at = clock_timestamp(), waiting_for = 'the rate limit',"
            """ progress = '{"processed": 3, "total": 7, "message": "Synced 3 users"}'"""
        )
        assert self.progress(api, run)["message"] == "Synced 3 users; waiting for the rate limit"
        [listed] = api("GET", f"/v1/teams/{team.id}/jobs")[1]["job_runs"]
        assert listed["progress"]["message"] == "Synced 3 users; waiting for the rate limit"
        api("POST", f"/v1/jobs/{run}/cancel")
        assert self.progress(api, run)["message"] == "Synced 3 users"


class TestIdempotency:
    def test_a_repeat_returns_the_run_as_it_is_now(self, api, team, db, cloud, owner):
        key = {"Idempotency-Key": "monday"}
        _, first = trigger_with(api, team, key)
        owner.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), resend_at = NULL")

        status, again = trigger_with(api, team, key)

        assert status == 201
        assert again["job_run"]["id"] == first["job_run"]["id"]
        assert again["job_run"]["status"] == "cancelled"
        assert len(received(cloud)) == 1

    def test_while_the_run_is_live_it_is_a_repeat_and_no_overlap(self, api, team):
        key = {"idempotency-key": "monday"}
        assert trigger_with(api, team, key) == trigger_with(api, team, key)

    def test_another_body_under_the_same_key_is_refused(self, api, team):
        key = {"Idempotency-Key": "monday"}
        trigger_with(api, team, key)
        status, answer = trigger_with(api, team, key, notify=True)
        assert status == 422
        assert "monday" in answer["error"]

    def test_a_refusal_is_not_remembered(self, api, team, owner):
        trigger(api, team)
        key = {"Idempotency-Key": "monday"}
        assert trigger_with(api, team, key)[0] == 409
        owner.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), resend_at = NULL")
        assert trigger_with(api, team, key)[0] == 201

    def test_another_caller_and_another_day_are_another_key(self, api, team, as_user, owner):
        key = {"Idempotency-Key": "monday"}
        _, first = trigger_with(api, team, key)
        assert trigger_with(as_user("admin"), team, key)[0] == 409
        owner.run_script(
            "UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), resend_at = NULL,"
            " created_at = clock_timestamp() - interval '25 h'"
        )
        status, second = trigger_with(api, team, key)
        assert status == 201
        assert second["job_run"]["id"] != first["job_run"]["id"]

    @pytest.mark.parametrize("bad", ["", "x" * 256, "a\nb"])
    def test_malformed_keys(self, api, team, bad):
        status, answer = trigger_with(api, team, {"Idempotency-Key": bad})
        assert status == 400
        assert answer["error"].startswith("Idempotency-Key must be 1 to 255 printable characters")


def trigger_with(api, team, headers, **body):
    wish = {"job_type": "revenuecat_sync", "project_id": team.project_id} | body
    return api("POST", f"/v1/teams/{team.id}/jobs/trigger", wish, headers=headers)


class TestCancel:
    def test_pending(self, api, team):
        run = trigger(api, team)[1]["job_run"]["id"]
        assert api("POST", f"/v1/jobs/{run}/cancel") == (200, {"cancelled": True})
        assert api("GET", f"/v1/jobs/{run}")[1]["job_run"]["status"] == "cancelled"
        assert api("POST", f"/v1/jobs/{run}/cancel") == error(400, 'Cannot cancel a job with status "cancelled"')

    def test_running_twice(self, api, team, db):
        run = trigger(api, team)[1]["job_run"]["id"]
        claim(db, run, 0, lease_s=60, request_id="w")
        for _ in range(2):
            assert api("POST", f"/v1/jobs/{run}/cancel") == (200, {"cancelled": True})
        timeline = api("GET", f"/v1/jobs/{run}/timeline")[1]
        assert (timeline["state"], timeline["cancel_requested_by"][:14]) == ("cancelling", "manual:api_key")


class TestRerun:
    def test_an_ended_run_is_run_again_as_a_new_one(self, api, team, owner):
        old = trigger(api, team, params={"include_sandbox": True}, notify=True)[1]["job_run"]
        assert api("POST", f"/v1/jobs/{old['id']}/rerun") == error(400, 'Cannot rerun a job with status "pending"')
        api("POST", f"/v1/jobs/{old['id']}/cancel")

        status, body = api("POST", f"/v1/jobs/{old['id']}/rerun")

        assert status == 201
        assert body["job_run"]["id"] != old["id"]
        assert (body["job_run"]["params"], body["job_run"]["notify"]) == (old["params"], True)
        assert run_row(owner, body["job_run"]["id"])["rerun_of"] == old["id"]
        again = api("POST", f"/v1/jobs/{old['id']}/rerun", {"from": "start"})
        assert again[0] == 409

    def test_from_the_cursor_it_goes_on_where_the_old_one_stopped(self, api, team, owner):
        old = trigger(api, team)[1]["job_run"]
        api("POST", f"/v1/jobs/{old['id']}/cancel")
        owner.run_script(
            """UPDATE job_runs SET cursor = '{"after": 7}', cursor_version = 1,"""
            """ progress = '{"processed": 7, "total": 9, "message": "x"}'"""
        )
        run = api("POST", f"/v1/jobs/{old['id']}/rerun", {"from": "cursor"})[1]["job_run"]
        assert run["progress"]["processed"] == 7
        assert run_row(owner, run["id"])["cursor"] == {"after": 7}

    def test_a_completed_one_is_not_gone_on_with(self, api, team, owner):
        old = trigger(api, team)[1]["job_run"]
        owner.run_script(
            "UPDATE job_runs SET status = 'completed', started_at = created_at, completed_at = clock_timestamp(),"
            """ resend_at = NULL, cursor = '{"after": 9}', cursor_version = 1"""
        )
        sentence = 'Cannot rerun a job with status "completed" from its cursor. Rerun it from the start'
        assert api("POST", f"/v1/jobs/{old['id']}/rerun", {"from": "cursor"}) == error(400, sentence)
        assert api("POST", f"/v1/jobs/{old['id']}/rerun", {"from": "start"})[0] == 201

    def test_bad_bodies(self, api, team):
        old = trigger(api, team)[1]["job_run"]
        api("POST", f"/v1/jobs/{old['id']}/cancel")
        status, answer = api("POST", f"/v1/jobs/{old['id']}/rerun", {"from": "middle"})
        assert status == 400
        assert answer["error"] == 'from must be one of start, cursor, got "middle"'


class TestBadDays:
    def test_a_new_column_does_not_break_warm_environments(self, api, team, owner):
        run = trigger(api, team)[1]["job_run"]["id"]

        def everything():
            return [
                api("GET", f"/v1/teams/{team.id}/jobs")[0],
                api("GET", f"/v1/jobs/{run}")[0],
                api("GET", f"/v1/jobs/{run}/timeline")[0],
                trigger(api, team)[0],
            ]

        before = everything()
        owner.run_script("ALTER TABLE job_runs ADD COLUMN one_more text; ALTER TABLE job_slices ADD COLUMN more text")
        assert everything() == before == [200, 200, 200, 409]

    def test_a_statement_whose_plan_no_longer_fits_is_prepared_anew(self, cloud, db, owner):
        db.query("project_name", project_id=None, team_ids=[])
        owner.run_script("ALTER TABLE projects ALTER COLUMN name TYPE varchar(200)")
        assert db.query("project_name", project_id=None, team_ids=[]) == []

    def test_a_database_that_swallows_everything_is_asked_once(self, cloud, monkeypatch):
        with socket.socket() as hole:
            hole.bind(("127.0.0.1", 0))
            hole.listen()
            hole.setblocking(False)
            monkeypatch.setenv("DATABASE_PORT", str(hole.getsockname()[1]))
            monkeypatch.setenv("DATABASE_TIMEOUT_S", "0.2")
            for cached in (settings, database):
                cached.cache_clear()
            assert Api()("GET", "/v1/health")[0] == 503
            hole.accept()[0].close()
            with pytest.raises(BlockingIOError):
                hole.accept()

    def test_a_body_that_is_not_utf_8(self, api, team):
        body = base64.b64encode(b"\xff\xfe{}").decode()
        answer = api("POST", f"/v1/teams/{team.id}/jobs/trigger", raw=body, base64_encoded=True)
        assert answer == error(400, "The body must be JSON in UTF-8")

    def test_a_secret_that_cannot_be_read_is_not_the_callers_fault(self, cloud, as_user, monkeypatch):
        monkeypatch.setenv("JWT_SECRET_ID", "nowhere")
        settings.cache_clear()
        assert as_user("admin")("GET", "/v1/auth/whoami")[0] == 503

    def test_nor_is_one_that_is_no_text(self, cloud, as_user, monkeypatch):
        binary = clients.client("secretsmanager").create_secret(Name="binary", SecretBinary=b"secret")["ARN"]
        monkeypatch.setenv("JWT_SECRET_ID", binary)
        settings.cache_clear()
        assert as_user("admin")("GET", "/v1/auth/whoami")[0] == 503


def test_projects(api, team, as_user):
    projects = api("GET", "/v1/projects", team_id=team.id)[1]["projects"]
    kept = [f"effective_retention_days_{kind}" for kind in ("events", "metrics", "funnels")]
    assert [list(project) for project in projects] == [["id", "team_id", "name", "slug", "color", "created_at", *kept]]
    assert [projects[0][name] for name in kept] == [120, 365, 365]
    assert api("GET", "/v1/projects")[1]["projects"] == projects
    assert as_user("member")("GET", "/v1/projects")[1]["projects"] == []
    assert api("GET", f"/v1/projects/{team.project_id}") == (200, projects[0] | {"apps": []})


def test_a_platform_may_keep_its_own_retention(api, team, owner):
    path = f"/v1/projects/{team.project_id}"
    for column, stored, shown in [
        *[("integer", "90", 90), ("integer", "NULL", 120), ("integer", "0", 120), ("bigint", "400", 400)],
        *[
            ("text", "'45'", 45),
            ("text", "'for ever'", 120),
            ("numeric", "'NaN'", 120),
            ("numeric(9, 2)", "30", 30),
            ("jsonb", "'30'", 30),
        ],
    ]:
        owner.run_script(
            "ALTER TABLE projects DROP COLUMN IF EXISTS retention_days_events;"
            f"ALTER TABLE projects ADD retention_days_events {column} DEFAULT {stored}"
        )
        for project in (api("GET", path)[1], *api("GET", "/v1/projects")[1]["projects"]):
            kept = [project[f"effective_retention_days_{kind}"] for kind in ("events", "metrics", "funnels")]
            assert kept == [shown, 365, 365], (column, stored)


def offered(api, name):
    [job_type] = [each for each in api("GET", "/v1/job-types")[1]["job_types"] if each["job_type"] == name]
    return job_type


def test_job_types_offer_their_params_as_json_schema(api):
    sync = offered(api, "revenuecat_sync")
    assert sync["label"] == "RevenueCat Sync"
    assert sync["params"]["properties"]["include_sandbox"]["type"] == "boolean"


def test_job_types_name_the_provider_whose_key_they_need(api):
    assert offered(api, "revenuecat_sync")["provider"] == "revenuecat"
    assert offered(api, "integration_check")["provider"] is None


def test_members_and_keys_of_a_team_are_named(api, as_user, team, strangers, owner):
    owner.run_script(
        f"UPDATE api_keys SET name = 'CI', deleted_at = clock_timestamp() WHERE team_id = '{strangers.id}'"
    )
    assert Api(f"Bearer {strangers.agent_key}")("GET", f"/v1/teams/{strangers.id}/members")[0] == 401
    _, named = as_user("admin")("GET", f"/v1/teams/{team.id}/members")
    assert [(person["email"], person["role"]) for person in named["members"]] == [
        ("admin@owls.example", "admin"), ("member@owls.example", "member"), ("owner@owls.example", "owner"),
    ]  # fmt: skip
    assert {person["id"] for person in named["members"]} == set(team.users.values())
    _, of_a_key = api("GET", f"/v1/teams/{team.id}/members")
    assert of_a_key["members"] == [person | {"email": None} for person in named["members"]]
    run = trigger(api, team)[1]["job_run"]
    assert run["triggered_by"] == f"manual:api_key:{named['api_keys'][0]['id']}"


def test_a_paused_type_says_so_and_refuses(api, team, db):
    pauses.pause(JOB_TYPES["revenuecat_sync"], what="type", by="ada", why="provider maintenance", db=db)
    sync = offered(api, "revenuecat_sync")
    assert (sync["paused"]["by"], sync["paused"]["why"]) == ("ada", "provider maintenance")
    status, body = trigger(api, team)
    assert status == 400
    assert body["error"].endswith(" UTC, by ada): provider maintenance")
    assert body["paused"] == sync["paused"]


def test_every_operation_is_served_and_documented_except_the_document_itself(api):
    modules = {path.stem for path in Path("functions/api/routes").glob("*.py")}
    assert modules == {operation.handler.__module__.rpartition(".")[2] for operation in OPERATIONS}
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    served = {(operation.method, operation.path) for operation in OPERATIONS}
    assert served - documented == {("GET", "/v1/openapi.json")}
    assert api("GET", "/v1/openapi.json", authorization=None) == (200, DOCUMENT)


@pytest.mark.parametrize("base_path", ["/jobs", "/internal/jobs", "/v1"])
def test_everything_answers_below_the_base_path_of_a_custom_domain(api, team, base_path):
    below = Api(f"Bearer {team.agent_key}")
    assert below("GET", f"{base_path}/v1/health", authorization=None)[0] == 200
    assert below("GET", f"{base_path}/v1/projects") == api("GET", "/v1/projects")
    wish = {"job_type": "revenuecat_sync", "project_id": team.project_id}
    run = below("POST", f"{base_path}/v1/teams/{team.id}/jobs/trigger", wish)[1]["job_run"]
    assert below("GET", f"{base_path}/v1/jobs/{run['id']}") == api("GET", f"/v1/jobs/{run['id']}")
    assert below("POST", f"{base_path}/v1/jobs/{run['id']}/cancel") == (200, {"cancelled": True})
    assert below("GET", f"{base_path}/v1/nothing")[0] == 404
    assert below("GET", base_path)[0] == 404
    assert below("GET", f"{base_path}/v1/openapi.json", authorization=None) == (
        200,
        DOCUMENT | {"servers": [{"url": base_path}]},
    )


def test_health_and_a_database_that_is_gone(api, team, monkeypatch):
    assert api("GET", "/v1/health", authorization=None)[0] == 200
    database().close()
    monkeypatch.setenv("DATABASE_PORT", "1")
    for cached in (settings, database, database_probe._trouble_at):
        cached.cache_clear()  # the last answer is a second old
    sentence = "The database cannot be reached. Try again in a moment."
    assert api("GET", "/v1/health", authorization=None) == error(503, sentence)
    assert trigger(api, team) == error(503, sentence)


def test_a_query_that_is_not_there_is_our_mistake_and_no_lost_database(api, monkeypatch):
    monkeypatch.setattr("nightshift.database.queries.query_files", dict)
    monkeypatch.setattr("nightshift.database.queries.query_text", query_text.__wrapped__)
    with pytest.raises(AssertionError, match="Something went wrong on our side"):
        api("GET", "/v1/health", authorization=None)


def test_a_connection_that_died_while_the_environment_slept_is_replaced(api, team, owner):
    trigger(api, team)
    cut_sessions(owner)
    assert api("GET", f"/v1/teams/{team.id}/jobs")[0] == 200


class TestRunsByTheBeginningOfTheirId:
    def begun(self, api, team, beginning, **more):
        return api("GET", f"/v1/teams/{team.id}/jobs", id_prefix=beginning, **more)

    @pytest.fixture
    def runs(self, owner, team, strangers):
        """Insert runs whose ids begin alike: six of the team's, and one of another team. Return the ids."""
        ids = [f"1a2b3c4d-{number:04d}-4000-8000-000000000000" for number in range(6)]
        for id in [*ids, "1a2b3c4d-0009-4000-8000-000000000000"]:
            whose = team if id in ids else strangers
            owner.run_script(
                "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, params, status, completed_at)"
                f" VALUES ('{id}', 'revenuecat_sync', '{whose.id}', '{whose.project_id}', 'schedule', '{{}}',"
                " 'cancelled', now())"
            )
        return ids

    def test_the_teams_own_are_found_by_id(self, api, team, runs):
        for beginning in (runs[2], runs[2].upper(), runs[2][:13], runs[2][:13].replace("-", "")):
            status, page = self.begun(api, team, beginning)
            assert (status, [run["id"] for run in page["job_runs"]]) == (200, [runs[2]])
            assert (page["cursor"], page["has_more"]) == (None, False)
        page = self.begun(api, team, "1a2b")[1]
        assert ([run["id"] for run in page["job_runs"]], page["has_more"]) == (runs[:5], True)

    def test_another_teams_are_not_there(self, api, team, runs):
        assert self.begun(api, team, "1a2b3c4d0009")[1]["job_runs"] == []
        assert self.begun(api, team, "ffff")[1] == {"job_runs": [], "cursor": None, "has_more": False}

    @pytest.mark.parametrize("beginning", ["1a2", "1a2g", "-" * 8, "1" * 33, "%", "1a2b\n", "1a2b'"])
    def test_what_no_id_begins_with_is_refused(self, api, team, beginning):
        sentence = f"id_prefix must be a UUID or at least its first 4 digits, got {json.dumps(beginning)}"
        assert self.begun(api, team, beginning) == (400, {"error": sentence})

    def test_other_filters_count_for_nothing_beside_it(self, api, team, runs):
        assert self.begun(api, team, "1a2b", status="failed") == self.begun(api, team, "1a2b")


class TestTimeline:
    def test_it_tells_why_a_run_does_not_move(self, api, team, owner, db, cloud):
        run = trigger(api, team)[1]["job_run"]["id"]

        def told():
            answer = api("GET", f"/v1/jobs/{run}/timeline")[1]
            return answer["state"], answer["why"]

        assert told() == ("queued", "It is waiting for a free worker")
        claim(db, run, 0, lease_s=60, request_id="w")
        assert told()[0] == "running"
        owner.run_script("UPDATE job_runs SET lease_expires_at = clock_timestamp() - interval '1 s'")
        assert told() == ("recovering", "Its worker stopped responding; the sweep, due every minute, will recover it")
        owner.run_script("UPDATE job_runs SET lease_expires_at = clock_timestamp() - interval '121 s'")
        assert told() == ("recovering", "Its worker stopped responding, and the sweep that recovers it is overdue")
        db.query("expire_leases", keys=[run], lost_slices_limit=5, lost_slices_ceiling=50, resend_delay_s=120)
        assert told() == ("recovering", "Its worker died (lost slice 1 of 5); it will continue from its last step")
        owner.run_script(
            "UPDATE job_runs SET waiting_for = 'RevenueCat''s rate limit', due_at = clock_timestamp() + interval '1 h'"
        )
        assert told() == ("waiting", "It is waiting for RevenueCat's rate limit")
        api("POST", f"/v1/jobs/{run}/cancel")
        assert told() == ("ended", "It is cancelled")
        entry = api("GET", f"/v1/jobs/{run}/timeline")[1]["timeline"][0]
        assert (entry["slice"], entry["outcome"], entry["request_id"]) == (0, "lost", "w")

    def test_it_is_bounded_and_counts_what_it_leaves_out(self, api, team, owner):
        run = trigger(api, team)[1]["job_run"]["id"]
        assert api("GET", f"/v1/jobs/{run}/timeline")[1]["slices_left_out"] == 0
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
            f" SELECT '{run}', slice, 'w', now(), 'continued' FROM generate_series(0, 1002) AS slice"
        )
        answer = api("GET", f"/v1/jobs/{run}/timeline")[1]
        assert answer["slices_left_out"] == 3
        assert [entry["slice"] for entry in answer["timeline"]] == list(range(3, 1003))

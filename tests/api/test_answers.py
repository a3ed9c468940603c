"""Properties of every answer: headers, compression, methods, limits."""

import base64
import gzip
import itertools
import json

import pytest

from api import database_probe, openapi
from nightshift.base.errors import DatabaseGone
from nightshift.base.settings import settings
from nightshift.database.queries import database
from nightshift.runs import reading
from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.world import store_keys, token

LAMBDA_MOST_BYTES = 6 * 1024 * 1024


@pytest.fixture
def team(owner):
    team = make_team(owner)
    store_keys(owner)
    return team


@pytest.fixture
def api(cloud, team):
    return Api(f"Bearer {team.agent_key}")


@pytest.fixture
def as_admin(cloud, team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


def runs_of(team, owner, count, *, params="{}", result="{}", error=None):
    """Insert ended runs of this team, each with these columns (JSON text)."""
    status = "completed" if error is None else "failed"
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at, params, result,"
        f" error) SELECT gen_random_uuid(), 'revenuecat_sync', '{team.id}', '{team.project_id}', 'x', '{status}',"
        f" clock_timestamp(), $p${params}$p$, {'NULL' if error else f'$r${result}$r$'},"
        f" {f'$e${error}$e$' if error else 'NULL'} FROM generate_series(1, {count})"
    )


class TestHeaders:
    def answers(self, api, team, monkeypatch):
        """Yield one answer of each kind: 200, 201, 400, 401, 404, 405, 409, 413, 500, 503."""
        path = f"/v1/teams/{team.id}/jobs"
        wish = json.dumps({"job_type": "revenuecat_sync", "project_id": team.project_id})
        yield api.send("GET", path)
        yield api.send("POST", f"{path}/trigger", wish)
        yield api.send("GET", path, limit="x")
        yield api.send("GET", path, authorization=None)
        yield api.send("GET", "/v1/nothing")
        yield api.send("PUT", path)
        yield api.send("POST", f"{path}/trigger", wish)
        yield api.send("POST", f"{path}/trigger", "x" * 65_537)

        def fails(*args, **kwargs):
            raise AssertionError("a fault of ours")

        monkeypatch.setattr(reading, "list_page", fails)
        yield api.send("GET", path)
        database().close()
        monkeypatch.setenv("DATABASE_PORT", "1")
        for cached in (settings, database):
            cached.cache_clear()
        yield api.send("GET", path)

    def test_every_answer_is_kept_by_no_cache_and_taken_for_nothing_else(self, api, team, monkeypatch):
        statuses = []
        for answer in self.answers(api, team, monkeypatch):
            statuses.append(answer["statusCode"])
            headers = answer["headers"]
            assert headers["Content-Type"] == "application/json"
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Vary"] == "Accept-Encoding"
            assert "Strict-Transport-Security" not in headers  # on this machine, which uses plain HTTP
        assert statuses == [200, 201, 400, 401, 404, 405, 409, 413, 500, 503]

    def test_behind_tls_clients_are_told_to_stay_there(self, api):
        answer = api.send("GET", "/v1/nothing", headers={"X-Forwarded-Proto": "https"})
        assert answer["headers"]["Strict-Transport-Security"] == "max-age=31536000"

    @pytest.mark.parametrize(
        ("authorization", "challenge"),
        [
            (None, 'Bearer realm="nightshift"'),
            ("Basic abc", 'Bearer realm="nightshift"'),
            (
                "Bearer owl_agent_nobody",
                'Bearer realm="nightshift", error="invalid_token", error_description="Invalid API key"',
            ),
            (
                "Bearer a.b.c",
                'Bearer realm="nightshift", error="invalid_token", error_description="Invalid or expired token"',
            ),
        ],
    )
    def test_a_refused_sign_in_says_how_to_sign_in(self, api, authorization, challenge):
        answer = api.send("GET", "/v1/auth/whoami", authorization=authorization)
        assert (answer["statusCode"], answer["headers"]["WWW-Authenticate"]) == (401, challenge)

    def test_no_other_answer_asks_for_a_sign_in(self, api):
        assert "WWW-Authenticate" not in api.send("GET", "/v1/auth/whoami")["headers"]

    def test_too_many_runs_say_when_to_come_back(self, api, team, monkeypatch):
        monkeypatch.setenv("RUNS_PER_MINUTE", "1")
        settings.cache_clear()
        wish = {"job_type": "revenuecat_sync", "project_id": team.project_id}
        status, run = api("POST", f"/v1/teams/{team.id}/jobs/trigger", wish)
        assert (status, api("POST", f"/v1/jobs/{run['job_run']['id']}/cancel")[0]) == (201, 200)
        before = database().statements
        answer = api.send("POST", f"/v1/teams/{team.id}/jobs/trigger", json.dumps(wish))
        assert database().statements - before == 2
        body = json.loads(answer["body"])
        assert answer["statusCode"] == 429
        assert 0 < body["retry_after_s"] <= 60
        assert answer["headers"]["Retry-After"] == str(body["retry_after_s"])
        assert body["error"] == (
            f"This team has started 1 run within a minute, which is the limit. Try again in {body['retry_after_s']} s."
        )
        assert api("POST", f"/v1/jobs/{run['job_run']['id']}/rerun")[0] == 429


class TestMethods:
    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/v1/health", "GET, HEAD, OPTIONS"),
            ("/v1/teams/{team}/jobs", "GET, HEAD, OPTIONS"),
            ("/v1/teams/{team}/jobs/trigger", "OPTIONS, POST"),
            ("/v1/jobs/{team}/cancel", "OPTIONS, POST"),
        ],
    )
    def test_a_method_that_a_path_does_not_take(self, api, team, path, allowed):
        path = path.format(team=team.id)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - set(allowed.split(", ")):
            answer = api.send(method, path)
            assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, allowed)
            error = json.loads(answer["body"])["error"]
            assert error.endswith(f" does not support {method}. Supported methods: {allowed}")
        answer = api.send("OPTIONS", path, authorization=None)
        assert (answer["statusCode"], answer["headers"]["Allow"]) == (200, allowed)
        assert json.loads(answer["body"]) == {"methods": allowed.split(", ")}

    def test_a_path_that_is_not_there_takes_no_method(self, api):
        for method in ("OPTIONS", "HEAD", "DELETE"):
            answer = api.send(method, "/v1/nothing")
            assert answer["statusCode"] == 404
            assert "Allow" not in answer["headers"]

    @pytest.mark.parametrize("path", ["/v1/health", "/v1/openapi.json", "/v1/teams/{team}/jobs", "/v1/nothing"])
    def test_head_is_get_without_a_body(self, api, team, path):
        path = path.format(team=team.id)
        got, headed = api.send("GET", path), api.send("HEAD", path)
        assert headed == got | {"body": ""}

    def test_head_triggers_nothing(self, api, team, owner):
        assert api.send("HEAD", f"/v1/teams/{team.id}/jobs/trigger")["statusCode"] == 405
        assert owner.run_script("SELECT count(*) FROM job_runs") == [[0]]


class TestCompression:
    @pytest.mark.parametrize("accepted", ["gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1", "deflate, GZIP", "*"])
    def test_clients_that_take_gzip_get_it(self, api, accepted):
        plain = api.send("GET", "/v1/openapi.json")
        packed = api.send("GET", "/v1/openapi.json", headers={"Accept-Encoding": accepted})
        assert packed["headers"] == plain["headers"] | {"Content-Encoding": "gzip"}
        assert packed["isBase64Encoded"] is True
        content = base64.b64decode(packed["body"])
        assert gzip.decompress(content).decode() == plain["body"]
        assert len(content) < len(plain["body"]) / 4

    @pytest.mark.parametrize("accepted", [None, "", "identity", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "xgzip"])
    def test_others_get_plain_text(self, api, accepted):
        headers = {} if accepted is None else {"accept-encoding": accepted}
        answer = api.send("GET", "/v1/openapi.json", headers=headers)
        assert "Content-Encoding" not in answer["headers"]
        assert json.loads(answer["body"])["openapi"] == "3.1.0"

    def test_a_short_answer_is_not_worth_it(self, api):
        answer = api.send("GET", "/v1/health", headers={"Accept-Encoding": "gzip"})
        assert json.loads(answer["body"])["status"] == "ok"


class TestWhatIsKnownIsNotSent:
    @pytest.mark.parametrize("known", ["{etag}", '"x", {etag}', "{strong}", "*"])
    def test_a_client_that_has_the_answer_gets_304_without_a_body(self, api, team, known):
        path = f"/v1/teams/{team.id}/jobs"
        whole = api.send("GET", path)
        etag = whole["headers"]["ETag"]
        headers = {"If-None-Match": known.format(etag=etag, strong=etag.removeprefix("W/")), "Accept-Encoding": "gzip"}
        answer = api.send("GET", path, headers=headers)
        assert (answer["statusCode"], answer["body"], answer["headers"]) == (304, "", whole["headers"])

    def test_a_change_a_refusal_and_a_post_are_sent(self, api, team, owner):
        path = f"/v1/teams/{team.id}/jobs"
        headers = {"If-None-Match": api.send("GET", path)["headers"]["ETag"]}
        assert api.send("GET", path, headers=headers, authorization=None)["statusCode"] == 401
        assert "ETag" not in api.send("GET", f"{path}/nothing")["headers"]
        runs_of(team, owner, 1)
        assert api.send("GET", path, headers=headers)["statusCode"] == 200

    def test_a_client_asks_for_the_runs_that_have_changed(self, api, team, owner):
        runs_of(team, owner, 3)
        owner.run_script("UPDATE job_runs SET completed_at = completed_at - interval '1 hour'")
        runs_of(team, owner, 1)
        wish = {"job_type": "revenuecat_sync", "project_id": team.project_id}
        assert api("POST", f"/v1/teams/{team.id}/jobs/trigger", wish)[0] == 201
        whole = api("GET", f"/v1/teams/{team.id}/jobs", limit="4")[1]
        changed = api("GET", f"/v1/teams/{team.id}/jobs", limit="4", changed_since="30m")[1]
        assert [run["status"] for run in changed["job_runs"]] == ["pending", "completed"]
        ended = changed["job_runs"][1]["completed_at"]
        assert api("GET", f"/v1/teams/{team.id}/jobs", limit="4", changed_since=ended)[1] == changed
        # The cursor is that of the whole page, so the client knows how far it reaches.
        assert changed == whole | {"job_runs": whole["job_runs"][:2]}
        status, refused = api("GET", f"/v1/teams/{team.id}/jobs", changed_since="soon")
        assert (status, refused["error"].partition(" must")[0]) == (400, "changed_since")


class TestOpenToEverybody:
    def test_health_asks_the_database_once_a_second(self, api, monkeypatch):
        clock = itertools.count(1000, 0.25)
        monkeypatch.setattr(database_probe, "time", type("Clock", (), {"monotonic": lambda: next(clock)}))
        before = database().statements
        for _ in range(12):  # three seconds
            assert api("GET", "/v1/health", authorization=None)[0] == 200
        assert database().statements - before == 3

    def test_an_unreachable_database_is_tried_once_a_second(self, api, monkeypatch):
        tried = []

        class Gone:
            def require_writable(self):
                tried.append(self)
                raise DatabaseGone

        clock = itertools.count(1000, 0.25)
        monkeypatch.setattr(database_probe, "time", type("Clock", (), {"monotonic": lambda: next(clock)}))
        monkeypatch.setattr(database_probe, "database", Gone)
        for _ in range(8):
            assert api("GET", "/v1/health", authorization=None)[0] == 503
        assert len(tried) == 2

    def test_the_document_is_built_once(self, api, monkeypatch):
        built = []
        document = openapi.document
        monkeypatch.setattr(openapi, "document", lambda: built.append(1) or document())
        openapi.text.cache_clear()
        answers = {api.send("GET", "/v1/openapi.json", authorization=None)["body"] for _ in range(3)}
        assert len(answers) == len(built) == 1


class TestRefusedSignIns:
    KEY = "owl_agent_" + "k" * 43

    @pytest.fixture
    def refused(self, api, caplog, capsys):
        """``refused(authorization)``: return the log lines about it, the counted refusals and the whole output."""

        def send(authorization):
            api("GET", "/v1/auth/whoami", authorization=authorization)
            told = [record for record in caplog.records if getattr(record, "action", "") == "sign_in_refused"]
            printed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
            counted = sum(sum(line["SignInsRefused"]) for line in printed if "SignInsRefused" in line)
            return told, counted, f"{[vars(record) for record in caplog.records]} {printed}"

        return send

    def test_a_key_is_counted_and_told_by_its_prefix(self, refused):
        [line], counted, written = refused(f"Bearer {self.KEY}")
        assert (line.levelname, line.getMessage()) == ("WARNING", "Refused a sign-in: Invalid API key")
        assert (line.key_prefix, counted) == ("owl_agent_kkkk", 1)
        assert self.KEY[:15] not in written

    @pytest.mark.parametrize("token", ["a.b.c", "hunter2", "owl_agent_short", "owl_agent_hunter2hunter2"])
    def test_of_anything_else_nothing_is_told(self, refused, token):
        [line], counted, written = refused(f"Bearer {token}")
        assert (line.key_prefix, counted) == (None, 1)
        assert token not in written

    def test_a_request_without_credentials_is_no_sign_in(self, refused):
        assert refused(None)[:2] == ([], 0)

    def test_a_good_key_is_not_told_of(self, refused, team):
        assert refused(f"Bearer {team.agent_key}")[:2] == ([], 0)


class TestBounds:
    def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(self, api, team):
        path = f"/v1/teams/{team.id}/jobs/trigger"
        wish = json.dumps({"job_type": "revenuecat_sync", "project_id": team.project_id})
        refused = api("POST", path, raw=wish + " " * (65_537 - len(wish)))
        sentence = "The request body has 65,537 bytes. The maximum is 65,536"
        assert refused == (413, {"error": sentence})
        encoded = base64.b64encode(b"x" * 65_538).decode()
        assert api("POST", path, raw=encoded, base64_encoded=True)[0] == 413
        assert api("POST", path, raw="é" * 32_769)[0] == 413
        assert api("POST", path, raw=wish + " " * (65_536 - len(wish)))[0] == 201

    def test_it_is_refused_before_anything_is_asked(self, api, team):
        before = database().statements
        for method, path in (("POST", f"/v1/teams/{team.id}/jobs/trigger"), ("GET", "/v1/projects"), ("GET", "/v1/x")):
            assert api.send(method, path, "x" * 65_537, authorization="Bearer owl_agent_x")["statusCode"] == 413
        assert database().statements == before

    @pytest.mark.parametrize(
        ("raw", "sentence"),
        [
            ('{"notify": true, "notify": false}', 'The body must name each field once, got "notify" twice'),
            ('{"params": {"a": 1, "a": 2}}', 'The body must name each field once, got "a" twice'),
            ('{"params": {"a": 1e999}}', "The body contains a number that is too large: 1e999"),
            ('{"params": {"a": -Infinity}}', "The body must be JSON"),
            ('{"a": ' + "9" * 5000 + "}", "The body must be JSON"),
            ('{"params": {"a": ["\\ud800"]}}', "The body must not contain NUL characters or broken surrogate pairs"),
            ('{"params": {"\\udc00": 1}}', "The body must not contain NUL characters or broken surrogate pairs"),
            ('{"params": [{"a": "b\\u0000"}]}', "The body must not contain NUL characters or broken surrogate pairs"),
            ('{"params": ' + '{"a":' * 32 + "1" + "}" * 33, "The body must not be nested more than 32 levels deep"),
            ('{"params": ' + "[" * 900 + "]" * 900 + "}", "The body must not be nested more than 32 levels deep"),
            ("[" * 32_000, "The body must be JSON"),
        ],
        ids=lambda text: text[:40],
    )
    def test_json_that_no_job_should_ever_see(self, api, team, raw, sentence):
        status, body = api("POST", f"/v1/teams/{team.id}/jobs/trigger", raw=raw)
        assert (status, body["error"][: len(sentence)]) == (400, sentence)
        assert len(body["error"]) < 250

    def test_a_backslash_before_u0000_is_text_like_any_other(self, api, team):
        status, body = api("POST", f"/v1/teams/{team.id}/jobs/trigger", raw='{"job_type": "\\\\u0000"}')
        assert (status, body["error"][:16]) == (400, "Invalid job_type")

    @pytest.mark.parametrize("where", ["{name}", "params"])
    def test_a_long_name_is_cut_in_the_error(self, api, team, where):
        name = "ü" * 5_000
        wish = {"job_type": "revenuecat_sync", "project_id": team.project_id}
        wish |= {name: 1} if where == "{name}" else {"params": {name: name}}
        status, body = api("POST", f"/v1/teams/{team.id}/jobs/trigger", wish)
        assert status == 400
        assert "is not a known field" in body["error"]
        assert len(body["error"]) < 250

    def test_whatever_a_query_holds_the_answer_is_short(self, api, as_admin, team):
        names = ("q", "cursor", "limit", "team_id", "job_type", "status", "since", "until", "project_id")
        paths = ("/v1/projects", f"/v1/teams/{team.id}/jobs", f"/v1/teams/{team.id}/members", "/v1/auth/whoami")
        for name, path, value in itertools.product(
            names, paths, ("ü" * 500_000, "a\x00b", "\ud800", "1" * 5000, "1,2")
        ):
            for caller in (api, as_admin):
                answer = caller.send("GET", path, **{name: value})
                assert answer["statusCode"] in (200, 400, 403, 404), (name, path, value[:9], answer)
                assert len(answer["body"]) < 2000

    def test_whatever_a_header_holds_the_answer_is_short(self, api, team):
        names = ("authorization", "idempotency-key", "accept-encoding", "x-anything")
        for header, value in itertools.product(names, ("ü" * 500_000, "a\x00b", "\ud800", "Bearer " + "a." * 100_000)):
            answer = api.send("POST", f"/v1/teams/{team.id}/jobs/trigger", "{}", headers={header: value})
            assert answer["statusCode"] in (400, 401), answer
            assert len(answer["body"]) < 500

    def test_a_path_that_is_not_there_is_not_repeated_in_full(self, api):
        assert len(api.send("GET", "/v1/" + "x" * 100_000)["body"]) < 200


class TestSixMegabytes:
    """Lambda's answer holds the body as JSON text, where quotation marks and backslashes count twice."""

    def answered(self, api, path, **query):
        answer = api.send("GET", path, **query)
        assert answer["statusCode"] == 200
        assert len(json.dumps(answer)) < LAMBDA_MOST_BYTES
        return json.loads(answer["body"])

    @pytest.mark.parametrize(
        "of",
        [
            {"result": json.dumps({"said": '"' * 8_100})},
            {"params": json.dumps({"said": "\\" * 32_000})},
            {"error": "\U0001f989" * 2000},
            {"result": json.dumps({"said": "x" * 16_000}), "params": json.dumps({"n": list(range(10_000))})},
        ],
        ids=["result", "params", "error", "both"],
    )
    def test_a_page_of_200_runs_fits_whatever_they_hold(self, api, team, owner, of):
        runs_of(team, owner, 200, **of)
        path, seen, cursor = f"/v1/teams/{team.id}/jobs", [], {}
        while True:
            page = self.answered(api, path, limit="200", **cursor)
            seen += [run["id"] for run in page["job_runs"]]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["cursor"]}
        assert len(seen) == len(set(seen)) == 200

    def test_small_runs_are_not_cut(self, api, team, owner):
        runs_of(team, owner, 200)
        page = self.answered(api, f"/v1/teams/{team.id}/jobs", limit="200")
        assert (len(page["job_runs"]), page["has_more"]) == (200, False)

    def test_a_timeline_fits_and_counts_what_it_leaves_out(self, api, team, owner):
        runs_of(team, owner, 1)
        [[run_id]] = owner.run_script("SELECT id FROM job_runs")
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome, reason)"
            f" SELECT '{run_id}', n, 'r', clock_timestamp(), 'retrying', repeat('\U0001f989', 2000)"
            " FROM generate_series(0, 999) n"
        )
        told = self.answered(api, f"/v1/jobs/{run_id}/timeline")
        shown = [entry["slice"] for entry in told["timeline"]]
        assert shown == list(range(told["slices_left_out"], 1000))
        assert 0 < told["slices_left_out"] < 1000


class TestCrowds:
    """With a hundred times the demo's data or more, each list has a limit, a next page or a search."""

    def test_projects(self, api, team, owner):
        owner.run_script(
            "INSERT INTO projects (team_id, name, slug)"
            f" SELECT '{team.id}', 'App ' || n % 7000, 'app-' || n FROM generate_series(1, 20000) n"
        )
        first = api("GET", "/v1/projects", team_id=team.id)[1]
        assert (len(first["projects"]), first["has_more"]) == (1000, True)
        seen, cursor = [], {}
        while True:
            page = api("GET", "/v1/projects", limit="997", **cursor)[1]
            seen += [(project["name"], project["id"]) for project in page["projects"]]
            if "has_more" not in page:
                break
            cursor = {"cursor": page["cursor"]}
        assert len(set(seen)) == len(seen) == 20_001
        found = api("GET", "/v1/projects", q="APP-19999")[1]
        assert [project["slug"] for project in found["projects"]] == ["app-19999"]
        assert found.keys() == {"projects"}
        assert api("GET", "/v1/projects", q="%")[1] == {"projects": []}

    def test_projects_by_their_ids(self, api, team, owner):
        owner.run_script(
            "INSERT INTO projects (team_id, name, slug)"
            f" SELECT '{team.id}', 'App ' || n, 'app-' || n FROM generate_series(1, 150) n"
        )
        strangers = make_team(owner, slug="strangers")
        ids = [str(id_) for (id_,) in owner.run_script(f"SELECT id FROM projects WHERE team_id = '{team.id}'")]
        wanted = [*ids[:3], strangers.project_id, "00000000-0000-4000-8000-000000000000"]
        found = api("GET", "/v1/projects", ids=",".join(wanted))[1]
        assert {each["id"] for each in found["projects"]} == set(ids[:3])
        assert found.keys() == {"projects"}
        assert len(api("GET", "/v1/projects", ids=",".join(ids[:100]))[1]["projects"]) == 100
        refused = (400, {"error": "ids must have at most 100 ids, got 101"})
        assert api("GET", "/v1/projects", ids=",".join(ids[:101])) == refused
        assert api("GET", "/v1/projects", ids=f"{ids[0]},x")[0] == 400
        assert api("GET", "/v1/projects", ids=ids[0], team_id=strangers.id)[0] == 403

    def test_names_that_begin_alike_are_all_on_some_page(self, api, team, owner):
        owner.run_script(
            "INSERT INTO projects (team_id, name, slug)"
            f" SELECT '{team.id}', repeat('n', 250) || n % 7, 'app-' || n FROM generate_series(1, 50) n"
        )
        seen, cursor = [], {}
        while cursor is not None:
            page = api("GET", "/v1/projects", limit="7", **cursor)[1]
            seen += [each["id"] for each in page["projects"]]
            cursor = {"cursor": page["cursor"]} if "has_more" in page else None
        assert len(set(seen)) == len(seen) == 51

    def test_another_teams_project_is_no_cursor(self, api, team, owner):
        strangers = make_team(owner, slug="strangers")
        for project_id in (strangers.project_id, "00000000-0000-4000-8000-000000000000"):
            refused = (400, {"error": f'cursor must be one that a list returned, got "{project_id}"'})
            assert api("GET", "/v1/projects", cursor=project_id) == refused

    def test_a_deleted_project_keeps_its_place_as_a_cursor(self, api, team, owner):
        owner.run_script(f"INSERT INTO projects (team_id, name, slug) VALUES ('{team.id}', 'Z', 'z')")
        cursor = api("GET", "/v1/projects", limit="1")[1]["cursor"]
        owner.run_script(f"UPDATE projects SET deleted_at = clock_timestamp() WHERE id = '{cursor}'")
        assert [each["slug"] for each in api("GET", "/v1/projects", cursor=cursor)[1]["projects"]] == ["z"]

    def test_members_and_keys(self, api, team, owner, as_admin):
        owner.run_script(
            "WITH people AS (INSERT INTO users (email) SELECT 'p' || n || '@crowd.example'"
            " FROM generate_series(1, 1500) n RETURNING id)"
            f" INSERT INTO team_members (team_id, user_id, role) SELECT '{team.id}', id, 'member' FROM people;"
            "INSERT INTO api_keys (team_id, key_type, name, key_hash, key_prefix)"
            f" SELECT '{team.id}', 'agent', 'Key ' || n, sha256(CAST(n AS text)::bytea), 'x'"
            " FROM generate_series(1, 1500) n"
        )
        path = f"/v1/teams/{team.id}/members"
        all_of_them = as_admin("GET", path)[1]
        assert [len(all_of_them[name]) for name in ("members", "api_keys")] == [1000, 1000]
        assert all_of_them["has_more"] is True
        found = as_admin("GET", path, q="P1499@")[1]
        assert [member["email"] for member in found["members"]] == ["p1499@crowd.example"]
        assert found.keys() == {"members", "api_keys"}
        [key] = as_admin("GET", path, q="key 1499")[1]["api_keys"]
        by_id = as_admin("GET", path, q=key["id"])[1]
        assert (by_id["api_keys"], by_id["members"]) == ([key], [])
        # A search by address would reveal addresses that the key is not shown.
        assert api("GET", path, q="p1499@")[1]["members"] == []
        member = found["members"][0]
        assert api("GET", path, q=member["id"])[1]["members"] == [member | {"email": None}]

    def test_teams(self, team, owner, as_admin):
        owner.run_script(
            "WITH more AS (INSERT INTO teams (name, slug) SELECT 'Team ' || n, 'team-' || lpad(CAST(n AS text), 5, '0')"
            " FROM generate_series(1, 1500) n RETURNING id)"
            f" INSERT INTO team_members (team_id, user_id, role) SELECT id, '{team.users['admin']}', 'admin' FROM more"
        )
        first = as_admin("GET", "/v1/auth/whoami")[1]
        assert (len(first["teams"]), first["has_more"]) == (1000, True)
        rest = as_admin("GET", "/v1/auth/whoami", cursor=first["cursor"])[1]
        assert "has_more" not in rest
        assert len({each["id"] for each in first["teams"] + rest["teams"]}) == 1501
        [found] = as_admin("GET", "/v1/auth/whoami", q="TEAM 1499")[1]["teams"]
        assert found["slug"] == "team-01499"
        assert as_admin("GET", "/v1/auth/whoami", cursor="nowhere")[0] == 400

    def test_apps(self, api, team, owner):
        owner.run_script(
            "INSERT INTO apps (project_id, name)"
            f" SELECT '{team.project_id}', 'App ' || n FROM generate_series(1, 1001) n"
        )
        project = api("GET", f"/v1/projects/{team.project_id}")[1]
        assert (len(project["apps"]), project["has_more"]) == (1000, True)

    def test_names_of_any_length_fit(self, api, team, owner):
        owner.run_script(
            "INSERT INTO projects (team_id, name, slug)"
            f" SELECT '{team.id}', lpad(CAST(n AS text), 5, '0') || repeat('\"', 20000), 'app-' || n"
            " FROM generate_series(1, 500) n"
        )
        answer = api.send("GET", "/v1/projects")
        assert len(json.dumps(answer)) < LAMBDA_MOST_BYTES
        page = json.loads(answer["body"])
        assert page["has_more"] is True
        following = api("GET", "/v1/projects", cursor=page["cursor"])[1]["projects"]
        assert int(following[0]["name"][:5]) == len(page["projects"]) + 1

"""The filters of runs: each finds what it says, searches say how far they looked, and bad values are refused."""

import uuid
from datetime import UTC, datetime

import pytest

from nightshift.runs import reading
from nightshift.runs.reading import Filters
from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.plans import explained
from tests.support.world import token

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def team(cloud, owner):
    return make_team(owner, projects=2)


@pytest.fixture
def api(team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def found(api, team):
    """``found(**filters)``: the numbers of the runs that the API lists, newest first."""

    def found(**filters):
        status, page = api("GET", f"/v1/teams/{team.id}/jobs", **filters)
        assert status == 200, page
        return [run["params"]["n"] for run in page["job_runs"]]

    return found


def insert(owner, team, n, **columns):
    """Insert the n-th run, of the n-th minute of November."""
    status = columns.get("status", "failed")
    is_live = status in ("pending", "running")
    row = {
        "id": str(uuid.uuid4()), "job_type": "revenuecat_sync", "team_id": team.id, "project_id": team.project_id,
        "triggered_by": "schedule", "status": status, "error": "x" if status == "failed" else None,
        "params": "{}", "created_at": f"2026-11-01T00:{n:02}:00Z", "resend_at": "now()" if is_live else None,
        "completed_at": None if is_live else "now()", "started_at": "now()" if status == "running" else None,
    } | columns  # fmt: skip
    values = ", ".join("NULL" if value is None else "'" + value.replace("'", "''") + "'" for value in row.values())
    owner.run_script(f"INSERT INTO job_runs ({', '.join(row)}) VALUES ({values})")
    owner.run_script(f"UPDATE job_runs SET params = params || '{{\"n\": {n}}}' WHERE id = '{row['id']}'")
    return row["id"]


def test_each_filter_finds_what_it_says(api, found, team, owner):
    me, key = team.users["admin"], str(uuid.uuid4())
    [[other]] = owner.run_script(
        f"SELECT id::text FROM projects WHERE team_id = '{team.id}' AND id <> '{team.project_id}'"
    )
    insert(owner, team, 1, triggered_by=f"manual:user:{me}", error="RevenueCat answered 503: 50% of 100_000 users")
    insert(
        owner,
        team,
        2,
        triggered_by=f"manual:api_key:{key}",
        status="cancelled",
        params='{"mode": "full", "of": "Ünal"}',
    )
    insert(owner, team, 3, status="completed", params='{"mode": "fuller", "project_id": "full"}', project_id=other)
    insert(owner, team, 4, status="running", params='{"note": "mode"}', triggered_by=f"manual:user:{me}")
    strangers = make_team(owner, slug="strangers")
    insert(owner, strangers, 5, triggered_by=f"manual:user:{me}", error="answered 503", params='{"mode": "full"}')
    assert found() == [4, 3, 2, 1]
    assert found(status="failed,cancelled") == [2, 1]
    assert found(status="running, completed") == [4, 3]
    assert (
        found(triggered_by="me")
        == found(triggered_by=f"user:{me}")
        == found(triggered_by=f"manual:user:{me}")
        == [4, 1]
    )
    assert found(triggered_by=f"api_key:{key}") == [2]
    assert found(triggered_by="schedule") == [3]
    assert found(error="ANSWERED 503") == [1]
    # Texts are compared as they are: these are no patterns.
    assert (found(error="50%"), found(error="5%3"), found(error="1__"), found(error="100_000")) == ([1], [], [], [1])
    assert (found(params="ünal"), found(params="mode=full"), found(params="mode=FULL"), found(params="mode=ful")) == (
        [2],
        [2],
        [2],
        [],
    )
    assert found(params="mode") == [4, 3, 2]
    assert found(params=team.project_id[:8]) == []
    assert found(triggered_by="me", status="running") == [4]
    assert found(triggered_by="me", until="2026-11-01T01:02:00+01:00") == [1]
    assert found(triggered_by="me", since="2026-11-01T00:02:00Z") == [4]
    assert found(error="503", project_id=other) == []
    assert found(params="mode", project_id=team.project_id) == [4, 2]
    assert found(params="mode", job_type="other") == []
    page = api("GET", f"/v1/teams/{team.id}/jobs", error="503", status="failed")[1]
    assert page["searched"] == {"runs": 1, "back_to": "2026-11-01T00:01:00.000Z"}
    assert "searched" not in api("GET", f"/v1/teams/{team.id}/jobs", status="failed")[1]
    assert api("GET", f"/v1/teams/{team.id}/jobs", error="503", project_id=strangers.project_id)[0] == 404
    theirs = {"action": "rerun", "match": {"project_id": strangers.project_id}}
    assert api("POST", f"/v1/teams/{team.id}/bulk-actions", theirs)[0] == 404


def test_a_search_looks_at_its_newest_runs_and_goes_on_from_there(found, api, team, owner, monkeypatch):
    monkeypatch.setattr(reading, "MOST_SEARCHED", 4)
    for n in range(1, 11):
        insert(owner, team, n, error="rare" if n in (2, 9) else "x")
    page = api("GET", f"/v1/teams/{team.id}/jobs", error="rare")[1]
    assert [run["params"]["n"] for run in page["job_runs"]] == [9]
    assert (page["searched"], page["has_more"]) == ({"runs": 4, "back_to": "2026-11-01T00:07:00.000Z"}, True)
    page = api("GET", f"/v1/teams/{team.id}/jobs", error="rare", cursor=page["cursor"])[1]
    assert (page["job_runs"], page["searched"]["runs"], page["has_more"]) == ([], 4, True)
    page = api("GET", f"/v1/teams/{team.id}/jobs", error="rare", cursor=page["cursor"])[1]
    assert [run["params"]["n"] for run in page["job_runs"]] == [2]
    assert (page["searched"]["runs"], page["has_more"], page["cursor"]) == (2, False, None)
    # A page that is full ends where its last run is.
    page = api("GET", f"/v1/teams/{team.id}/jobs", error="x", limit="1")[1]
    assert [run["params"]["n"] for run in page["job_runs"]] == [10]
    assert found(error="x", limit="2", cursor=page["cursor"]) == [8, 7]
    found = reading.matches(Filters(error="x"), team_id=team.id, limit=10, db=owner)
    assert (len(found.ids), found.looked_far_enough) == (3, False)


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        (
            {"status": "failed,broken"},
            'status must be one of pending, running, completed, failed, cancelled, got "broken"',
        ),
        ({"status": "failed,"}, 'status must be one of pending, running, completed, failed, cancelled, got ""'),
        ({"triggered_by": "ada"}, 'triggered_by must be me, schedule, user:<id> or api_key:<id>, got "ada"'),
        ({"triggered_by": "user:ada"}, 'triggered_by must be a UUID, got "ada"'),
        ({"error": "x" * 201}, "error must have at most 200 characters, got "),
        ({"params": "x" * 201}, "params must have at most 200 characters, got "),
        ({"error": "a\x00"}, "error must not contain NUL characters or broken surrogate pairs, got "),
        ({"since": "yesterday", "error": "x"}, 'since must be ISO 8601 or relative like 30m, 1h, 7d, got "yesterday"'),
    ],
)
def test_a_bad_value_is_refused_in_its_words(api, team, filters, sentence):
    status, body = api("GET", f"/v1/teams/{team.id}/jobs", **filters)
    assert (status, body["error"].startswith(sentence)) == (400, True), body
    asked = {"action": "rerun", "match": {name: value for name, value in filters.items() if len(value) <= 200}}
    if asked["match"]:
        assert api("POST", f"/v1/teams/{team.id}/bulk-actions", asked)[0] == 400


def test_a_search_reads_its_ten_thousand_runs_and_no_others(db, owner):
    """Among 12,000 runs of the team and as many of another one, whichever column is searched."""
    team, others = make_team(owner), make_team(owner, slug="others")
    owner.run_script(
        "INSERT INTO job_runs"
        " (id, job_type, team_id, project_id, triggered_by, status, error, completed_at, created_at)"
        " SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'rare_type' ELSE 'revenuecat_sync' END, team_id, id, 'x',"
        " CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'completed' END, CASE WHEN n % 2 = 0 THEN 'e' || n END,"
        " clock_timestamp(), timestamptz '2026-01-01Z' + n * interval '1 min'"
        " FROM generate_series(1, 6000) n, projects; ANALYZE job_runs"
    )
    most = 500
    for search in (
        {"error": "nothing"},
        {"params": "nothing"},
        {"triggered_by": "nothing"},
        {"param_name": "n", "param_value": "1"},
    ):
        for where in (
            {},
            {"statuses": "{failed}"},
            {"job_type": "rare_type"},
            {"project_id": team.project_id},
            {"since": AT},
        ):
            given = {"team_id": team.id, "most": most, "limit": 51, **search, **where}
            rows, buffers = explained(db, "search_runs", **given)
            assert rows == 1
            # The range from the indexes, and each of its runs by its key.
            assert buffers <= 6 * most, (search, where, buffers)
    foreign = explained(
        db, "search_runs", team_id=team.id, most=most, limit=51, error="e", project_id=others.project_id
    )
    assert foreign[1] <= 12
    assert (
        explained(db, "list_runs_by_id", run_ids="{" + ",".join(str(uuid.uuid4()) for _ in range(51)) + "}")[1] <= 200
    )


def test_an_action_of_too_many_runs_is_refused(api, team, owner, monkeypatch):
    monkeypatch.setattr("nightshift.runs.bulk_actions.MOST_RUNS", 2)
    many = ("POST", f"/v1/teams/{team.id}/bulk-actions", {"action": "rerun", "match": {"status": "failed"}})
    insert(owner, team, 1)
    insert(owner, team, 2)
    assert api(*many)[0] == 201
    insert(owner, team, 3)
    sentence = "More than 2 runs match, which is the limit. Choose a shorter time or more filters"
    assert api(*many) == (400, {"error": sentence})

"""Many runs at once: a preview fixes them, each is cancelled or run again once, and the figures say what became."""

import threading
from collections import Counter
from dataclasses import replace

import pytest

from nightshift.database.queries import Database
from nightshift.runs import bulk_actions, bulk_items, reading
from nightshift.testing.rows import make_team, sweep
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.plans import explained
from tests.support.world import claim, received, store_keys, token, trigger

SYNC, BACKFILL = "revenuecat_sync", "revenuecat_backfill"
PROJECTS, OUTAGE = 40, 1_000
FAILED = {"status": "failed", "since": "1d"}


@pytest.fixture
def team(cloud, owner):
    team = make_team(owner, projects=PROJECTS)
    store_keys(owner)
    return team


@pytest.fixture
def api(team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def many(team):
    """The address of the team's bulk actions."""
    return f"/v1/teams/{team.id}/bulk-actions"


def fail(owner, team, runs=OUTAGE, *, job_type=SYNC, params="{}"):
    """Let runs of the team have failed in the last hours, as many in each of its projects."""
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, params, created_at,"
        " started_at, completed_at, cursor, cursor_version, progress)"
        f" SELECT gen_random_uuid(), '{job_type}', team_id, id, 'schedule', 'failed', 'RevenueCat answered 503',"
        f" jsonb_build_object('project_id', id) || '{params}', at, at, at, jsonb_build_object('after', n::text), 1,"
        " jsonb_build_object('processed', 5, 'total', 10, 'message', '')"
        f" FROM generate_series(1, {runs}) n JOIN (SELECT *, row_number() OVER (ORDER BY slug) AS place FROM projects"
        f" WHERE team_id = '{team.id}') AS project ON place = n % {PROJECTS} + 1,"
        " LATERAL (SELECT clock_timestamp() - interval '1 min' * n AS at) AS time"
    )


def preview(api, many, action="rerun", **asked):
    status, answer = api("POST", many, {"action": action, **(asked or {"match": FAILED})})
    assert status == 201, answer
    return answer["bulk_action"]


def confirm(api, many, action):
    status, answer = api("POST", f"{many}/{action['id']}/confirm")
    assert status == 200, answer
    return answer["bulk_action"]


def look(api, many, action):
    return api("GET", f"{many}/{action['id']}")[1]["bulk_action"]


def figures(action):
    """Return the figures that are not 0."""
    return {name: count for name, count in action["figures"].items() if count and name not in ("runs", "projects")}


def reruns(owner):
    return owner.run_script("SELECT rerun_of::text, id::text FROM job_runs WHERE rerun_of IS NOT NULL")


def outcomes(api, many, action):
    items, cursor = [], None
    while True:
        page = api("GET", f"{many}/{action['id']}/items", **({"cursor": cursor} if cursor else {}))[1]
        items += page["items"]
        cursor = page["cursor"]
        if not page["has_more"]:
            return items


def test_an_outage_is_mended_by_one_action(api, many, team, owner, cloud, db):
    """A thousand failed runs in forty projects: the newest of each is run again, and the figures say so beforehand."""
    fail(owner, team)
    made = preview(api, many)
    assert (made["state"], made["figures"]["runs"], made["figures"]["projects"]) == ("preview", OUTAGE, PROJECTS)
    assert figures(made) == {"to_do": PROJECTS, "superseded": OUTAGE - PROJECTS}
    assert not reruns(owner)
    done = confirm(api, many, made)
    assert (done["state"], figures(done)) == ("ended", {"started": PROJECTS, "superseded": OUTAGE - PROJECTS})
    newest = owner.run_script(
        "SELECT DISTINCT ON (project_id) id::text FROM job_runs WHERE rerun_of IS NULL"
        " ORDER BY project_id, created_at DESC"
    )
    assert sorted(old for old, _ in reruns(owner)) == sorted(run_id for (run_id,) in newest)
    assert {message["run_id"] for message in received(cloud)} == {new for _, new in reruns(owner)}
    items = outcomes(api, many, made)
    assert len({item["run_id"] for item in items}) == OUTAGE
    assert {(item["run_id"], item["new_run_id"]) for item in items if item["new_run_id"]} == {
        (old, new) for old, new in reruns(owner)
    }
    # A repeat of each request starts nothing.
    assert confirm(api, many, made) == done
    again = preview(api, many)
    assert figures(again) == {"superseded": OUTAGE - PROJECTS, "skipped": PROJECTS}
    assert again["reasons"] == [{"reason": "it was run again already", "runs": PROJECTS}]
    assert api("GET", many)[1]["bulk_actions"] == [done]


def test_a_run_is_run_again_as_it_was_or_from_where_it_stopped(api, many, team, owner):
    fail(owner, team, 2 * PROJECTS, params='{"include_sandbox": true}')
    chosen = [
        run_id for (run_id,) in owner.run_script("SELECT id::text FROM job_runs ORDER BY created_at DESC LIMIT 2")
    ]
    confirm(api, many, preview(api, many, run_ids=chosen[:1], **{"from": "cursor"}))
    confirm(api, many, preview(api, many, run_ids=chosen[1:]))
    rows = owner.run_script(
        "SELECT rerun_of::text, params ->> 'include_sandbox', cursor IS NOT NULL, progress ->> 'processed',"
        " triggered_by, status FROM job_runs WHERE rerun_of IS NOT NULL ORDER BY created_at"
    )
    me = f"manual:user:{team.users['admin']}"
    assert rows == [
        [chosen[0], "true", True, "5", me, "pending"],
        [chosen[1], "true", False, None, me, "pending"],
    ]


def test_two_actions_at_once_and_a_killed_one_run_nothing_again_twice(api, many, team, owner, cloud, connect):
    """Two people confirm the same runs. Sessions die before their commit; the sweeps of both come to the same end."""
    fail(owner, team)
    first, second = (preview(api, many) for _ in range(2))
    owner.run_script("UPDATE job_bulk_actions SET confirmed_at = clock_timestamp(), confirmed_by = created_by")

    class Killed(Database):
        """Its worker is killed when it commits: nothing of the batch is stored."""

        def commit(self):
            raise KeyboardInterrupt

    keys = [
        row["key"]
        for row in connect().query(
            "open_bulk_items", action_id=None, at_most=500, passed_over=[], **bulk_items.shares(cloud)
        )
    ]
    dying = connect()
    dying.__class__ = Killed
    with pytest.raises(KeyboardInterrupt):
        bulk_items.work(keys, db=dying, settings=cloud)
    dying.close()
    assert not reruns(owner)
    threads = [
        threading.Thread(target=lambda: sweep(db=connect(user="nightshift_sweep"), settings=cloud)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(2):
        sweep(db=connect(), settings=replace(cloud, runs_per_minute=10_000))
    assert Counter(old for old, _ in reruns(owner)).most_common(1)[0][1] == 1
    assert len(reruns(owner)) == PROJECTS
    ended = [look(api, many, action) for action in (first, second)]
    assert [action["state"] for action in ended] == ["ended", "ended"]
    assert sum(action["figures"]["started"] for action in ended) == PROJECTS
    assert sum(action["figures"]["skipped"] for action in ended) == PROJECTS


def test_what_happened_meanwhile_is_skipped_and_said(api, many, team, owner, cloud, db):
    """A paused type, a deleted project, one of another team, a live run, a deleted run, and old parameters."""
    fail(owner, team, PROJECTS)
    fail(owner, team, 1, job_type=BACKFILL)
    fail(owner, team, 1, job_type="retired_type")
    made = preview(api, many, match={"status": "failed"})
    other = make_team(owner, slug="others")
    ids = [
        run_id
        for (run_id,) in owner.run_script(
            f"SELECT project_id::text FROM job_runs WHERE job_type = '{SYNC}' ORDER BY created_at DESC OFFSET 1 LIMIT 6"
        )
    ]
    owner.run_script(
        f"UPDATE projects SET deleted_at = now() WHERE id = '{ids[0]}';"
        f"UPDATE projects SET team_id = '{other.id}', slug = 'moved' WHERE id = '{ids[1]}';"
        f"DELETE FROM job_runs WHERE project_id = '{ids[3]}';"
        f"UPDATE job_runs SET params = params || '{{\"pages\": 3}}' WHERE project_id = '{ids[4]}';"
        f"DELETE FROM project_integrations WHERE project_id = '{ids[5]}'"
    )
    trigger(team, db=db, settings=cloud, project_id=ids[2], params={"project_id": ids[2]})
    owner.run_script(
        f"INSERT INTO job_pauses (job_type, what, paused_by, why) VALUES ('{BACKFILL}', 'type', 'ada', 'a move')"
    )
    done = confirm(api, many, made)
    assert (done["state"], figures(done)) == ("ended", {"started": PROJECTS - 6, "skipped": 8})
    assert [each["runs"] for each in done["reasons"]] == [1] * 8
    assert sorted(each["reason"] for each in done["reasons"]) == [
        "The run's parameters no longer fit RevenueCat Sync: params.pages is not a known field, got 3. Known: "
        "include_sandbox, mode",
        "a run of this type is live",
        "it is deleted",
        "its project belongs to another team",
        "its project has no integration with revenuecat",
        "its project is deleted",
        "revenuecat_backfill is paused by ada: a move",
        "this release has no job type retired_type",
    ]


def test_one_bad_item_costs_that_one_alone(api, many, team, owner, cloud, db):
    """The database refuses the rerun of one run: the others start, and the sweep sets that one aside."""
    fail(owner, team, PROJECTS)
    [[bad]] = owner.run_script("SELECT project_id::text FROM job_runs LIMIT 1")
    owner.run_script(f"ALTER TABLE job_runs ADD CONSTRAINT bad CHECK (project_id <> '{bad}' OR rerun_of IS NULL)")
    made = confirm(api, many, preview(api, many))
    assert figures(made) == {"to_do": PROJECTS}
    sweep(db=db, settings=cloud)
    assert figures(look(api, many, made)) == {"started": PROJECTS - 1, "to_do": 1}
    assert owner.run_script("SELECT healer FROM job_set_aside") == [["bulk_items"]]
    owner.run_script("UPDATE job_bulk_actions SET confirmed_at = confirmed_at - interval '8 days'")
    sweep(db=db, settings=cloud)
    ended = look(api, many, made)
    assert (ended["state"], ended["reasons"]) == (
        "ended", [{"reason": "it could not be done within a week", "runs": 1}],
    )  # fmt: skip


def test_a_bad_item_does_not_use_up_the_share_of_the_others(api, many, team, owner, cloud, db):
    """The team may start one run in a minute by bulk actions, and the oldest item cannot be done."""
    fail(owner, team, 3)
    [[bad]] = owner.run_script("SELECT project_id::text FROM job_runs ORDER BY created_at LIMIT 1")
    owner.run_script(f"ALTER TABLE job_runs ADD CONSTRAINT bad CHECK (project_id <> '{bad}' OR rerun_of IS NULL)")
    made = preview(api, many)
    owner.run_script("UPDATE job_bulk_actions SET confirmed_at = clock_timestamp(), confirmed_by = created_by")
    for _ in range(3):
        sweep(db=db, settings=replace(cloud, runs_per_minute=2))
        owner.run_script("UPDATE job_bulk_items SET decided_at = decided_at - interval '51 s'")
    assert figures(look(api, many, made)) == {"started": 2, "to_do": 1}


def test_more_runs_than_an_action_holds_are_refused_and_not_left_out(api, many, team, owner, monkeypatch):
    fail(owner, team, 4)
    monkeypatch.setattr(bulk_actions, "MOST_RUNS", 4)
    assert preview(api, many)["figures"]["runs"] == 4
    monkeypatch.setattr(bulk_actions, "MOST_RUNS", 3)
    assert api("POST", many, {"action": "rerun", "match": FAILED}) == (
        400, {"error": "More than 3 runs match, which is the limit. Choose a shorter time or more filters"},
    )  # fmt: skip


def test_a_filter_alone_is_not_cut_at_the_reach_of_a_search(api, many, team, owner, monkeypatch):
    """A search looks at the newest runs only and says so. A filter with an index finds all."""
    fail(owner, team, 4)
    monkeypatch.setattr(reading, "MOST_SEARCHED", 3)
    assert preview(api, many)["figures"]["runs"] == 4
    status, answer = api("POST", many, {"action": "rerun", "match": FAILED | {"error": "503"}})
    assert (status, answer["bulk_action"]["figures"]["runs"], answer["searched"]["runs"]) == (201, 3, 3)


def test_a_confirmation_that_is_repeated_at_once_is_no_second_action(api, many, team, owner, connect):
    """The action is the last one that the team may have at work. The repeat waits for the first request."""
    fail(owner, team, 1)
    *others, made = (preview(api, many) for _ in range(bulk_actions.MOST_WORKING))
    for other in others:
        owner.run_script(
            "UPDATE job_bulk_actions SET confirmed_at = clock_timestamp(), confirmed_by = created_by"
            f" WHERE id = '{other['id']}'"
        )
    first, answers = connect(), []
    first.begin()
    first.query("lock_bulk_actions_of_team", team_id=team.id)
    repeat = threading.Thread(target=lambda: answers.append(confirm(api, many, made)["state"]))
    repeat.start()
    blocked = "SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
    while not owner.run_script(blocked):
        assert repeat.is_alive(), "the repeat does not wait for the first request"
    first.query("confirm_bulk_action", action_id=made["id"], confirmed_by="me")
    first.commit()
    repeat.join()
    assert answers == ["working"]


def test_many_cancels_end_what_waits_and_ask_what_works(api, many, team, owner, cloud, db):
    runs = [
        trigger(team, db=db, settings=cloud, project_id=project_id, params={"project_id": project_id})["id"]
        for (project_id,) in owner.run_script("SELECT id::text FROM projects LIMIT 4")
    ]
    claim(db, runs[0], 0)
    made = preview(api, many, "cancel", match={"status": "pending,running"})
    assert figures(made) == {"to_do": 4}
    # One ends between the preview and the confirmation.
    api("POST", f"/v1/jobs/{runs[3]}/cancel")
    # One is locked by another session: it is left to the sweep.
    owner.begin()
    owner.run_script(f"UPDATE job_runs SET notify = notify WHERE id = '{runs[2]}'")
    assert figures(confirm(api, many, made)) == {"cancelled": 1, "asked_to_stop": 1, "skipped": 1, "to_do": 1}
    owner.rollback()
    sweep(db=db, settings=cloud)
    done = look(api, many, made)
    assert (done["state"], figures(done)) == ("ended", {"cancelled": 2, "asked_to_stop": 1, "skipped": 1})
    assert done["reasons"] == [{"reason": "it is cancelled already", "runs": 1}]
    [row] = owner.run_script(
        f"SELECT status, cancel_requested_by, lease_expires_at IS NULL FROM job_runs WHERE id = '{runs[0]}'"
    )
    assert row == ["running", f"manual:user:{team.users['admin']}", False]
    assert owner.run_script("SELECT DISTINCT status FROM job_runs WHERE completed_at IS NOT NULL") == [["cancelled"]]


def test_people_can_start_runs_while_many_are_run_again(api, many, team, owner, cloud, db):
    """An action takes half of the runs that the team may start within a minute; the next sweep goes on."""
    fail(owner, team, PROJECTS)
    few = replace(cloud, runs_per_minute=20)
    made = preview(api, many)
    owner.run_script("UPDATE job_bulk_actions SET confirmed_at = clock_timestamp(), confirmed_by = created_by")
    assert [sweep(db=db, settings=few)["bulk_items"] for _ in range(2)] == [10, 0]
    assert figures(look(api, many, made)) == {"started": 10, "to_do": 30}
    owner.run_script("UPDATE job_bulk_items SET decided_at = decided_at - interval '51 s' WHERE decided_at IS NOT NULL")
    sweep(db=db, settings=few)
    assert figures(look(api, many, made)) == {"started": 20, "to_do": 20}
    status, stopped = api("POST", f"{many}/{made['id']}/stop")
    assert (status, stopped["bulk_action"]["state"]) == (200, "ended")
    assert stopped["bulk_action"]["reasons"] == [{"reason": "the action was stopped", "runs": 20}]
    sweep(db=db, settings=few)
    assert len(reruns(owner)) == 20


def test_a_live_or_completed_run_is_not_run_again_from_its_cursor(api, many, team, owner, cloud, db):
    live = trigger(team, db=db, settings=cloud)["id"]
    fail(owner, team, 2)
    owner.run_script("UPDATE job_runs SET status = 'completed', error = NULL, progress = NULL WHERE status = 'failed'"
                     " AND created_at = (SELECT min(created_at) FROM job_runs)")  # fmt: skip
    made = preview(api, many, match={"since": "1d"}, **{"from": "cursor"})
    assert figures(made) == {"to_do": 1, "skipped": 2}
    assert {each["reason"] for each in made["reasons"]} == {
        "it is still live", "it is completed: it can be run again from the start only",
    }  # fmt: skip
    assert str(live) in {item["run_id"] for item in outcomes(api, many, made) if item["outcome"] == "skipped"}


def test_bad_requests_say_what_is_wrong_and_store_nothing(api, many, team, owner):
    fail(owner, team, 3)
    [[run_id]] = owner.run_script("SELECT id::text FROM job_runs LIMIT 1")
    others = make_team(owner, slug="others")
    fail(owner, others, PROJECTS)
    for body, sentence in (
        ({"action": "rerun"}, "Give either run_ids or match"),
        ({"action": "rerun", "run_ids": [run_id], "match": FAILED}, "Give either run_ids or match"),
        ({"action": "rerun", "match": {}},
         "match must have at least one filter: otherwise each run of the team matches"),
        ({"action": "stop", "match": FAILED}, 'action must be one of cancel, rerun, got "stop"'),
        ({"action": "cancel", "from": "cursor", "match": FAILED},
         'from must be start for the action cancel, got "cursor"'),
        ({"action": "rerun", "match": {"status": "broken"}},
         'status must be one of pending, running, completed, failed, cancelled, got "broken"'),
        ({"action": "rerun", "run_ids": ["x"]}, 'run_ids must be a UUID, got "x"'),
    ):  # fmt: skip
        assert api("POST", many, body) == (400, {"error": sentence})
    [[foreign]] = owner.run_script(f"SELECT id::text FROM job_runs WHERE team_id = '{others.id}'")
    assert (
        api("POST", many, {"action": "rerun", "run_ids": [foreign]})[1]["error"]
        == "run_ids must be ids of this team's runs, got none"
    )
    assert owner.run_script("SELECT count(*) FROM job_bulk_actions") == [[0]]


def test_an_action_is_its_teams_alone(api, many, team, owner):
    others = make_team(owner, slug="others")
    fail(owner, team, 1)
    made = preview(api, many)
    stranger = Api(f"Bearer {token(others.users['admin'], JWT_SECRET)}")
    theirs = f"/v1/teams/{others.id}/bulk-actions/{made['id']}"
    for method, path in (("GET", ""), ("GET", "/items"), ("POST", "/confirm"), ("POST", "/stop")):
        assert stranger(method, theirs + path) == (404, {"error": "Bulk action not found"})
        assert stranger(method, f"{many}/{made['id']}{path}")[0] == 403
    assert api("POST", f"{many}/{made['id']}/stop")[0] == 409
    owner.run_script("UPDATE job_bulk_actions SET created_at = created_at - interval '61 min'")
    status, answer = api("POST", f"{many}/{made['id']}/confirm")
    assert (status, answer["error"]) == (
        409, "This preview is more than an hour old. Make a new one: the runs have changed since",
    )  # fmt: skip


def test_actions_and_previews_of_a_team_are_limited_and_deleted_when_they_are_old(api, many, team, owner, cloud, db):
    fail(owner, team, 1)
    made = [preview(api, many) for _ in range(bulk_actions.MOST_PREVIEWS)]
    assert api("POST", many, {"action": "rerun", "match": FAILED})[0] == 429
    owner.run_script(
        "UPDATE job_bulk_actions SET confirmed_at = clock_timestamp(), confirmed_by = created_by"
        f" WHERE id IN (SELECT id FROM job_bulk_actions ORDER BY created_at LIMIT {bulk_actions.MOST_WORKING})"
    )
    assert api("POST", f"{many}/{made[-1]['id']}/confirm")[0] == 429
    # A confirmation at the last moment of the hour may still be under way.
    for later, left in (("61 min", bulk_actions.MOST_PREVIEWS), ("5 min", bulk_actions.MOST_WORKING)):
        owner.run_script(f"UPDATE job_bulk_actions SET created_at = created_at - interval '{later}'")
        sweep(db=db, settings=cloud)
        sweep(db=db, settings=cloud)
        assert owner.run_script("SELECT count(*) FROM job_bulk_actions") == [[left]]
    owner.run_script("UPDATE job_bulk_actions SET created_at = created_at - interval '91 days'")
    sweep(db=db, settings=cloud)
    sweep(db=db, settings=cloud)
    assert owner.run_script(
        "SELECT (SELECT count(*) FROM job_bulk_actions), (SELECT count(*) FROM job_bulk_items)"
    ) == [[0, 0]]


def test_an_action_at_work_outlives_the_retention_time(api, many, team, owner, cloud, db):
    """An installation keeps ended rows for a day, and the action takes longer than that."""
    fail(owner, team, 3)
    preview(api, many)
    owner.run_script(
        "UPDATE job_runs SET created_at = created_at - interval '26 h';"
        "UPDATE job_bulk_actions SET created_at = created_at - interval '25 h', confirmed_by = created_by,"
        " confirmed_at = created_at - interval '25 h'"
    )
    brief = replace(cloud, runs_per_minute=2, retention_days=1)
    for left in (2, 1, 0):
        sweep(db=db, settings=brief)
        assert owner.run_script("SELECT count(*) FROM job_bulk_items WHERE outcome IS NULL") == [[left]]
        owner.run_script("UPDATE job_bulk_items SET decided_at = decided_at - interval '51 s'")
    assert len(reruns(owner)) == 3
    sweep(db=db, settings=brief)
    assert owner.run_script("SELECT count(*) FROM job_bulk_actions") == [[0]]


def test_the_statements_of_a_batch_read_its_items_alone(api, many, team, owner, cloud, db):
    """Beside twenty thousand items of older actions."""
    fail(owner, team)
    made = preview(api, many)
    owner.run_script(
        "INSERT INTO job_bulk_actions (id, team_id, action, asked, created_by, created_at)"
        f" SELECT gen_random_uuid(), '{team.id}', 'rerun', '{{}}', 'x', now() - interval '2 h'"
        " FROM generate_series(1, 20);"
        "INSERT INTO job_bulk_items (action_id, run_id, project_id, job_type, run_created_at)"
        f" SELECT id, gen_random_uuid(), id, '{SYNC}', now() FROM job_bulk_actions, generate_series(1, 1000)"
        f" WHERE id <> '{made['id']}';"
        "UPDATE job_bulk_actions SET confirmed_at = created_at, confirmed_by = 'x', ended_at = created_at"
        f" WHERE id <> '{made['id']}';"
        f"UPDATE job_bulk_actions SET confirmed_at = now(), confirmed_by = 'x' WHERE id = '{made['id']}';"
        "ANALYZE job_bulk_actions, job_bulk_items, job_runs"
    )
    shares = bulk_items.shares(cloud)
    rows, buffers = explained(db, "open_bulk_items", at_most=100, passed_over="{}", **shares)
    assert (rows, buffers < 150) == (PROJECTS, True), buffers
    keys = db.query("open_bulk_items", action_id=None, at_most=100, passed_over=[], **shares)
    rows, buffers = explained(db, "lock_bulk_items", keys=f"{{{','.join(row['key'] for row in keys)}}}")
    assert (rows, buffers < 12 * PROJECTS) == (PROJECTS, True), buffers
    _, buffers = explained(db, "list_bulk_actions", team_id=team.id, action_id=made["id"], limit=1)
    assert buffers < 600, buffers
    rows, buffers = explained(db, "list_bulk_items", action_id=made["id"], limit=51)
    assert (rows, buffers < 120) == (51, True), buffers
    _, buffers = explained(db, "end_bulk_actions")
    assert buffers < 200, buffers

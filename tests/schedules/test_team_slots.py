"""Teams' schedules with the time passed in: each slot is decided once, whatever stands in the way of its run."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import pauses
from nightshift.runs.timeline import explain
from nightshift.schedules import team_schedules, team_slots
from nightshift.schedules.team_schedules import Wanted
from nightshift.tenants.audit import Author
from nightshift.testing.rows import make_team, run_row, sweep
from tests.support.world import received, state_of, trigger

# A Thursday.
START = datetime(2026, 11, 26, 2, 30, tzinfo=UTC)
THREE = datetime(2026, 11, 26, 3, tzinfo=UTC)
DAY = timedelta(days=1)
BACKFILL = "revenuecat_backfill"


@pytest.fixture
def team(owner):
    [team] = teams_with_integration(owner, "owls")
    return team


def teams_with_integration(owner, *slugs):
    teams = [make_team(owner, slug=slug) for slug in slugs]
    owner.run_script(
        "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
        " SELECT id, 'revenuecat', '{}', '' FROM projects ON CONFLICT DO NOTHING"
    )
    return teams


@pytest.fixture
def made(team, db, cloud):
    """``made(cron="0 3 * * *", …)``: the team makes a schedule of the RevenueCat sync at START; return its id."""

    def make(*, of=team, job_type="revenuecat_sync", params=(), **wanted):
        if "run_at" not in wanted:
            wanted = {"cron": "0 3 * * *"} | wanted
        schedule = team_schedules.make(
            JOB_TYPES[job_type],
            Wanted(project_id=of.project_id, params=dict(params), **wanted),
            team_id=of.id,
            author=Author(actor=f"user:{of.users['admin']}", request_id="r"),
            now=START,
            db=db,
            settings=cloud,
        )
        return schedule["id"]

    return make


@pytest.fixture
def at(db, cloud):
    """``at(moment)``: one sweep at this time. Return its counts of schedules."""

    def sweep_at(moment):
        counts = sweep(db=db, settings=cloud, now=moment)
        return counts["scheduled"], counts["skipped"]

    return sweep_at


def ledger(owner, schedule_id):
    rows = owner.run_script(
        "SELECT slot, outcome, reason, run_id::text FROM job_team_slots"
        f" WHERE schedule_id = '{schedule_id}' ORDER BY slot"
    )
    return [tuple(row) for row in rows]


def end(owner, status="completed"):
    owner.run_script(
        f"UPDATE job_runs SET status = '{status}', started_at = clock_timestamp(), completed_at = clock_timestamp(),"
        " lease_expires_at = NULL, resend_at = NULL WHERE completed_at IS NULL"
    )


def mails(owner):
    return owner.run_script("SELECT recipient, content FROM job_outbox WHERE run_id IS NULL ORDER BY recipient")


def test_a_slot_starts_one_run_that_the_queue_gets_to_know(made, at, owner, team, cloud):
    schedule = made(params={"mode": "full"})
    assert at(THREE - timedelta(seconds=1)) == (0, 0)
    assert at(THREE) == (1, 0)
    [(slot, outcome, reason, run_id)] = ledger(owner, schedule)
    assert (slot, outcome, reason) == (THREE, "started", None)
    run = run_row(owner, run_id)
    assert (run["triggered_by"], run["schedule_id"], run["status"]) == ("schedule", schedule, "pending")
    assert (run["team_id"], run["project_id"]) == (team.id, team.project_id)
    assert run["params"]["mode"] == "full"
    assert run["params"]["project_id"] == team.project_id
    assert received(cloud) == [{"run_id": run_id, "slice": 0, "group": team.id}]
    assert at(THREE + timedelta(minutes=1)) == (0, 0)
    assert team_schedules.get(schedule, db=owner)["next"][0] == "2026-11-27T03:00:00.000Z"


def test_a_start_at_one_time_happens_once(made, at, owner):
    schedule = made(run_at=THREE)
    assert at(THREE) == (1, 0)
    end(owner)
    assert at(THREE + 10 * DAY) == (0, 0)
    assert team_schedules.get(schedule, db=owner)["next"] == []


def test_an_outage_is_caught_up_with_one_run(made, at, owner):
    schedule = made()
    assert at(THREE + 2 * DAY + timedelta(hours=5)) == (1, 0)
    assert [(slot - THREE, outcome) for slot, outcome, _, _ in ledger(owner, schedule)] == [
        (0 * DAY, "missed"),
        (1 * DAY, "missed"),
        (2 * DAY, "caught_up"),
    ]


def test_only_the_newest_missed_slots_get_a_row(made, at, owner):
    schedule = made(cron="*/15 * * * *")
    at(THREE + 30 * DAY)
    assert len(ledger(owner, schedule)) == team_slots.MOST_MISSED + 1


def test_a_slot_is_skipped_for_a_live_run_of_another_start(made, at, owner, db, cloud, team):
    schedule = made()
    run = trigger(team, db=db, settings=cloud)
    assert at(THREE) == (0, 1)
    assert ledger(owner, schedule) == [(THREE, "skipped", "a run of this type is live", str(run["id"]))]


def test_two_schedules_that_are_due_together_start_one_run(made, at, owner):
    first, second = made(params={"mode": "full"}), made(params={"mode": "incremental"})
    assert at(THREE) == (1, 1)
    [started, skipped] = sorted(
        (ledger(owner, first)[0], ledger(owner, second)[0]), key=lambda row: row[1] == "skipped"
    )
    assert (started[1], skipped[1], skipped[2]) == ("started", "skipped", "a run of this type is live")
    assert owner.run_script("SELECT count(*) FROM job_runs") == [[1]]


def test_schedules_of_two_types_of_a_project_both_start(made, at):
    made()
    made(job_type=BACKFILL)
    assert at(THREE) == (2, 0)


def test_a_pause_of_the_operator_skips_with_its_reason(made, at, owner, db):
    schedule = made()
    pauses.pause(JOB_TYPES["revenuecat_sync"], what="schedule", by="ada", why="provider maintenance", db=owner)
    assert at(THREE) == (0, 1)
    assert ledger(owner, schedule)[0][2] == "paused by ada: provider maintenance"


@pytest.mark.parametrize("change", ["deleted_at = clock_timestamp()", "config = '{\"enabled\": false}'"])
def test_a_missing_integration_is_the_reason(made, at, owner, change):
    schedule = made()
    owner.run_script(f"UPDATE project_integrations SET {change}")
    assert at(THREE) == (0, 1)
    assert ledger(owner, schedule)[0][2] == "the project has no integration with revenuecat"


@pytest.mark.parametrize("table", ["projects", "teams"])
def test_a_deleted_project_starts_nothing_and_is_told_to_no_team(made, at, owner, table):
    schedule = made()
    owner.run_script(f"UPDATE {table} SET deleted_at = clock_timestamp()")
    for day in range(4):
        assert at(THREE + day * DAY) == (0, 1)
    assert ledger(owner, schedule)[0][2] == "the project is deleted"
    assert mails(owner) == []


def test_a_schedule_of_a_project_that_is_gone_goes_when_it_is_due(made, at, owner):
    made()
    owner.run_script("DELETE FROM project_integrations; DELETE FROM projects")
    assert at(THREE) == (0, 0)
    assert owner.run_script("SELECT count(*) FROM job_team_schedules") == [[0]]


def test_a_schedule_follows_its_project_to_another_team(made, at, owner):
    schedule = made()
    other = make_team(owner, slug="strangers")
    owner.run_script(
        f"UPDATE projects SET team_id = '{other.id}', slug = 'moved' WHERE id NOT IN ('{other.project_id}')"
    )
    assert at(THREE) == (1, 0)
    assert run_row(owner, ledger(owner, schedule)[0][3])["team_id"] == other.id


def test_parameters_of_an_older_release_are_the_reason(made, at, owner):
    schedule = made()
    owner.run_script("""UPDATE job_team_schedules SET params = '{"speed": "fast"}'""")
    assert at(THREE) == (0, 1)
    assert ledger(owner, schedule)[0][2].startswith(
        "its parameters are no longer valid: params.speed is not a known field"
    )


def test_a_job_type_of_an_older_release_is_the_reason(made, at, owner):
    schedule = made()
    owner.run_script("UPDATE job_team_schedules SET job_type = 'retired'")
    assert at(THREE) == (0, 1)
    assert ledger(owner, schedule)[0][2] == "this release has no job type retired"


def test_three_skipped_slots_tell_the_admins_once_until_a_run_starts(made, at, owner, team):
    made(name="Nightly")
    owner.run_script("UPDATE project_integrations SET deleted_at = clock_timestamp()")
    for day in range(2):
        at(THREE + day * DAY)
    assert mails(owner) == []
    for day in range(2, 6):
        at(THREE + day * DAY)
    told = mails(owner)
    assert [recipient for recipient, _ in told] == ["admin@owls.example", "owner@owls.example"]
    assert told[0][1]["subject"] == "RevenueCat Sync was skipped 3 times"
    assert told[0][1]["lines"][1] == "The reason of the last time: the project has no integration with revenuecat."
    owner.run_script("UPDATE project_integrations SET deleted_at = NULL")
    assert at(THREE + 6 * DAY) == (1, 0)
    for day in range(7, 10):
        at(THREE + day * DAY)  # that run is live
    assert len(mails(owner)) == 4


def test_the_maker_gets_the_mail_of_the_run(made, at, owner, team):
    made(notify=True)
    at(THREE)
    end(owner)
    assert owner.run_script("SELECT recipient FROM job_outbox WHERE run_id IS NOT NULL") == [["admin@owls.example"]]


def test_a_maker_who_has_left_gets_no_mail_and_the_schedule_goes_on(made, at, owner, team):
    schedule = made(notify=True)
    owner.run_script(f"DELETE FROM team_members WHERE user_id = '{team.users['admin']}'")
    assert team_schedules.get(schedule, db=owner)["maker_has_left"]
    assert at(THREE) == (1, 0)
    end(owner)
    assert owner.run_script("SELECT count(*) FROM job_outbox") == [[0]]


def test_the_starts_of_one_minute_are_spread_and_say_so(made, at, owner, db, cloud, monkeypatch):
    for team in teams_with_integration(owner, *(f"team-{n}" for n in range(5))):
        made(of=team)
    object.__setattr__(cloud, "scheduled_starts_per_minute", 4)
    assert at(THREE) == (4, 0)
    delays = owner.run_script(
        "SELECT round(extract(epoch FROM due_at - created_at) / 12.5)::int, waiting_for IS NULL"
        " FROM job_runs ORDER BY due_at"
    )
    assert delays == [[0, True], [1, False], [2, False], [3, False]]
    [[run_id]] = owner.run_script("SELECT id::text FROM job_runs ORDER BY due_at DESC LIMIT 1")
    explained = explain(state_of(db, run_id), lost_slices_limit=5)
    assert explained.why == "It is waiting for its turn among the runs that are due at the same time"
    assert at(THREE + timedelta(minutes=1)) == (1, 0)


def test_two_sweeps_at_once_start_each_slot_once(made, owner, db, cloud):
    teams = teams_with_integration(owner, *(f"team-{n}" for n in range(40)))
    schedules = [made(of=team, job_type=BACKFILL) for team in teams]
    sessions = [db.sibling(), db.sibling()]
    threads = [
        threading.Thread(
            target=team_slots.decide,
            args=(schedules,),
            kwargs={"now": THREE, "already": 0, "db": session, "settings": cloud},
        )
        for session in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for session in sessions:
        session.close()
    assert owner.run_script("SELECT count(*), count(DISTINCT project_id) FROM job_runs") == [[40, 40]]
    assert owner.run_script("SELECT count(*) FROM job_team_slots WHERE outcome = 'started'") == [[40]]


def test_a_session_that_is_killed_starts_nothing_by_half(made, at, owner, db, cloud, monkeypatch):
    schedule = made()
    real = db.commit

    def commit():
        db.run_script("SELECT pg_terminate_backend(pg_backend_pid())")
        real()

    monkeypatch.setattr(db, "commit", commit)
    with pytest.raises(Exception, match="Lost the database connection"):
        team_slots.decide([schedule], now=THREE, already=0, db=db, settings=cloud)
    monkeypatch.setattr(db, "commit", real)
    assert owner.run_script("SELECT (SELECT count(*) FROM job_runs), (SELECT count(*) FROM job_team_slots)") == [[0, 0]]
    assert at(THREE) == (1, 0)


def test_a_schedule_that_the_database_refuses_costs_itself_alone(made, at, owner):
    bad = made(job_type=BACKFILL, name="bad")
    good = made()
    owner.run_script(f"ALTER TABLE job_team_slots ADD CONSTRAINT broken CHECK (schedule_id <> '{bad}')")
    assert at(THREE) == (1, 0)
    assert [outcome for _, outcome, _, _ in ledger(owner, good)] == ["started"]
    assert ledger(owner, bad) == []


def test_old_slots_and_past_schedules_are_pruned(made, at, owner):
    once, nightly = made(run_at=THREE), made(job_type=BACKFILL)
    at(THREE)
    end(owner)
    owner.run_script(
        "UPDATE job_team_slots SET decided_at = decided_at - interval '91 days';"
        "UPDATE job_team_schedules SET run_at = clock_timestamp() - interval '91 days' WHERE run_at IS NOT NULL"
    )
    at(THREE + timedelta(minutes=1))
    assert owner.run_script("SELECT id::text FROM job_team_schedules") == [[nightly]]
    assert owner.run_script("SELECT count(*) FROM job_team_slots") == [[0]]
    assert once != nightly


def test_the_table_refuses_rows_that_mean_nothing(made, owner):
    made()
    with pytest.raises(DatabaseError, match="repeats_or_starts_once"):
        owner.run_script("UPDATE job_team_schedules SET cron = NULL")


def test_a_skipped_slot_takes_its_place_in_the_minute_too(made, owner, db, cloud):
    [other] = teams_with_integration(owner, "others")
    skipped, started = made(), made(of=other)
    owner.run_script(
        "UPDATE project_integrations SET deleted_at = clock_timestamp() WHERE project_id IN"
        f" (SELECT project_id FROM job_team_schedules WHERE id = '{skipped}');"
        f"UPDATE job_team_schedules SET next_slot = next_slot - interval '1 min' WHERE id = '{skipped}'"
    )
    sweep(db=db, settings=replace(cloud, sweep_batch=1, scheduled_starts_per_minute=4), now=THREE)
    [[schedule_id, place]] = owner.run_script(
        "SELECT schedule_id::text, round(extract(epoch FROM due_at - created_at) / 12.5)::int FROM job_runs"
    )
    assert (schedule_id, place) == (started, 1)

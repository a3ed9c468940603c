"""Refused triggers, and concurrent triggers on separate connections."""

import dataclasses
import threading
import uuid
from datetime import UTC, datetime

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.base.errors import Conflict, NotFound, Refused, TooManyRuns, Unprocessable
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import pauses, requests
from nightshift.testing.rows import make_team, run_row
from tests.support.plans import explained
from tests.support.world import claim, state_of, system_run, trigger


@pytest.fixture
def team(owner):
    return make_team(owner, projects=2)


def while_uncommitted(owner, first, second):
    """Keep the transaction of ``first`` open until ``second``, in a thread, waits for it. Return both results."""
    connection, call = first
    connection.begin()
    row = call()
    raised = []

    def run():
        try:
            raised.append(second())
        except Exception as exc:
            raised.append(exc)

    waiting = threading.Thread(target=run)
    waiting.start()
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while owner.run_script(blocked) == [[0]]:
        assert waiting.is_alive(), "the second does not wait for the first"
    connection.commit()
    waiting.join(10)
    return row, raised[0]


def test_the_loser_of_a_race_is_told_the_winners_id(cloud, connect, team, owner):
    one, two = connect(), connect()
    row, raised = while_uncommitted(
        owner, (one, lambda: trigger(team, db=one, settings=cloud)), lambda: trigger(team, db=two, settings=cloud)
    )
    assert isinstance(raised, Conflict)
    assert raised.extra == {"existing_run_id": str(row["id"])}


def test_a_key_that_races_with_itself_makes_one_run(cloud, connect, team, owner):
    one, two = connect(), connect()
    row, again = while_uncommitted(
        owner,
        (one, lambda: trigger(team, db=one, settings=cloud, idempotency_key="k")),
        lambda: trigger(team, db=two, settings=cloud, idempotency_key="k"),
    )
    assert again["id"] == row["id"]


def test_a_key_that_races_with_another_request_is_refused(cloud, connect, team, owner):
    one, two = connect(), connect()
    other = str(owner.run_script(f"SELECT id FROM projects WHERE id <> '{team.project_id}'")[0][0])
    _, raised = while_uncommitted(
        owner,
        (one, lambda: trigger(team, db=one, settings=cloud, idempotency_key="k")),
        lambda: trigger(team, db=two, settings=cloud, idempotency_key="k", project_id=other),
    )
    assert isinstance(raised, Unprocessable)


def test_a_winner_that_ends_while_the_loser_waits_makes_room(cloud, connect, team, owner):
    one, two = connect(), connect()

    def start_and_cancel():
        return one.one("cancel_run", run_id=trigger(team, db=one, settings=cloud)["id"], requested_by="me")

    _, row = while_uncommitted(owner, (one, start_and_cancel), lambda: trigger(team, db=two, settings=cloud))
    assert run_row(owner, row["id"])["status"] == "pending"


def end(owner):
    owner.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), resend_at = NULL")


class TestKeys:
    def test_a_key_is_good_for_a_day_also_where_its_run_is_live_after_that(self, cloud, db, team, owner):
        """The run blocks only its own project; in another project the key creates a new run."""
        live = trigger(team, db=db, settings=cloud, idempotency_key="k")
        owner.run_script("UPDATE job_runs SET created_at = created_at - interval '25 hours'")
        with pytest.raises(Conflict) as refused:
            trigger(team, db=db, settings=cloud, idempotency_key="k")
        assert refused.value.extra == {"existing_run_id": str(live["id"])}
        assert run_row(owner, live["id"])["idempotency_key"] is not None
        other = str(owner.run_script(f"SELECT id FROM projects WHERE id <> '{team.project_id}'")[0][0])
        new = trigger(team, db=db, settings=cloud, idempotency_key="k", project_id=other)
        assert new["id"] != live["id"]
        assert run_row(owner, live["id"])["idempotency_key"] is None
        assert run_row(owner, live["id"])["status"] == "pending"
        assert trigger(team, db=db, settings=cloud, idempotency_key="k", project_id=other)["id"] == new["id"]

    def test_a_request_is_known_by_what_was_asked_in_any_order(self, cloud, db, team):
        def again(**wish):
            return trigger(team, db=db, settings=cloud, idempotency_key="k", **{"asked": asked} | wish)["id"]

        asked = {"project_id": team.project_id, "include_sandbox": True}
        first = again(params=asked | {"added": 1})
        assert again(params=asked, asked=dict(reversed(asked.items()))) == first
        assert again(params=asked, asked=None) == first
        for other in (
            {"asked": {}},
            {"asked": None, "params": {}},
            {"notify": True},
            {"rerun_of": state_of(db, first)},
        ):
            with pytest.raises(Unprocessable, match="Idempotency-Key 'k' was already used for a different request"):
                again(**{"params": asked} | other)

    def test_reruns_of_two_runs_or_from_two_places_are_two_requests(self, cloud, db, team):
        def again(old, **wish):
            return trigger(team, db=db, settings=cloud, idempotency_key="k", rerun_of=old, **wish)["id"]

        old = state_of(db, trigger(team, db=db, settings=cloud)["id"])
        requests.cancel(old.run, requested_by="me", db=db, settings=cloud)
        first = again(old)
        assert again(old) == first
        another = old._replace(run=old.run._replace(id=uuid.uuid4()))
        for other in ({"old": old, "from_cursor": True}, {"old": another}):
            with pytest.raises(Unprocessable):
                again(**other)

    def test_what_cannot_be_inserted_is_raised_at_once_and_a_key_that_is_not_freed_the_third_time(
        self, cloud, db, team, owner, monkeypatch
    ):
        asked, real = [], db.query

        def query(name, /, **params):
            asked.append(name)
            return [] if name == "forget_idempotency_key" else real(name, **params)

        trigger(team, db=db, settings=cloud, idempotency_key="k")
        end(owner)
        owner.run_script("UPDATE job_runs SET created_at = created_at - interval '25 hours'")
        monkeypatch.setattr(db, "query", query)
        with pytest.raises(DatabaseError, match="job_runs_idempotency"):
            trigger(team, db=db, settings=cloud, idempotency_key="k")
        assert asked == ["insert_run", "forget_idempotency_key"] * 2 + ["insert_run"]
        asked.clear()
        with pytest.raises(DatabaseError, match="invalid input syntax for type uuid"):
            trigger(team, db=db, settings=cloud, project_id="none")
        assert asked == ["insert_run"]


def test_a_rerun_takes_the_old_runs_checkpoint_where_it_is_asked_to(cloud, db, owner, team):
    checkpoint = {"cursor": {"at": 7}, "cursor_version": 3, "progress": {"processed": 7, "total": 9, "message": "x"}}
    made = state_of(db, trigger(team, db=db, settings=cloud)["id"])
    run = made.run._replace(progress=checkpoint["progress"])
    old = made._replace(run=run, cursor=checkpoint["cursor"], cursor_version=checkpoint["cursor_version"])
    end(owner)
    from_start = run_row(owner, trigger(team, db=db, settings=cloud, rerun_of=old)["id"])
    assert (from_start["cursor"], from_start["cursor_version"], from_start["rerun_of"]) == (None, None, str(run.id))
    assert from_start["progress"]["processed"] == 0
    assert from_start["notify"] is False
    end(owner)
    from_cursor = run_row(owner, trigger(team, db=db, settings=cloud, rerun_of=old, from_cursor=True)["id"])
    assert {name: from_cursor[name] for name in checkpoint} == checkpoint
    end(owner)
    assert run_row(owner, trigger(team, db=db, settings=cloud)["id"])["rerun_of"] is None


class TestCancel:
    def test_one_that_is_over_or_gone_says_so(self, cloud, db, team, owner):
        run = state_of(db, trigger(team, db=db, settings=cloud)["id"]).run
        requests.cancel(run, requested_by="me", db=db, settings=cloud)
        with pytest.raises(Refused, match='Cannot cancel a job with status "cancelled"'):
            requests.cancel(run, requested_by="me", db=db, settings=cloud)
        owner.run_script("DELETE FROM job_runs")
        with pytest.raises(Refused, match='Cannot cancel a job with status "deleted"'):
            requests.cancel(run, requested_by="me", db=db, settings=cloud)

    def test_an_ending_is_counted_and_sent_on_where_the_cancel_ends_the_run(self, cloud, db, team, monkeypatch):
        told = []
        monkeypatch.setattr(requests.outbox, "dispatch", lambda run_ids, **_: told.append(run_ids))
        monkeypatch.setattr(requests.metrics, "count_ending", lambda *ending, **of: told.append((ending, of)))
        run = state_of(db, trigger(team, db=db, settings=cloud)["id"]).run
        claim(db, run.id, 0, request_id="r", lease_s=60)
        requests.cancel(run, requested_by="me", db=db, settings=cloud)
        assert told == []
        db.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = now(), lease_expires_at = NULL")
        run = state_of(db, trigger(team, db=db, settings=cloud)["id"]).run
        requests.cancel(run, requested_by="me", db=db, settings=cloud)
        assert told == [(("cancelled",), {"job_type": "revenuecat_sync"}), [str(run.id)]]


class TestAsJson:
    def test_ids_are_text_or_null(self, cloud, db, owner, team):
        of_a_team = state_of(db, trigger(team, db=db, settings=cloud)["id"]).run.as_json()
        assert (of_a_team["team_id"], of_a_team["project_id"]) == (team.id, team.project_id)
        of_the_system = state_of(db, system_run(owner, "db_pruning")).run.as_json()
        assert (of_the_system["team_id"], of_the_system["project_id"]) == (None, None)

    @pytest.mark.parametrize(
        ("status", "waiting_for", "before", "after"),
        [
            ("pending", None, "", "Waiting for a free worker"),
            ("pending", None, "7 of 9", "7 of 9; waiting for a free worker"),
            ("pending", "its turn", "7 of 9", "7 of 9; waiting for its turn"),
            ("running", "Google", "7 of 9", "7 of 9; waiting for Google"),
            ("running", None, "7 of 9", "7 of 9"),
            ("completed", "Google", "7 of 9", "7 of 9"),
        ],
    )
    def test_the_bar_says_what_the_run_waits_for(self, cloud, db, team, status, waiting_for, before, after):
        run = state_of(db, trigger(team, db=db, settings=cloud)["id"]).run
        run = run._replace(status=status, waiting_for=waiting_for, progress={"message": before})
        assert run.as_json()["progress"] == {"message": after}
        assert run._replace(progress=None).as_json()["progress"] is None


class TestRefusedTriggers:
    """A refusal reads the live run without locking it: its worker may have the row locked, and often has."""

    @pytest.fixture
    def impatient(self, connect):
        """Open a connection on which any wait for a lock fails at once."""
        return connect(options="-c lock_timeout=1ms")

    @pytest.fixture
    def locked(self, owner, connect):
        """``locked(run_id)``: lock its row until the test ends, as a worker's step does."""
        holder = connect(user="postgres")

        def lock(run_id):
            holder.begin()
            holder.run_script(f"SELECT FROM job_runs WHERE id = '{run_id}' FOR UPDATE")

        yield lock
        holder.rollback()

    def test_a_trigger_is_refused_while_the_live_runs_row_is_locked(self, cloud, db, impatient, team, locked):
        live = trigger(team, db=db, settings=cloud)
        locked(live["id"])
        with pytest.raises(Conflict) as refused:
            trigger(team, db=impatient, settings=cloud)
        assert refused.value.extra == {"existing_run_id": str(live["id"])}

    def test_a_key_finds_its_run_while_the_row_is_locked(self, cloud, db, impatient, team, locked):
        live = trigger(team, db=db, settings=cloud, idempotency_key="k")
        locked(live["id"])
        assert trigger(team, db=impatient, settings=cloud, idempotency_key="k")["id"] == live["id"]

    def test_a_system_run_is_refused_while_the_live_runs_row_is_locked(self, cloud, impatient, owner, locked):
        live = system_run(owner, "db_pruning")
        locked(live)
        with pytest.raises(Conflict) as refused:
            requests.create_system(
                JOB_TYPES["db_pruning"], params={}, triggered_by="system", db=impatient, settings=cloud
            )
        assert refused.value.extra == {"existing_run_id": live}

    def test_a_slot_is_skipped_while_the_live_runs_row_is_locked(self, impatient, owner, locked):
        live = system_run(owner, "db_pruning")
        locked(live)
        at = datetime(2026, 11, 1, tzinfo=UTC)
        slot = {"job_type": "db_pruning", "slot": at, "outcome": "started", "params": {}, "resend_delay_s": 60}
        assert impatient.query("insert_scheduled_run", id=str(uuid.uuid4()), **slot) == [{"outcome": "skipped"}]
        assert owner.run_script("SELECT run_id::text FROM job_schedule_slots") == [[live]]

    def test_another_teams_live_run_is_not_told_of(self, cloud, db, team, owner):
        others = make_team(owner, slug="others")
        trigger(others, db=db, settings=cloud)
        with pytest.raises(NotFound):
            trigger(team, db=db, settings=cloud, project_id=others.project_id)

    def test_a_pause_is_told_before_the_live_run(self, cloud, db, team, owner):
        trigger(team, db=db, settings=cloud)
        system_run(owner, "db_pruning")
        for name in ("revenuecat_sync", "db_pruning"):
            pauses.pause(JOB_TYPES[name], what="type", by="ada", why="maintenance", db=db)
        with pytest.raises(Refused, match=r"RevenueCat Sync is paused \(since"):
            trigger(team, db=db, settings=cloud)
        with pytest.raises(Refused, match=r"Database Pruning is paused \(since"):
            requests.create_system(JOB_TYPES["db_pruning"], params={}, triggered_by="system", db=db, settings=cloud)

    def test_no_refusal_writes_a_row(self, cloud, db, team, owner):
        """A write changes ``ctid`` and ``xmin``; a lock sets ``xmax`` to its transaction."""
        live = trigger(team, db=db, settings=cloud)
        system = system_run(owner, "db_pruning")
        version = f"SELECT ctid, xmin, xmax FROM job_runs WHERE id IN ('{live['id']}', '{system}') ORDER BY id"
        before = owner.run_script(version)
        refusals = (
            lambda: trigger(team, db=db, settings=cloud),
            lambda: requests.create_system(
                JOB_TYPES["db_pruning"], params={}, triggered_by="system", db=db, settings=cloud
            ),
        )
        for refusal in refusals:
            with pytest.raises(Conflict):
                refusal()
        assert owner.run_script(version) == before


class TestRunsPerMinute:
    @pytest.fixture
    def limited(self, cloud):
        return dataclasses.replace(cloud, runs_per_minute=3)

    @pytest.fixture
    def made(self, owner, team):
        """``made(*seconds)``: insert this team's ended runs, created so many seconds ago."""

        def make(*ages_s, team_id=team.id, project_id=team.project_id):
            for age_s in ages_s:
                owner.run_script(
                    "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at,"
                    f" created_at) VALUES (gen_random_uuid(), 'revenuecat_sync', '{team_id}', '{project_id}', 'x',"
                    f" 'cancelled', clock_timestamp(), clock_timestamp() - interval '{age_s} s')"
                )

        return make

    def test_the_run_that_would_be_one_too_many_is_refused(self, limited, db, team, made, owner):
        made(10, 20, 30)
        with pytest.raises(TooManyRuns) as refused:
            trigger(team, db=db, settings=limited)
        # The oldest of the three frees a place thirty seconds from now.
        assert 28 <= refused.value.extra["retry_after_s"] <= 30
        assert str(refused.value).startswith("This team has started 3 runs within a minute, which is the limit.")
        assert owner.run_script("SELECT count(*) FROM job_runs") == [[3]]

    def test_what_is_older_than_a_minute_and_what_others_made_is_not_counted(self, limited, db, team, made, owner):
        others = make_team(owner, slug="others")
        made(10, 20, 61, 62, 63)
        made(1, 2, 3, 4, team_id=others.id, project_id=others.project_id)
        assert trigger(team, db=db, settings=limited)["status"] == "pending"

    def test_the_limit_itself_may_be_reached(self, limited, db, team, made):
        made(10, 20)
        assert trigger(team, db=db, settings=limited)["status"] == "pending"

    def test_repeats_overlaps_and_what_is_not_there_are_told_as_ever(self, limited, db, team, made):
        live = trigger(team, db=db, settings=limited, idempotency_key="k")
        made(1, 2, 3, 4)
        assert trigger(team, db=db, settings=limited, idempotency_key="k")["id"] == live["id"]
        with pytest.raises(Conflict):
            trigger(team, db=db, settings=limited)
        with pytest.raises(NotFound):
            trigger(team, db=db, settings=limited, project_id=str(uuid.uuid4()))

    def test_it_reads_no_more_than_the_limits_rows(self, team, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at, created_at)"
            f" SELECT gen_random_uuid(), 'revenuecat_sync', '{team.id}', '{team.project_id}', 'x', 'cancelled',"
            " clock_timestamp(), clock_timestamp() - interval '20 s' FROM generate_series(1, 5000)"
        )
        owner.run_script("ANALYZE job_runs")
        values = {
            "id": str(uuid.uuid4()), "job_type": "revenuecat_sync", "team_id": team.id, "project_id": team.project_id,
            "triggered_by": "x", "params": "{}", "notify": "false", "resend_delay_s": 60, "runs_per_minute": 120,
        }  # fmt: skip
        _, buffers = explained(owner, "insert_run", **values)
        assert buffers < 120 + 60
        # A live run is found before anything is counted.
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
            f" VALUES (gen_random_uuid(), 'revenuecat_sync', '{team.id}', '{team.project_id}', 'x', clock_timestamp())"
        )
        _, buffers = explained(owner, "insert_run", **values | {"id": str(uuid.uuid4())})
        assert buffers < 30

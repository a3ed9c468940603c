"""A cap on how many runs of a type work at once: never more, whatever dies; the longest waiting is called first."""

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from nightshift.database.run_row import RunState
from nightshift.jobs import Progress, Wait
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import executor, places
from nightshift.runs.job_steps import Abandoned, Lost
from nightshift.runs.timeline import timeline
from nightshift.testing.rows import age, make_team, run_row, sweep, work
from tests.support.two_sessions import Act

SYNC = "revenuecat_sync"
CAP = 2


@pytest.fixture
def sent(cloud, monkeypatch):
    """The messages that workers send, instead of a queue."""
    messages = []
    monkeypatch.setattr(executor, "_send", messages.append)
    return messages


@pytest.fixture
def job(monkeypatch):
    """``job(generator)`` is the code of the capped type."""

    def job(code=None, at_once=CAP):
        capped = replace(JOB_TYPES[SYNC], at_once=at_once, provider=None)
        monkeypatch.setitem(JOB_TYPES, SYNC, capped)
        if code:
            code.__module__ = __name__
            monkeypatch.setattr(JobType, "handler", lambda _: code)
        return capped

    return job


@pytest.fixture
def runs(owner, cloud):
    """Insert ``count`` runs of the type, each of a project of its own; returns their ids, the oldest first."""
    team = make_team(owner, projects=12)

    def runs(count):
        rows = owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
            f" SELECT gen_random_uuid(), '{SYNC}', team_id, id, 'x', clock_timestamp() + interval '2 minutes'"
            f" FROM projects WHERE team_id = '{team.id}' ORDER BY slug LIMIT {count} RETURNING id::text"
        )
        return [run_id for [run_id] in rows]

    return runs


def quick(run, db):
    yield Progress(processed=1, total=1, message="", cursor={"n": 1})


def claim(db, cloud, run_id, number=0, *, lease_s=60):
    """Claim like a worker that then dies: nothing follows."""
    call = executor.Invocation(
        run_id, number, db, replace(cloud, lease_margin_s=0), lambda: lease_s, f"request-{uuid.uuid4()}"
    )
    return executor._claim(call)


def working(owner):
    [[count]] = owner.run_script("SELECT count(*) FROM job_runs WHERE lease_expires_at > clock_timestamp()")
    return count


def release(owner, db, cloud, run_id, status="completed"):
    """End the run as its worker does, and free its place."""
    number = run_row(owner, run_id)["slice"]
    db.query("end_run", run_id=run_id, slice=number, status=status, result="{}", error=None)
    return places.free(run_id=run_id, slice=number, db=db, settings=cloud)


class TestHeld:
    def test_a_run_beyond_the_cap_waits_and_says_for_what(self, job, runs, db, cloud, owner, sent):
        job()
        first, second, third = runs(3)
        assert claim(db, cloud, first)
        assert claim(db, cloud, second)
        assert claim(db, cloud, third) is None
        row = run_row(owner, third)
        assert (row["status"], row["waiting_for"]) == ("pending", "2 other runs of revenuecat_sync")
        [message] = sent
        assert (message.run_id, message.slice) == (third, 0)
        assert 0.75 * places.LOOK_AT_LEAST_S <= message.delay_s <= 1.25 * places.LOOK_AT_LEAST_S
        state = db.one_as(RunState, "get_any_run", run_id=third)
        told = timeline(state, db=db, settings=cloud)
        assert (told["state"], told["why"]) == ("waiting", "It is waiting for 2 other runs of revenuecat_sync")
        assert told["until"] is None
        assert told["since"]

    def test_of_one_at_a_time_it_waits_for_another_run(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        assert run_row(owner, second)["waiting_for"] == "another run of revenuecat_sync"

    def test_it_looks_again_later_and_later_up_to_a_bound(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        for waited_s, least, most in ((100, 75, 126), (10_000, 225, 376)):
            owner.run_script(
                "UPDATE job_runs SET due_at = clock_timestamp(),"
                f" held_since = clock_timestamp() - interval '{waited_s} s' WHERE id = '{second}'"
            )
            assert claim(db, cloud, second) is None
            assert least <= sent[-1].delay_s <= most
            assert run_row(owner, second)["resend_at"] > run_row(owner, second)["due_at"]

    def test_an_early_message_is_sent_on_as_ever(self, job, runs, db, cloud, owner, sent):
        job()
        [only] = runs(1)
        owner.run_script("UPDATE job_runs SET due_at = clock_timestamp() + interval '100 s'")
        assert claim(db, cloud, only) is None
        assert 99 < sent[0].delay_s <= 100
        assert owner.run_script("SELECT count(*) FROM job_places") == [[0]]

    def test_a_cancel_ends_a_held_run_at_once(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        db.query("cancel_run", run_id=second, requested_by="x")
        assert run_row(owner, second)["status"] == "cancelled"
        assert release(owner, db, cloud, first) == []

    def test_waiting_for_a_place_is_not_counted_as_working(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        owner.run_script(
            f"UPDATE job_runs SET ends_by = clock_timestamp() + interval '5 s', status = 'running',"
            f" started_at = clock_timestamp() WHERE id = '{second}'"
        )
        claim(db, cloud, first)
        claim(db, cloud, second)
        [[left]] = owner.run_script(
            f"SELECT extract(epoch FROM ends_by - due_at)::float8 FROM job_runs WHERE id = '{second}'"
        )
        assert 0 < left <= 5

    def test_other_types_pay_nothing(self, job, runs, db, cloud, owner, sent):
        job()
        run_id = str(uuid.uuid4())
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
            f" VALUES ('{run_id}', 'db_pruning', 'system', clock_timestamp())"
        )
        before = db.statements
        assert claim(db, cloud, run_id)
        assert db.statements - before == 1

    def test_what_a_place_costs(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second, third = runs(3)
        claim(db, cloud, first)
        release(owner, db, cloud, first)
        before = db.statements
        assert claim(db, cloud, second)
        taken = db.statements
        assert claim(db, cloud, third) is None
        # The look, and in one transaction the place and the claim. Without a place, the missing ones and the hold.
        assert (taken - before, db.statements - taken) == (5, 6)


class TestCalled:
    def test_the_longest_held_is_called_and_its_place_is_kept(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second, third, fourth = runs(4)
        for run_id in (first, second, third):
            claim(db, cloud, run_id)
        [called] = release(owner, db, cloud, first)
        assert (called.run_id, called.delay_s) == (second, 0)
        # One that comes before the called one does not get its place.
        assert claim(db, cloud, fourth) is None
        assert claim(db, cloud, second)
        assert [message.run_id for message in release(owner, db, cloud, second)] == [third]

    def test_two_places_call_two_runs(self, job, runs, db, cloud, owner, sent):
        job()
        ids = runs(5)
        for run_id in ids:
            claim(db, cloud, run_id)
        called = [message.run_id for run_id in ids[:2] for message in release(owner, db, cloud, run_id)]
        assert called == ids[2:4]

    def test_a_called_run_whose_message_is_lost_does_not_keep_the_place(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second, third = runs(3)
        for run_id in (first, second):
            claim(db, cloud, run_id)
        release(owner, db, cloud, first)
        owner.run_script("UPDATE job_places SET taken_until = clock_timestamp()")
        assert claim(db, cloud, third)
        assert claim(db, cloud, second) is None

    def test_the_sweep_sends_a_lost_call_again(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        release(owner, db, cloud, first)
        age(owner, second, 121)
        assert sweep(db=db, settings=cloud)["resent"] == 1
        assert claim(db, cloud, second)

    def test_without_held_runs_the_place_is_free(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        assert release(owner, db, cloud, first) == []
        assert claim(db, cloud, second)

    @pytest.mark.parametrize(("dies", "expected"), [(False, 1), (True, 1)])
    def test_two_that_end_at_once_call_different_runs(self, meet, job, runs, db, cloud, owner, sent, dies, expected):
        job()
        ids = runs(4)
        for run_id in ids:
            claim(db, cloud, run_id)
        acts = [
            Act(
                lambda session, run_id=run_id: [
                    each.run_id for each in places.free(run_id=run_id, slice=0, db=session, settings=cloud)
                ],
                "free_place",
            )
            for run_id in ids[:2]
        ]
        met = meet(*acts, dies=dies)
        if not dies:
            assert {*met.one, *met.other} == set(ids[2:])
        else:
            assert met.other == [ids[3]]


class TestKept:
    def test_a_run_out_of_time_keeps_its_place_for_its_next_slice(self, job, runs, db, cloud, owner, sent):
        def long(run, db):
            for n in range((run.cursor or {"n": 0})["n"], 3):
                yield Progress(processed=n, total=3, message="", cursor={"n": n + 1})

        job(long, at_once=1)
        first, second = runs(2)
        work(first, 0, db=db, settings=cloud, remaining_s=1)
        work(second, 0, db=db, settings=cloud)
        assert run_row(owner, second)["status"] == "pending"
        work(first, 1, db=db, settings=cloud)
        assert run_row(owner, first)["status"] == "completed"
        assert (sent[-1].run_id, sent[-1].delay_s) == (second, 0)
        work(second, 0, db=db, settings=cloud)
        assert run_row(owner, second)["status"] == "completed"

    @pytest.mark.parametrize("seconds", [60, 1000])
    def test_a_run_that_waits_gives_its_place_up(self, job, runs, db, cloud, owner, sent, seconds):
        def waits(run, db):
            if not run.cursor:
                yield Wait(seconds=seconds, why="the provider", cursor={"n": 1})
            yield Progress(processed=1, total=1, message="", cursor={"n": 2})

        job(waits, at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        release(owner, db, cloud, first)
        work(second, 0, db=db, settings=cloud)
        assert run_row(owner, second)["waiting_for"] == "the provider"
        assert owner.run_script("SELECT count(*) FROM job_places WHERE taken_until > clock_timestamp()") == [[0]]

    def test_a_called_run_that_is_cancelled_gives_its_place_to_the_next(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second, third = runs(3)
        for run_id in (first, second, third):
            claim(db, cloud, run_id)
        release(owner, db, cloud, first)
        db.query("cancel_run", run_id=second, requested_by="x")
        assert claim(db, cloud, second) is None
        assert (sent[-1].run_id, sent[-1].delay_s) == (third, 0)
        assert claim(db, cloud, third)

    def test_a_run_that_is_cancelled_between_two_slices_gives_its_place_up(self, job, runs, db, cloud, owner, sent):
        def long(run, db):
            for n in range(3):
                yield Progress(processed=n, total=3, message="", cursor={"n": n + 1})

        job(long, at_once=1)
        first, second = runs(2)
        work(first, 0, db=db, settings=cloud, remaining_s=1)
        db.query("cancel_run", run_id=first, requested_by="x")
        assert claim(db, cloud, second) is None
        work(first, 1, db=db, settings=cloud)
        assert sent[-1].run_id == second
        assert claim(db, cloud, second)

    def test_a_second_message_of_a_working_slice_leaves_it_its_place(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        sent.clear()
        assert claim(db, cloud, first) is None
        assert sent == []
        assert claim(db, cloud, second) is None

    def test_where_no_type_has_a_cap_a_message_that_finds_nothing_costs_one_statement(
        self, job, runs, db, cloud, owner, sent
    ):
        job(at_once=None)
        [only] = runs(1)
        claim(db, cloud, only)
        before = db.statements
        assert claim(db, cloud, only) is None
        assert db.statements - before == 1

    def test_two_messages_of_a_run_that_has_ended_call_one_other(self, meet, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        ids = runs(3)
        for run_id in ids:
            claim(db, cloud, run_id)
        db.query("end_run", run_id=ids[0], slice=0, status="completed", result="{}", error=None)
        act = Act(lambda session: places.free(run_id=ids[0], slice=None, db=session, settings=cloud), "free_place")
        met = meet(act, act)
        assert [message.run_id for message in [*met.one, *met.other]] == [ids[1]]
        assert owner.run_script("SELECT run_id::text FROM job_places") == [[ids[1]]]

    def test_a_place_above_a_lowered_cap_is_kept_for_no_run(self, job, runs, db, cloud, owner, sent):
        job()
        ids = runs(4)
        for run_id in ids[:2]:
            claim(db, cloud, run_id)
        job(at_once=1)
        for run_id in ids[2:]:
            claim(db, cloud, run_id)
        assert release(owner, db, cloud, ids[1]) == []
        assert [message.run_id for message in release(owner, db, cloud, ids[0])] == [ids[2]]

    def test_a_slice_that_was_lost_or_abandoned_keeps_its_place(self):
        for outcome in (Lost(), Abandoned(Exception("gone"))):
            assert not executor._gives_up_its_place(outcome)

    def test_a_type_without_a_cap_frees_nothing(self, job, runs, db, cloud, owner, sent, monkeypatch):
        job(quick, at_once=None)
        monkeypatch.setattr(places, "free", lambda *_, **__: pytest.fail("there is no place to free"))
        [only] = runs(1)
        work(only, 0, db=db, settings=cloud)
        assert run_row(owner, only)["status"] == "completed"

    def test_a_later_wait_of_its_own_has_an_end(self, job, runs, db, cloud, owner, sent):
        job()
        [only] = runs(1)
        owner.run_script(
            "UPDATE job_runs SET slice = 1, held_slice = 0, held_since = clock_timestamp(),"
            " waiting_for = 'the provider', due_at = clock_timestamp() + interval '1 minute'"
        )
        told = timeline(db.one_as(RunState, "get_any_run", run_id=only), db=db, settings=cloud)
        assert told["until"]

    def test_a_run_that_waits_for_its_own_reason_is_not_called(self, job, runs, db, cloud, owner, sent):
        job(at_once=1)
        first, second = runs(2)
        claim(db, cloud, first)
        claim(db, cloud, second)
        # Since then it has worked: its next slice waits for something else.
        owner.run_script(f"UPDATE job_runs SET slice = 1, waiting_for = 'the provider' WHERE id = '{second}'")
        assert release(owner, db, cloud, first) == []

    def test_a_cap_that_was_lowered_or_raised_counts_from_the_next_claim_on(self, job, runs, db, cloud, owner, sent):
        job()
        ids = runs(5)
        for run_id in ids[:2]:
            assert claim(db, cloud, run_id)
        job(at_once=3)
        assert claim(db, cloud, ids[2])
        job(at_once=1)
        release(owner, db, cloud, ids[2])
        assert claim(db, cloud, ids[3]) is None

    def test_a_place_that_cannot_be_freed_is_free_when_the_lease_is_over(self, job, runs, db, cloud, owner, sent):
        job(quick, at_once=1)
        first, second = runs(2)
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.slice IS NULL OR NEW.run_id"
            " IS NULL THEN RAISE 'no'; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER refuse BEFORE UPDATE ON job_places FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        work(first, 0, db=db, settings=cloud)
        assert run_row(owner, first)["status"] == "completed"
        owner.run_script("UPDATE job_places SET taken_until = clock_timestamp()")
        assert claim(db, cloud, second)


class TestRaces:
    def test_two_that_claim_the_last_place_at_once(self, meet, job, runs, cloud, owner, sent):
        job(at_once=1)
        owner.run_script(f"INSERT INTO job_places (job_type, place) VALUES ('{SYNC}', 1)")
        ids = runs(2)
        met = meet(*[Act(lambda db, run_id=run_id: claim(db, cloud, run_id), "take_place") for run_id in ids])
        assert [bool(met.one), bool(met.other)].count(True) == 1
        assert working(owner) == 1

    def test_two_messages_of_one_slice_take_one_place(self, meet, job, runs, cloud, owner, sent):
        job()
        [only] = runs(1)
        owner.run_script(f"INSERT INTO job_places (job_type, place) SELECT '{SYNC}', generate_series(1, 2)")
        met = meet(*[Act(lambda db: claim(db, cloud, only), "claim_slice")] * 2)
        assert [bool(met.one), bool(met.other)].count(True) == 1
        taken = "SELECT count(*) FROM job_places WHERE taken_until > clock_timestamp()"
        assert owner.run_script(taken) == [[1]]

    def test_sessions_that_claim_and_end_at_the_same_time_never_pass_the_cap(self, job, runs, db, cloud, owner, sent):
        job()
        ids, seen = runs(12), list[int]()

        def session(part):
            with closing(db.sibling()) as own:
                for run_id in part * 3:
                    if claim(own, cloud, run_id):
                        seen.append(working(own))
                        release(own, own, cloud, run_id)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(session, [ids[n::4] for n in range(4)]))
        assert 1 <= max(seen) <= CAP

    @pytest.mark.parametrize("seed", range(4))
    def test_no_play_of_claims_deaths_ends_and_lost_calls_passes_the_cap(self, job, runs, db, cloud, owner, sent, seed):
        """Random claims by several sessions, deaths, ends, waits and lost messages; at last every run has ended."""
        job()
        chance, ids = random.Random(seed), runs(8)
        ended: set[str] = set()
        with closing(db.sibling()) as other:
            for step in range(150):
                session, run_id = chance.choice((db, other)), chance.choice(ids)
                row = run_row(owner, run_id)
                what = chance.choice(("claim", "claim", "end", "die", "due", "lapse"))
                if what == "claim" and row["completed_at"] is None:
                    claim(session, cloud, run_id, row["slice"])
                elif what == "end" and row["lease_expires_at"] and row["completed_at"] is None:
                    release(owner, session, cloud, run_id)
                    ended.add(run_id)
                elif what == "die" and row["lease_expires_at"]:
                    # Its worker is dead, and its lease is over: so is the time of its place.
                    age(owner, run_id, 100)
                    owner.run_script(
                        "UPDATE job_places SET taken_until = taken_until - interval '100 s' WHERE run_id ="
                        f" '{run_id}' AND slice = {row['slice']}"
                    )
                    sweep(db=session, settings=cloud)
                elif what == "due":
                    owner.run_script(f"UPDATE job_runs SET due_at = clock_timestamp() WHERE id = '{run_id}'")
                elif what == "lapse":
                    owner.run_script("UPDATE job_places SET taken_until = clock_timestamp() WHERE slice IS NULL")
                assert working(owner) <= CAP, (seed, step, what)
        for _ in range(40):
            for run_id in set(ids) - ended:
                owner.run_script(
                    f"UPDATE job_runs SET due_at = clock_timestamp() WHERE id = '{run_id}';"
                    "UPDATE job_places SET taken_until = clock_timestamp() WHERE slice IS NULL"
                )
                row = run_row(owner, run_id)
                if row["completed_at"] or row["lease_expires_at"] or claim(db, cloud, run_id, row["slice"]):
                    if not row["completed_at"]:
                        release(owner, db, cloud, run_id)
                    ended.add(run_id)
        assert ended == set(ids)

"""A pause prevents starts: every way to start a run is refused with who, why and since when. Nothing else changes."""

import dataclasses

import pytest

from nightshift.base.errors import Conflict, DatabaseGone, NotFound, Refused
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import pauses, requests
from nightshift.schedules import slots
from nightshift.testing.rows import make_team, run_row, sweep
from tests.schedules.test_schedules import HOUR, HOURLY, MINUTE, START, alerts, ledger, outcomes
from tests.support.operator_world import answer
from tests.support.world import claim, cut_sessions, received, trigger

SYNC, PRUNING = JOB_TYPES["revenuecat_sync"], JOB_TYPES["db_pruning"]


@pytest.fixture
def ask(cloud, db):
    def asking(command, **arguments):
        return answer({"command": command} | arguments, db=db, settings=cloud)

    return asking


@pytest.fixture
def team(owner):
    return make_team(owner)


def pause(job_type, *, db, what="type", why="provider maintenance"):
    return pauses.pause(job_type, what=what, by="ada", why=why, db=db)


class TestType:
    def test_a_trigger_is_refused_with_who_why_and_since(self, cloud, db, owner, team):
        paused = pause(SYNC, db=db)
        with pytest.raises(Refused) as refusal:
            trigger(team, db=db, settings=cloud)
        since = paused["since"][:16].replace("T", " ")
        assert str(refusal.value) == f"RevenueCat Sync is paused (since {since} UTC, by ada): provider maintenance"
        assert refusal.value.status == 400
        assert refusal.value.extra == {"paused": paused | {"until": None}}
        assert owner.run_script("SELECT count(*) FROM job_runs") == [[0]]
        assert received(cloud) == []

    def test_a_project_that_is_not_there_is_still_not_found(self, cloud, db, team):
        with pytest.raises(NotFound):
            trigger(team, db=db, settings=cloud, project_id="00000000-0000-0000-0000-000000000001")

    def test_a_pause_of_another_type_or_of_a_schedule_refuses_no_run(self, ask, db):
        pause(SYNC, db=db)
        pause(PRUNING, what="schedule", db=db)
        pauses.refuse_paused(PRUNING, db=db)
        with pytest.raises(Refused):
            pauses.refuse_paused(SYNC, db=db)

    def test_only_a_first_statement_is_repeated_on_a_new_connection(self, db, owner):
        def lose_it():
            db.query("ping")
            cut_sessions(owner)

        lose_it()
        with pytest.raises(DatabaseGone):
            pauses.refuse_paused(SYNC, db=db)
        lose_it()
        assert pauses.list_pauses(db, again_if_gone=True) == []

    def test_a_repeat_under_its_key_still_answers_with_its_run(self, cloud, db, team):
        first = trigger(team, db=db, settings=cloud, idempotency_key="k")
        pause(SYNC, db=db)
        assert trigger(team, db=db, settings=cloud, idempotency_key="k")["id"] == first["id"]

    def test_the_owner_is_refused_too_and_other_types_are_not(self, ask, db):
        pause(PRUNING, db=db)
        assert ask("trigger", job_type="db_pruning")["error"].startswith("Database Pruning is paused (since ")
        assert ask("trigger", job_type="partition_creation")["job_run"]["status"] == "pending"

    def test_a_live_run_goes_on(self, cloud, db, owner, team):
        run = trigger(team, db=db, settings=cloud)
        pause(SYNC, db=db)
        assert claim(db, run["id"], 0, request_id="r", lease_s=60)[0]
        assert run_row(owner, run["id"])["status"] == "running"

    def test_resumed_it_starts_again(self, cloud, db, team):
        pause(SYNC, db=db)
        pauses.resume(SYNC, db=db)
        assert trigger(team, db=db, settings=cloud)["status"] == "pending"

    def test_resumed_while_a_trigger_asks_why_it_was_refused_it_starts(self, cloud, db, team, monkeypatch):
        def resumed_before(job_type, *, db, project_id):
            pauses.resume(job_type, db=db)
            pauses.refuse_paused(job_type, db=db)

        pause(SYNC, db=db)
        monkeypatch.setattr(requests, "refuse_paused", resumed_before)
        assert trigger(team, db=db, settings=cloud)["status"] == "pending"

    def test_resumed_and_paused_again_meanwhile_it_is_not_said_that_the_project_is_not_there(
        self, cloud, db, team, monkeypatch
    ):
        def resumed_for_a_moment(job_type, *, db, project_id):
            pauses.resume(job_type, db=db)
            pauses.refuse_paused(job_type, db=db)
            pause(job_type, db=db)

        pause(SYNC, db=db)
        monkeypatch.setattr(requests, "refuse_paused", resumed_for_a_moment)
        with pytest.raises(Conflict, match="This job type was just resumed"):
            trigger(team, db=db, settings=cloud)

    def test_a_system_job_that_is_resumed_meanwhile_is_to_be_tried_again(self, cloud, db, monkeypatch):
        pause(PRUNING, db=db)
        monkeypatch.setattr(requests, "refuse_paused", pauses.resume)
        with pytest.raises(Conflict, match="This job type was just resumed"):
            requests.create_system(PRUNING, params={}, triggered_by="system", db=db, settings=cloud)

    def test_a_trigger_stays_one_statement(self, cloud, db, team):
        db.query("ping")
        before = db.statements
        trigger(team, db=db, settings=cloud)
        assert db.statements - before == 1


class TestSchedule:
    @pytest.fixture
    def hourly(self, owner):
        slots.register({"db_pruning": HOURLY}, now=START, db=owner)

    def fire(self, time, *, db, settings):
        return slots.fire("db_pruning", time=time, now=time, db=db, settings=settings)

    @pytest.mark.parametrize("what", ["schedule", "type"])
    def test_its_slots_are_skipped_with_the_reason(self, hourly, cloud, db, owner, what):
        pause(PRUNING, what=what, db=db)
        assert self.fire(START + HOUR, db=db, settings=cloud) == "skipped"
        assert self.fire(START + HOUR, db=db, settings=cloud) == "duplicate"
        assert ledger(owner, "db_pruning") == [(START + HOUR, "skipped", None)]
        assert owner.run_script("SELECT reason FROM job_schedule_slots") == [["paused by ada: provider maintenance"]]
        assert received(cloud) == []

    def test_people_may_start_what_only_its_schedule_has_paused(self, hourly, ask, cloud, db):
        pause(PRUNING, what="schedule", db=db)
        assert ask("trigger", job_type="db_pruning")["job_run"]["status"] == "pending"

    def test_slots_that_never_fired_meanwhile_are_skipped_not_missed_and_nobody_is_told(self, cloud, db, owner):
        slots.register({"db_pruning": HOURLY}, now=START, db=owner)
        pause(PRUNING, what="schedule", db=db)
        owner.run_script(f"UPDATE job_pauses SET paused_at = '{START + 2 * HOUR - MINUTE}'")
        counts = sweep(db=db, settings=cloud, now=START + 3 * HOUR + 20 * MINUTE)
        assert outcomes(owner, "db_pruning") == ["missed", "skipped", "skipped"]
        assert (counts["missed"], counts["caught_up"]) == (1, 0)
        assert len(alerts(owner)) == 1

    def test_a_slot_is_skipped_from_the_very_moment_of_the_pause_and_missed_before_it(self, hourly, cloud, db, owner):
        pause(PRUNING, what="schedule", db=db)
        owner.run_script(f"UPDATE job_pauses SET paused_at = '{START + 2 * HOUR}'")
        assert sweep(db=db, settings=cloud, now=START + HOUR + 20 * MINUTE)["missed"] == 1
        counts = sweep(db=db, settings=cloud, now=START + 2 * HOUR + 20 * MINUTE)
        assert (counts["missed"], counts["caught_up"]) == (0, 0)
        assert outcomes(owner, "db_pruning") == ["missed", "skipped"]
        [told] = alerts(owner)
        assert told["lines"][1].endswith("a later slot has run since, or the job was paused.")

    def test_after_resume_the_next_slot_starts(self, hourly, cloud, db, owner):
        pause(PRUNING, what="schedule", db=db)
        self.fire(START + HOUR, db=db, settings=cloud)
        pauses.resume(PRUNING, db=db)
        assert self.fire(START + 2 * HOUR, db=db, settings=cloud) == "started"


class TestCommands:
    def test_paused_resumed_and_visible_meanwhile(self, ask, owner):
        slots.register({"db_pruning": HOURLY}, now=START, db=owner)
        made = ask("pause", job_type="db_pruning", why=" disk work ", by="ada", schedule_only=True)["paused"]
        assert {k: v for k, v in made.items() if k != "since"} == {
            "job_type": "db_pruning", "what": "schedule", "by": "ada", "why": "disk work",
        }  # fmt: skip
        by_type = {each["job_type"]: each for each in ask("schedules")["schedules"]}
        assert by_type["db_pruning"]["paused"] == [made]
        assert by_type["partition_creation"]["paused"] == []
        [line] = [each for each in ask("health")["checks"] if each["name"] == "pauses"]
        assert line["ok"]
        assert line["says"].startswith("The schedule of db_pruning is paused (since ")
        assert ask("resume", job_type="db_pruning") == {"resumed": [made]}
        assert ask("schedules")["schedules"][0]["paused"] == []

    def test_type_and_schedule_are_paused_apart_and_resumed_together(self, ask):
        ask("pause", job_type="db_pruning", why="a", by="ada", schedule_only=True)
        ask("pause", job_type="db_pruning", why="b", by="bob")
        assert [each["what"] for each in ask("resume", job_type="db_pruning")["resumed"]] == ["schedule", "type"]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"job_type": "nope", "why": "x", "by": "ada"}, f"job_type must be one of {', '.join(JOB_TYPES)}, got "),
            ({"job_type": "db_pruning", "by": "ada"}, "why is required"),
            ({"job_type": "db_pruning", "why": " ", "by": "ada"}, "why must have at least 1 character, got "),
            ({"job_type": "db_pruning", "why": "x" * 501, "by": "ada"}, "why must have at most 500 characters"),
        ],
    )  # fmt: skip
    def test_bad_input_is_a_sentence_and_pauses_nothing(self, ask, owner, arguments, sentence):
        assert ask("pause", **arguments)["error"].startswith(sentence)
        assert owner.run_script("SELECT count(*) FROM job_pauses") == [[0]]

    def test_a_system_job_without_a_schedule_has_none_to_pause(self, ask, monkeypatch):
        monkeypatch.setitem(JOB_TYPES, "db_pruning", dataclasses.replace(JOB_TYPES["db_pruning"], schedule=None))
        said = ask("pause", job_type="db_pruning", why="x", by="ada", schedule_only=True)["error"]
        assert said == "Database Pruning has no schedule to pause"

    def test_the_schedules_of_all_teams_for_a_type_are_paused(self, ask):
        paused = ask("pause", job_type="revenuecat_sync", why="x", by="ada", schedule_only=True)["paused"]
        assert (paused["job_type"], paused["what"]) == ("revenuecat_sync", "schedule")

    def test_a_pause_that_is_there_is_found_at_the_first_look(self, ask, owner, monkeypatch):
        ask("pause", job_type="db_pruning", why="of another", by="ada", schedule_only=True)
        ask("pause", job_type="db_pruning", why="disk work", by="ada")
        looks, list_pauses = [], pauses.list_pauses

        def resumed_after_a_look(db):
            if looks:
                owner.run_script("DELETE FROM job_pauses")
            looks.append(list_pauses(db))
            return looks[-1]

        monkeypatch.setattr(pauses, "list_pauses", resumed_after_a_look)
        assert ask("pause", job_type="db_pruning", why="other", by="bob")["error"].endswith(" by ada): disk work")
        assert len(looks) == 1

    def test_where_somebody_resumes_in_between_the_second_is_the_one(self, ask, owner, monkeypatch):
        ask("pause", job_type="db_pruning", why="disk work", by="ada")

        def resumed_in_between(db):
            owner.run_script("DELETE FROM job_pauses")
            return db.query("list_pauses")

        monkeypatch.setattr(pauses, "list_pauses", resumed_in_between)
        assert ask("pause", job_type="db_pruning", why="other", by="bob")["paused"]["by"] == "bob"

    def test_twice_says_who_did_it_first(self, ask):
        first = ask("pause", job_type="db_pruning", why="disk work", by="ada")["paused"]
        second = ask("pause", job_type="db_pruning", why="other", by="bob")
        assert second["error"].startswith("Database Pruning is already paused (since ")
        assert second["error"].endswith(" by ada): disk work")
        assert second["paused"] == first
        ask("resume", job_type="db_pruning")
        assert ask("resume", job_type="db_pruning") == {"error": "Database Pruning is not paused"}

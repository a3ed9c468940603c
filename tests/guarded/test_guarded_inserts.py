"""How a run starts and how a slot is decided: which rows conflict, and which values the new row has."""

import json
import threading
import uuid

import pytest
from pg8000.exceptions import DatabaseError

from tests.guarded.world_at_noon import ENDED, LEASED, PENDING, Changes, at, days, insert, rows, run

KEY, HASH = b"key", b"hash"


def of(team, **columns):
    return {"team_id": team.id, "project_id": team.project_id, **columns}


def trigger(db, team, **given):
    wish = {
        **{"id": str(uuid.uuid4()), "job_type": "sync", "team_id": team.id, "project_id": team.project_id},
        **{"triggered_by": "manual:user:ada", "params": {"a": 1}, "notify": True, "cursor": None},
        **{"cursor_version": None, "progress": None, "total": None, "rerun_of": None, "idempotency_key": None},
        **{"request_hash": None, "provider": None, "runs_per_minute": 2, "resend_delay_s": 120},
    }
    return db.query("insert_run", **(wish | given))


def pause(owner, job_type, what, why="a reason"):
    insert(owner, "job_pauses", job_type=job_type, what=what, paused_by="ada", why=why, paused_at=at(-9))


class TestTrigger:
    def test_the_new_run_says_what_was_asked_for(self, owner, noon, team, other):
        rerun_of = str(uuid.uuid4())
        asked = {
            **{"cursor": json.dumps({"done": 1}), "cursor_version": 4, "rerun_of": rerun_of},
            **{"idempotency_key": KEY, "request_hash": HASH, "progress": json.dumps({"processed": 1, "total": 2})},
        }
        [row] = trigger(noon, team, **asked, total="app_users")
        [made] = rows(owner, "job_runs").values()
        assert str(row["id"]) == made["id"]
        expected = {
            **{"job_type": "sync", "triggered_by": "manual:user:ada", "params": {"a": 1}, "notify": True},
            **{"cursor": {"done": 1}, "cursor_version": 4, "rerun_of": rerun_of, "status": "pending", "slice": 0},
            **{"progress": {"processed": 1, "total": 2}, "resend_at": at(120), **of(team)},
            **{"idempotency_key": f"\\x{KEY.hex()}", "request_hash": f"\\x{HASH.hex()}"},
        }
        assert {name: made[name] for name in expected} == expected

    @pytest.mark.parametrize(("total", "counted"), [("app_users", 2), ("others", None), (None, None)])
    def test_the_bar_stands_at_the_start(self, owner, noon, team, other, total, counted):
        for project, name in ((team, "a"), (team, "b"), (other, "c")):
            insert(owner, "app_users", project_id=project.project_id, user_id=name)
        [row] = trigger(noon, team, total=total)
        assert row["progress"] == (counted and {"processed": 0, "message": "", "total": counted})

    @pytest.mark.parametrize(
        "gone",
        [
            "UPDATE projects SET deleted_at = now() WHERE id = '{project}'",
            "UPDATE teams SET deleted_at = now() WHERE id = '{team}'",
            "UPDATE projects SET team_id = '{other}', slug = 'moved' WHERE id = '{project}'",
            "INSERT INTO job_pauses (job_type, what, paused_by, why) VALUES ('sync', 'type', 'ada', 'why')",
        ],
        ids=["project deleted", "team deleted", "project moved", "paused"],
    )
    def test_it_finds_nothing_to_start(self, owner, noon, team, other, gone):
        owner.run_script(gone.format(project=team.project_id, team=team.id, other=other.id))
        assert trigger(noon, team) == []
        assert rows(owner, "job_runs") == {}

    @pytest.mark.parametrize(
        ("change", "starts"),
        [
            ("config = '{}'", True),
            ("""config = '{"enabled": true}'""", True),
            ("""config = '{"enabled": false}'""", False),
            ("deleted_at = now()", False),
            ("provider = 'other'", False),
            ("project_id = '{other}'", False),
        ],
        ids=["enabled", "enabled in words", "disabled", "deleted", "of another", "elsewhere"],
    )
    def test_a_key_of_its_provider_must_be_there(self, owner, noon, team, other, change, starts):
        insert(owner, "project_integrations", project_id=team.project_id, provider="acme", secret_encrypted="x")
        change = change.replace("{other}", other.project_id)
        owner.run_script(f"UPDATE project_integrations SET {change}")
        assert bool(trigger(noon, team, provider="acme")) == starts
        assert len(trigger(noon, team, job_type="without")) == 1

    def test_pauses_of_its_schedule_and_of_other_types_are_none_of_its(self, owner, noon, team):
        pause(owner, "sync", "schedule")
        pause(owner, "another", "type")
        assert len(trigger(noon, team)) == 1

    @pytest.mark.parametrize("state", [PENDING, LEASED], ids=["pending", "running"])
    def test_a_live_run_stands_in_the_way_and_is_answered(self, owner, noon, team, other, state):
        run(owner, ENDED, **of(team), job_type="sync")
        run(owner, PENDING, **of(team), job_type="another")
        run(owner, PENDING, **of(other), job_type="sync")
        live = run(owner, state, **of(team), job_type="sync", created_at=at(-1))
        changes = Changes(owner, "job_runs")
        owner.begin()
        owner.run_script(f"SELECT FROM job_runs WHERE id = '{live}' FOR UPDATE")  # as its worker locks it
        [row] = trigger(noon, team, runs_per_minute=1)
        owner.rollback()
        assert (str(row["id"]), row["retry_after_s"]) == (live, 0)
        assert changes() == {}

    def test_a_live_run_is_answered_to_no_other_team(self, owner, noon, team, other):
        run(owner, PENDING, **of(team), job_type="sync")
        strangers = {"team_id": other.id, "project_id": team.project_id}
        assert trigger(noon, team, **strangers) == []

    @pytest.mark.parametrize(("ages", "wait_s"), [((1, 59.5), 1), ((59, 0), 1), ((10, 20), 40), ((10.5, 20), 40)])
    def test_a_team_has_so_many_in_a_minute(self, owner, noon, team, other, ages, wait_s):
        for age in ages:
            run(owner, ENDED, **of(team), job_type="sync", created_at=at(-age))
        run(owner, ENDED, **of(other), created_at=at(-1))
        [row] = trigger(noon, team)
        assert (row["id"], row["retry_after_s"]) == (None, wait_s)
        assert len(rows(owner, "job_runs")) == 3

    @pytest.mark.parametrize("ages", [(1,), (1, 60), (1, 61), (1, 119)])
    def test_older_ones_and_other_teams_leave_it_room(self, owner, noon, team, other, ages):
        for age in ages:
            run(owner, ENDED, **of(team), created_at=at(-age))
        for age in (1, 2, 3):
            run(owner, ENDED, **of(other), created_at=at(-age))
        [row] = trigger(noon, team)
        assert (row["status"], row["retry_after_s"]) == ("pending", 0)

    @pytest.mark.parametrize(("running", "is_made"), [(0, True), (1, False)])
    def test_the_rate_counts_each_live_run_once(self, owner, noon, team, running, is_made):
        """A run of each kind is in the minute, and a third one is possible beside two of them."""
        run(owner, PENDING, **of(team), created_at=at(-30))
        run(owner, ENDED, **of(team), created_at=at(-20))
        for _ in range(running):
            run(owner, LEASED, **of(team), created_at=at(-40))
        [row] = trigger(noon, team, runs_per_minute=3)
        assert (row["id"] is not None, row["retry_after_s"]) == (is_made, 0 if is_made else 20)

    def test_the_rate_counts_the_newest_runs(self, owner, noon, team):
        for age in (50, 40, 30):
            run(owner, ENDED, **of(team), created_at=at(-age))
        assert [row["retry_after_s"] for row in trigger(noon, team)] == [20]

    def test_the_rate_counts_the_newest_live_runs(self, owner, noon, team):
        for state, age in ((ENDED, 55), (PENDING, 50), (PENDING, 40), (PENDING, 30)):
            run(owner, state, **of(team), created_at=at(-age))
        assert [row["retry_after_s"] for row in trigger(noon, team)] == [20]

    @pytest.mark.parametrize("ages", [(1, 60), (1, 119)])
    def test_older_live_ones_and_those_of_other_teams_leave_it_room(self, owner, noon, team, other, ages):
        for age in ages:
            run(owner, PENDING, **of(team), created_at=at(-age))
        for age in (1, 2, 3):
            run(owner, PENDING, **of(other), created_at=at(-age))
        [row] = trigger(noon, team)
        assert (row["status"], row["retry_after_s"]) == ("pending", 0)


class TestKey:
    def keyed(self, owner, team, state=PENDING, **columns):
        columns = {"created_at": at(-60), **columns}
        key = {"idempotency_key": f"\\x{KEY.hex()}", "request_hash": f"\\x{HASH.hex()}"}
        return run(owner, state, **of(team), **key, **columns)

    def ask(self, noon, team):
        return trigger(noon, team, idempotency_key=KEY, request_hash=HASH, runs_per_minute=9)

    @pytest.mark.parametrize("state", [PENDING, ENDED], ids=["live", "ended"])
    def test_the_run_of_the_key_is_answered(self, owner, noon, team, state):
        earlier = self.keyed(owner, team, state, job_type="another", created_at=at(-days(1) + 0.001))
        run(owner, ENDED, **of(team), idempotency_key="\\x00", request_hash="\\x00")
        [row] = self.ask(noon, team)
        assert (str(row["id"]), bytes(row["idempotency_key"]), bytes(row["request_hash"])) == (earlier, KEY, HASH)
        assert len(rows(owner, "job_runs")) == 2

    @pytest.mark.parametrize("age", [days(1), days(1) + 1, days(2) - 1])
    def test_it_is_good_for_a_day(self, owner, noon, team, age):
        earlier = self.keyed(owner, team, job_type="sync", created_at=at(-age))
        [row] = self.ask(noon, team)
        assert (str(row["id"]), row["idempotency_key"]) == (earlier, None)  # it is the live run, not the key's run

    @pytest.mark.parametrize("age", [days(1), days(1) + 1, days(2) - 1])
    def test_after_a_day_it_names_no_ended_run(self, owner, noon, team, age):
        """The key still conflicts until it is forgotten; requests.py then tries again."""
        self.keyed(owner, team, ENDED, created_at=at(-age))
        with pytest.raises(DatabaseError, match="job_runs_idempotency"):
            self.ask(noon, team)

    def test_an_ended_run_is_that_of_the_key_also_where_its_project_moved(self, owner, noon, team, other):
        earlier = self.keyed(owner, team, ENDED)
        owner.run_script(f"UPDATE projects SET team_id = '{other.id}', slug = 'moved' WHERE id = '{team.project_id}'")
        assert [str(row["id"]) for row in self.ask(noon, team)] == [earlier]

    def test_a_live_run_that_moved_is_not_that_of_the_key(self, owner, noon, team, other):
        """The key still conflicts until it is forgotten; requests.py then tries again."""
        self.keyed(owner, team)
        owner.run_script(
            f"UPDATE projects SET team_id = '{other.id}', slug = 'moved' WHERE id = '{team.project_id}';"
            f"INSERT INTO projects (team_id, name, slug) VALUES ('{team.id}', 'Second', 'second')"
        )
        [[second]] = owner.run_script("SELECT CAST(id AS text) FROM projects WHERE slug = 'second'")
        with pytest.raises(DatabaseError, match="job_runs_idempotency"):
            trigger(noon, team, project_id=second, idempotency_key=KEY, request_hash=HASH)

    @pytest.mark.parametrize(
        ("state", "created_at", "moves", "is_forgotten"),
        [
            (PENDING, at(-days(1)), False, True),
            (ENDED, at(-days(1)), False, True),
            (ENDED, at(-days(2) + 1), False, True),
            (PENDING, at(-days(1) + 0.001), False, False),
            (ENDED, at(-days(1) + 0.001), True, False),
            (PENDING, at(-days(1) + 0.001), True, True),
        ],
    )
    def test_it_is_forgotten_after_a_day_or_when_its_live_run_has_moved(
        self, owner, noon, team, other, state, created_at, moves, is_forgotten
    ):
        run_id = self.keyed(owner, team, state, created_at=created_at)
        run(owner, ENDED, **of(team), idempotency_key="\\x00", request_hash="\\x00", created_at=at(-days(9)))
        insert(owner, "projects", id=str(uuid.uuid4()), team_id=team.id, name="Second", slug="second")
        if moves:
            owner.run_script(
                f"UPDATE projects SET team_id = '{other.id}', slug = 'moved' WHERE id = '{team.project_id}'"
            )
        changes = Changes(owner, "job_runs")
        noon.query("forget_idempotency_key", idempotency_key=KEY)
        forgotten = {run_id: {"idempotency_key": None, "request_hash": None}}
        assert changes() == (forgotten if is_forgotten else {})


def start(db, name="prune", **given):
    wish = {"id": str(uuid.uuid4()), "job_type": name, "triggered_by": "system:ada", "params": {"a": 1}}
    return db.query("insert_system_run", **(wish | given), resend_delay_s=120)


def fire(db, name="prune", **given):
    wish = {"id": str(uuid.uuid4()), "job_type": name, "params": {"a": 1}, "slot": at(-60), "outcome": "started"}
    return db.query("insert_scheduled_run", **(wish | given), resend_delay_s=120)


BEGUN = {"job_type": "prune", "params": {"a": 1}, "resend_at": at(120), "status": "pending", "project_id": None}


class TestSystemRun:
    def test_the_new_run_says_what_was_asked_for(self, owner, noon):
        [row] = start(noon)
        [made] = rows(owner, "job_runs").values()
        expected = {**BEGUN, "id": str(row["id"]), "triggered_by": "system:ada"}
        assert {name: made[name] for name in expected} == expected

    @pytest.mark.parametrize("state", [PENDING, LEASED], ids=["pending", "running"])
    def test_a_live_one_stands_in_the_way(self, owner, noon, team, state):
        live = run(owner, state, job_type="prune")
        for columns in ({"job_type": "another"}, {**of(team), "job_type": "prune"}):
            run(owner, PENDING, **columns)
        run(owner, ENDED, job_type="prune")
        changes = Changes(owner, "job_runs")
        owner.begin()
        owner.run_script(f"SELECT FROM job_runs WHERE id = '{live}' FOR UPDATE")
        assert [str(row["id"]) for row in start(noon)] == [live]
        owner.rollback()
        assert changes() == {}
        pause(owner, "prune", "type")
        assert start(noon) == []

    def test_only_a_pause_of_its_type_keeps_it_from_starting(self, owner, noon):
        pause(owner, "prune", "schedule")
        pause(owner, "another", "type")
        assert len(start(noon)) == 1
        owner.run_script("DELETE FROM job_runs")
        pause(owner, "prune", "type")
        assert start(noon) == []
        assert rows(owner, "job_runs") == {}


class TestSlot:
    def slot(self, owner):
        [row] = rows(owner, "job_schedule_slots", "job_type").values()
        return row["job_type"], row["slot"], row["outcome"], row["run_id"], row["reason"]

    @pytest.mark.parametrize("outcome", ["started", "caught_up"])
    def test_it_starts_a_run(self, owner, noon, team, outcome):
        for columns in ({"job_type": "another"}, {**of(team), "job_type": "prune"}):
            run(owner, PENDING, **columns)
        run(owner, ENDED, job_type="prune")
        pause(owner, "another", "type")
        run_id = str(uuid.uuid4())
        assert fire(noon, id=run_id, outcome=outcome) == [{"outcome": outcome}]
        assert self.slot(owner) == ("prune", at(-60), outcome, run_id, None)
        made = rows(owner, "job_runs")[run_id]
        expected = {**BEGUN, "triggered_by": "schedule"}
        assert {name: made[name] for name in expected} == expected

    @pytest.mark.parametrize("state", [PENDING, LEASED], ids=["pending", "running"])
    def test_a_live_run_skips_it(self, owner, noon, state):
        live = run(owner, state, job_type="prune")
        changes = Changes(owner, "job_runs")
        owner.begin()
        owner.run_script(f"SELECT FROM job_runs WHERE id = '{live}' FOR UPDATE")
        assert fire(noon) == [{"outcome": "skipped"}]
        owner.rollback()
        assert self.slot(owner) == ("prune", at(-60), "skipped", live, None)
        assert changes() == {}

    @pytest.mark.parametrize("live", [False, True])
    @pytest.mark.parametrize(
        ("paused", "why"), [(["schedule"], "for a while"), (["type"], "at all"), (["schedule", "type"], "at all")]
    )
    def test_a_pause_skips_it_and_says_why(self, owner, noon, live, paused, why):
        if live:
            run(owner, PENDING, job_type="prune")
        for what in paused:
            pause(owner, "prune", what, "at all" if what == "type" else "for a while")
        pause(owner, "another", "type", "not this")
        changes = Changes(owner, "job_runs")
        assert fire(noon) == [{"outcome": "skipped"}]
        assert self.slot(owner) == ("prune", at(-60), "skipped", None, f"paused by ada: {why}")
        assert changes() == {}
        [known] = noon.query("get_pause", job_type="prune")
        assert (known["reason"], known["paused_at"].isoformat()) == (f"paused by ada: {why}", at(-9))

    def test_it_is_decided_once(self, owner, noon):
        fire(noon)
        owner.run_script("UPDATE job_runs SET status = 'cancelled', completed_at = now(), resend_at = NULL")
        with pytest.raises(DatabaseError, match="job_schedule_slots_pkey"):
            fire(noon)
        assert len(rows(owner, "job_runs")) == 1

    @pytest.mark.parametrize(("reason", "outcome"), [(None, "missed"), ("paused by ada: why", "skipped")])
    def test_those_that_start_nothing_leave_a_decided_one_alone(self, owner, noon, reason, outcome):
        insert(owner, "job_schedule_slots", job_type="prune", slot=at(-60), outcome="missed")
        changes = Changes(owner, "job_schedule_slots", "slot")
        inserted = noon.query("insert_slots", job_type="prune", reason=reason, slots=[at(-120), at(-60)])
        assert [row["slot"].isoformat() for row in inserted] == [at(-120)]
        [(slot, made)] = changes().items()
        assert (slot[:16], made["job_type"], made["outcome"], made.get("reason")) == (
            at(-120)[:16], "prune", outcome, reason,
        )  # fmt: skip

    def test_those_that_were_decided_since(self, owner, noon):
        for name, seconds in (("prune", -61), ("prune", -60), ("prune", 0), ("another", 0)):
            insert(owner, "job_schedule_slots", job_type=name, slot=at(seconds), outcome="missed")
        found = noon.query("decided_slots", job_type="prune", since=at(-60))
        assert sorted(row["slot"].isoformat() for row in found) == [at(-60), at(0)]


@pytest.mark.parametrize("begins", ["trigger", "start", "fire"])
def test_who_comes_second_in_a_race_is_answered_with_the_winner(owner, owner_at_noon, patient, team, begins):
    """The first run is not committed when the second caller looks for a live run, so only the index can find it."""
    begin = {"trigger": lambda: trigger(patient, team), "start": lambda: start(patient), "fire": lambda: fire(patient)}
    answers = []
    owner.begin()
    winner = run(owner, PENDING, **(of(team, job_type="sync") if begins == "trigger" else {"job_type": "prune"}))
    second = threading.Thread(target=lambda: answers.extend(begin[begins]()))
    second.start()
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not owner_at_noon.run_script(waiting):
        assert second.is_alive(), "the second does not wait"
    owner.commit()
    second.join(10)
    if begins == "fire":
        assert answers == [{"outcome": "skipped"}]
        assert rows(owner, "job_schedule_slots", "run_id").keys() == {winner}
    else:
        assert [str(row["id"]) for row in answers] == [winner]


class TestSchedule:
    @pytest.fixture(autouse=True)
    def schedules(self, owner):
        owner.run_script("DELETE FROM job_schedules")
        for name in ("prune", "another"):
            insert(owner, "job_schedules", job_type=name, cron="0 * * * *", active_since=at(-999), next_slot=at(-60))

    def test_it_is_locked_where_it_is_overdue_and_nobody_holds_it(self, owner, noon):
        def locked(until):
            return [row["job_type"] for row in noon.query("lock_overdue_schedule", job_type="prune", until=until)]

        assert locked(at(-60)) == ["prune"]
        assert locked(at(-61)) == []
        owner.begin()
        owner.run_script("SELECT FROM job_schedules WHERE job_type = 'prune' FOR UPDATE")
        assert locked(at(0)) == []

    def test_it_alone_is_read_and_moved(self, owner, noon):
        changes = Changes(owner, "job_schedules", "job_type")
        owner.run_script("UPDATE job_schedules SET cron = '1 * * * *' WHERE job_type = 'another'")
        [row] = noon.query("get_schedule", job_type="prune")
        assert row["cron"] == "0 * * * *"
        noon.query("move_schedule", job_type="prune", next_slot=at(60))
        assert changes() == {"prune": {"next_slot": at(60)}, "another": {"cron": "1 * * * *"}}


class TestPauses:
    def test_one_of_a_kind(self, owner, noon):
        wish = {"job_type": "prune", "what": "type", "paused_by": "ada", "why": "a reason"}
        [made] = noon.query("insert_pause", **wish)
        assert {name: made[name] for name in wish} == wish
        assert noon.query("insert_pause", **(wish | {"why": "another"})) == []
        [kept] = rows(owner, "job_pauses", "job_type").values()
        assert {name: kept[name] for name in wish} == wish

    def test_in_their_order(self, owner, noon):
        for name, what in (("b", "type"), ("a", "type"), ("b", "schedule")):
            pause(owner, name, what)
        listed = [(row["job_type"], row["what"]) for row in noon.query("list_pauses")]
        assert listed == [("a", "type"), ("b", "schedule"), ("b", "type")]

    def test_resuming_ends_both_and_gives_its_success_all_its_time(self, owner, noon):
        for name in ("prune", "another"):
            insert(
                owner, "job_successes", job_type=name, expected_within="1 hour", overdue_at=at(-5), since=at(-9)
            )  # fmt: skip
        for name, what in (("prune", "type"), ("prune", "schedule"), ("another", "type")):
            pause(owner, name, what)
        changes = Changes(owner, "job_successes", "job_type")
        ended = noon.query("delete_pauses", job_type="prune")
        assert [row["what"] for row in ended] == ["schedule", "type"]
        assert rows(owner, "job_pauses", "job_type").keys() == {"another"}
        assert changes() == {"prune": {"since": at(0), "overdue_at": at(3600)}}


class TestSuccesses:
    def late(self, owner, name, **columns):
        told = {"expected_within": "1 hour", "overdue_at": at(0), "since": at(-7200)}
        insert(owner, "job_successes", job_type=name, **(told | columns))

    def tell(self, noon, *names):
        return noon.query("claim_overdue_successes", keys=list(names))

    def test_it_is_told_until_it_is_overdue_once_more(self, owner, noon):
        self.late(owner, "prune", last_success_at=at(-7200))
        self.late(owner, "another")
        changes = Changes(owner, "job_successes", "job_type")
        [row] = self.tell(noon, "prune")
        assert changes() == {"prune": {"overdue_at": at(3600)}}
        assert (row["job_type"], row["silent_s"], row["is_paused"], row["last_error"]) == ("prune", 7200, False, None)

    def test_a_pause_of_its_own_is_said(self, owner, noon):
        self.late(owner, "prune")
        self.late(owner, "another")
        pause(owner, "another", "type")
        assert {row["job_type"]: row["is_paused"] for row in self.tell(noon, "prune", "another")} == {
            "prune": False, "another": True,
        }  # fmt: skip

    def test_the_last_error_is_of_the_newest_system_run_since(self, owner, noon, team):
        self.late(owner, "prune")
        for age, error, columns in (
            (100, "first", {}),
            (60, None, {"status": "completed"}),
            (40, "last", {}),
            (10, "another's", {"job_type": "another"}),
            (10, "a project's", of(team)),
            (5, None, {"status": "cancelled", **of(team)}),
        ):
            times = {"created_at": at(-age), "completed_at": at(-age + 1)}
            run(owner, ENDED, **{"job_type": "prune", "status": "failed", "error": error, **times, **columns})
        assert [row["last_error"] for row in self.tell(noon, "prune")] == ["last"]

    @pytest.mark.parametrize(("completed_s", "error"), [(-7201, None), (-7200, None), (-7199.999, "e")])
    def test_an_error_from_before_its_last_success_is_not_said(self, owner, noon, completed_s, error):
        self.late(owner, "prune")
        run(owner, ENDED, job_type="prune", status="failed", error="e", completed_at=at(completed_s))
        assert [row["last_error"] for row in self.tell(noon, "prune")] == [error]


class TestSetAside:
    def aside(self, owner, key="k", **columns):
        told = {"healer": "expired", "error": "e", "attempts": 1, "since": at(-9), "retry_at": at(-1)}
        insert(owner, "job_set_aside", key=key, **(told | columns))

    def note(self, noon, key="k", *, passing=False):
        noon.query("set_aside", healer="expired", key=key, error="new", passing=passing)

    @pytest.mark.parametrize(("passing", "attempts"), [(False, 1), (True, 0)])
    def test_a_row_is_tried_again_in_a_minute(self, owner, noon, passing, attempts):
        self.note(noon, passing=passing)
        [made] = rows(owner, "job_set_aside", "key").values()
        assert (made["healer"], made["key"], made["error"], made["attempts"]) == ("expired", "k", "new", attempts)
        assert made["retry_at"] == at(60)

    @pytest.mark.parametrize(("attempts", "after_s"), [(0, 60), (1, 120), (3, 480), (4, 600), (10, 600), (5000, 600)])
    @pytest.mark.parametrize("passing", [False, True])
    def test_then_ever_later_up_to_ten_minutes(self, owner, noon, attempts, after_s, passing):
        self.aside(owner, attempts=attempts)
        self.aside(owner, "other")
        changes = Changes(owner, "job_set_aside", "key")
        self.note(noon, passing=passing)
        assert changes() == {"k": {"error": "new", "attempts": attempts + 1, "retry_at": at(after_s)}}

    def test_they_are_listed_with_those_that_are_due(self, owner, noon):
        for key, retry_s, since_s in (("b", 0, -5), ("c", 0.001, -9), ("a", -1, -5)):
            self.aside(owner, key, retry_at=at(retry_s), since=at(since_s))
        self.aside(owner, "a", healer="untold", since=at(-5))
        listed = [(row["healer"], row["key"], row["is_due"]) for row in noon.query("list_set_aside")]
        assert listed == [
            ("expired", "c", False),
            ("expired", "a", True),
            ("expired", "b", True),
            ("untold", "a", True),
        ]

    @pytest.mark.parametrize(
        ("columns", "is_told"),
        [
            ({}, True),
            ({"attempts": 0}, False),
            ({"key": ""}, False),
            ({"told_at": at(-days(9))}, False),
        ],
    )
    def test_those_are_told_that_have_not_been(self, owner, noon, columns, is_told):
        self.aside(owner, **columns)
        told = noon.query("claim_set_aside")
        assert [(row["healer"], row["key"], row["error"]) for row in told] == [("expired", "k", "e")] * is_told
        if is_told:
            assert rows(owner, "job_set_aside", "key")["k"]["told_at"] == at(0)

    @pytest.mark.parametrize(("told_s", "is_told"), [(-3599, False), (-3600, True), (-3601, True), (-7199, True)])
    def test_once_an_hour(self, owner, noon, told_s, is_told):
        self.aside(owner)
        self.aside(owner, "before", told_at=at(told_s))
        assert [row["key"] for row in noon.query("claim_set_aside")] == ["k"] * is_told

    def test_those_are_forgotten_that_were_due_and_healed(self, owner, noon):
        self.aside(owner, "due", retry_at=at(-1))
        self.aside(owner, "later", retry_at=at(-0.999))
        self.aside(owner, "of another", healer="untold", retry_at=at(-1))
        noon.query("forget_set_aside", healers=["expired"], due=at(-1))
        assert rows(owner, "job_set_aside", "key").keys() == {"later", "of another"}

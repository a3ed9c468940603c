"""The mails, the event and the success record that a run's ending owes, and their recipients, row by row."""

import uuid

import pytest

from nightshift.testing.rows import make_team
from tests.guarded.test_guarded_sweep import team_schedule
from tests.guarded.world_at_noon import ENDED, LEASED, Changes, at, insert, rows, run
from tests.support.world import NO_LINES

EVENT = ("event", None)


def asked_by(team, role="admin", kind="user"):
    return {
        **{"team_id": team.id, "project_id": team.project_id, "notify": True},
        "triggered_by": f"manual:{kind}:{team.users[role]}",
    }


def end(db, run_id, status="completed"):
    error = "e" if status == "failed" else None
    assert db.query("end_run", run_id=run_id, slice=2, status=status, result=None, error=error, **NO_LINES)


def owed(owner, run_id):
    """Return the kind and recipient of each of the run's rows in the outbox."""
    return sorted(
        ((row["kind"], row["recipient"]) for row in rows(owner, "job_outbox").values() if row["run_id"] == run_id),
        key=str,
    )


class TestMail:
    @pytest.mark.parametrize(
        ("status", "mails"), [("completed", [("mail", None)]), ("failed", [("mail", None)]), ("cancelled", [])]
    )
    def test_a_run_of_the_system_tells_the_operator_unless_it_was_cancelled(self, owner, noon, status, mails):
        run_id = run(owner, LEASED, triggered_by=f"manual:user:{uuid.uuid4()}", notify=True)
        end(noon, run_id, status)
        assert owed(owner, run_id) == mails

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_a_run_of_a_project_tells_the_person_who_asked_for_it(self, owner, noon, team, status):
        run_id = run(owner, LEASED, **asked_by(team))
        end(noon, run_id, status)
        assert owed(owner, run_id) == [("mail", "admin@owls.example")]

    @pytest.mark.parametrize("notify", [True, False])
    def test_a_run_of_a_schedule_tells_its_maker(self, owner, noon, team, notify):
        for hour, maker in enumerate(("owner", "admin")):
            schedule_id = team_schedule(
                owner, team.project_id, cron=f"0 {hour} * * *", created_by=f"manual:user:{team.users[maker]}"
            )
        asked = {**asked_by(team), "triggered_by": "schedule", "schedule_id": schedule_id, "notify": notify}
        run_id = run(owner, LEASED, **asked)
        end(noon, run_id)
        assert owed(owner, run_id) == ([("mail", "admin@owls.example")] if notify else [])

    def test_a_schedule_that_is_gone_has_no_maker_to_tell(self, owner, noon, team):
        asked = {**asked_by(team), "triggered_by": "schedule", "schedule_id": str(uuid.uuid4())}
        run_id = run(owner, LEASED, **asked)
        end(noon, run_id)
        assert owed(owner, run_id) == []

    @pytest.mark.parametrize(
        "columns",
        [
            {"notify": False},
            {"triggered_by": "schedule"},
            {"triggered_by": "manual:user:ada"},
            {"triggered_by": "manual:robot:{admin}"},
            {"triggered_by": "system:user:{admin}"},
        ],
    )
    def test_nobody_else_is_told(self, owner, noon, team, columns):
        asked = asked_by(team) | columns
        asked["triggered_by"] = asked["triggered_by"].format(**team.users)
        run_id = run(owner, LEASED, **asked)
        end(noon, run_id)
        assert owed(owner, run_id) == []
        assert rows(owner, "job_runs")[run_id]["untold"] is None

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE users SET deleted_at = now() WHERE id = '{admin}'",
            "UPDATE users SET email = ' ' WHERE id = '{admin}'",
            "DELETE FROM team_members WHERE user_id = '{admin}'",
        ],
        ids=["deleted", "without address", "left the team"],
    )
    def test_a_person_who_is_gone_is_told_nothing(self, owner, noon, team, change):
        owner.run_script(change.format(**team.users))
        run_id = run(owner, LEASED, **asked_by(team))
        end(noon, run_id)
        assert owed(owner, run_id) == []

    def test_an_address_is_told_without_the_blanks_around_it(self, owner, noon, team):
        owner.run_script(f"UPDATE users SET email = ' ada@x ' WHERE id = '{team.users['admin']}'")
        run_id = run(owner, LEASED, **asked_by(team))
        end(noon, run_id)
        assert owed(owner, run_id) == [("mail", "ada@x")]

    @pytest.mark.parametrize(("kind", "told"), [("user", "admin"), ("api_key", "member")])
    def test_a_key_and_a_person_of_the_same_id_are_told_apart(self, owner, noon, team, kind, told):
        """The member created the key with this id."""
        key = {"id": team.users["admin"], "team_id": team.id, "created_by": team.users["member"]}
        insert(owner, "api_keys", **key, key_type="agent", key_hash=f"\\x{'01' * 32}", key_prefix="p")
        run_id = run(owner, LEASED, **asked_by(team, kind=kind))
        end(noon, run_id)
        assert owed(owner, run_id) == [("mail", f"{told}@owls.example")]


class TestHome:
    def test_a_run_whose_project_moved_is_told_where_it_is_now(self, owner, noon, team):
        there = make_team(owner, slug="there")
        owner.run_script(f"UPDATE projects SET team_id = '{there.id}', slug = 'moved' WHERE id = '{team.project_id}'")
        key = {"idempotency_key": "\\x00", "request_hash": "\\x00"}
        run_id = run(owner, LEASED, **asked_by(team), **key)
        bystander = run(owner, ENDED, idempotency_key="\\x01", request_hash="\\x01")
        end(noon, run_id)
        row = rows(owner, "job_runs")[run_id]
        assert (row["team_id"], row["idempotency_key"], row["request_hash"]) == (there.id, None, None)
        assert rows(owner, "job_runs")[bystander]["idempotency_key"] == "\\x01"
        assert owed(owner, run_id) == []  # the user is not in that team
        insert(owner, "team_members", team_id=there.id, user_id=team.users["member"], role="member")
        second = run(owner, LEASED, **asked_by(team, "member"))
        end(noon, second)
        assert owed(owner, second) == [("mail", "member@owls.example")]

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_a_run_whose_project_is_gone_is_told_in_its_own_team(self, owner, noon, team, status):
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        run_id = run(owner, LEASED, **asked_by(team) | {"project_id": str(uuid.uuid4())})
        end(noon, run_id, status)
        row = rows(owner, "job_runs")[run_id]
        assert (row["team_id"], row["untold"]) == (team.id, None)
        assert owed(owner, run_id) == [EVENT, ("mail", "admin@owls.example")]

    def test_a_run_whose_team_is_gone_owes_an_event_alone(self, owner, noon, team):
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        gone = {"team_id": str(uuid.uuid4()), "project_id": str(uuid.uuid4())}
        run_id = run(owner, LEASED, **asked_by(team) | gone)
        end(noon, run_id)
        row = rows(owner, "job_runs")[run_id]
        assert (row["team_id"], row["untold"]) == (gone["team_id"], None)
        assert owed(owner, run_id) == [EVENT]

    def test_an_ending_that_owes_nothing_else_writes_its_run_once(self, owner, noon, team):
        run_id = run(owner, LEASED, **asked_by(team))

        def written():
            return noon.run_script("SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'job_runs'")[0][0]

        noon.begin()
        before = written()
        end(noon, run_id)
        after = written()
        noon.commit()
        assert after - before == 1


class TestEvent:
    @pytest.mark.parametrize("wanted", [True, False])
    def test_each_ending_is_one_event_where_there_is_a_bus(self, owner, noon, team, wanted):
        owner.run_script(f"UPDATE job_deployment SET wants_events = {wanted}")
        for columns in ({}, {**asked_by(team), "notify": False}):
            run_id = run(owner, LEASED, **columns)
            end(noon, run_id, "cancelled")
            assert owed(owner, run_id) == [EVENT] * wanted

    def test_a_claim_and_a_change_after_the_ending_are_none(self, owner, noon):
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        live, ended = run(owner), run(owner, ENDED)
        owner.run_script("UPDATE job_runs SET status = status")
        noon.query(
            "claim_slice", run_id=live, slice=0, capped=[], lease_s=9, request_id="r",
            max_durations={}, max_duration_s=9,
        )  # fmt: skip
        owner.run_script(f"UPDATE job_runs SET status = 'completed' WHERE id = '{ended}'")
        assert rows(owner, "job_outbox") == {}

    @pytest.mark.parametrize("there", ["nothing", "everything"])
    def test_what_is_told_again_is_written_once(self, owner, noon, team, there):
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        run_id = run(owner, {**ENDED, "status": "completed"}, **asked_by(team), untold="its mail: no right")
        run(owner, {**ENDED, "untold": "its event: no right"})
        if there == "everything":
            insert(owner, "job_outbox", run_id=run_id, kind="event")
            insert(owner, "job_outbox", run_id=run_id, recipient="admin@owls.example")
        changes = Changes(owner, "job_runs")
        assert noon.query("tell_of_endings", keys=[run_id]) == [{"key": run_id, "untold": None}]
        assert owed(owner, run_id) == [EVENT, ("mail", "admin@owls.example")]
        assert changes() == {run_id: {"untold": None}}

    def test_what_owes_nothing_is_told_nothing(self, owner, noon):
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        assert noon.query("tell_of_endings", keys=[run(owner), run(owner, ENDED)]) == []
        assert rows(owner, "job_outbox") == {}


class TestSuccess:
    @pytest.mark.parametrize(
        ("status", "since", "is_noted"),
        [
            ("completed", at(-60), True),
            ("completed", at(0), True),
            ("completed", at(0.001), False),
            ("failed", at(-60), False),
            ("cancelled", at(-60), False),
        ],
    )
    def test_a_completed_run_of_the_system_is_one(self, owner, noon, status, since, is_noted):
        for name in ("prune", "another"):
            insert(
                owner, "job_successes", job_type=name, expected_within="1 hour", overdue_at=at(9), since=since
            )  # fmt: skip
        run_id = run(owner, LEASED, job_type="prune")
        changes = Changes(owner, "job_successes", "job_type")
        end(noon, run_id, status)
        noted = {"last_success_at": at(0), "overdue_at": at(3600)} | ({"since": at(0)} if since != at(0) else {})
        assert changes() == ({"prune": noted} if is_noted else {})

    def test_that_of_a_project_is_none(self, owner, noon, team):
        insert(owner, "job_successes", job_type="sync", expected_within="1 hour", overdue_at=at(9), since=at(-9))
        run_id = run(owner, LEASED, job_type="sync", team_id=team.id, project_id=team.project_id)
        changes = Changes(owner, "job_successes", "job_type")
        end(noon, run_id)
        assert changes() == {}


SAYS_NO = """
CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION pg_temp.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
"""
SWALLOWED = "a rule or a trigger on job_outbox swallows it"


class TestTrouble:
    """Run in a transaction of the schema owner. Its rollback removes the trigger that breaks the mails."""

    @pytest.fixture
    def broken(self, owner):
        """``broken("job_outbox", "no")``: make every insert into and update of the table fail from now on."""
        owner.begin()
        owner.run_script(SAYS_NO + "UPDATE job_deployment SET wants_events = true")

        def broken(table, by, event="INSERT OR UPDATE"):
            owner.run_script(
                f"CREATE TRIGGER no BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION pg_temp.{by}()"
            )

        yield broken
        owner.rollback()

    def untold(self, owner, run_id):
        end(owner, run_id)
        row = rows(owner, "job_runs")[run_id]
        assert row["status"] == "completed"
        return row["untold"]

    def test_each_part_that_fails_is_named(self, owner, broken):
        insert(owner, "job_successes", job_type="prune", expected_within="1 hour", overdue_at=at(9), since=at(-9e9))
        run_id = run(owner, LEASED, job_type="prune")
        for table in ("job_outbox", "job_successes"):
            broken(table, "no")
        assert self.untold(owner, run_id) == "its event: no; its success: no; its mail: no"

    def test_a_team_that_cannot_be_noted_keeps_no_mail_back(self, owner, broken, team):
        there = make_team(owner, slug="there")
        owner.run_script(f"UPDATE projects SET team_id = '{there.id}', slug = 'moved' WHERE id = '{team.project_id}'")
        insert(owner, "team_members", team_id=there.id, user_id=team.users["admin"], role="member")
        run_id = run(owner, LEASED, **asked_by(team))
        broken("job_runs", "no", "UPDATE OF team_id")
        assert self.untold(owner, run_id) == "its team: no"
        assert owed(owner, run_id) == [EVENT, ("mail", "admin@owls.example")]

    @pytest.mark.parametrize(
        ("there", "says"),
        [
            (None, f"its event: {SWALLOWED}; its mail: {SWALLOWED}"),
            ("event", f"its mail: {SWALLOWED}"),
            ("mail", f"its event: {SWALLOWED}"),
        ],
    )
    def test_what_is_swallowed_is_said_unless_it_is_there(self, owner, broken, there, says):
        run_id, other = run(owner, LEASED), run(owner, ENDED)
        for each, kind in ((other, "event"), (other, "mail"), *([(run_id, there)] if there else [])):
            insert(owner, "job_outbox", run_id=each, kind=kind)
        broken("job_outbox", "nothing")
        assert self.untold(owner, run_id) == says

"""The statement that decides the slots of teams' schedules, and the mail to a team's admins."""

import uuid

import pytest

from nightshift.testing.rows import make_team
from tests.guarded.test_guarded_sweep import team_schedule
from tests.guarded.world_at_noon import ENDED, PENDING, Changes, at, insert, rows, run

SYNC = "revenuecat_sync"


@pytest.fixture
def team(owner):
    return make_team(owner, slug="here")


def decide(noon, *schedule_ids, **given):
    """Decide noon's slot of these schedules. Return the rows by schedule."""
    usual = {"slot": at(0), "outcome": "started", "params": {"mode": "full"}, "provider": None, "refusal": None}
    usual |= {"missed": [], "next_slot": at(3600), "delay_s": 0} | given
    due = [{"id": schedule_id, "run_id": str(uuid.uuid4())} | usual for schedule_id in schedule_ids]
    answers = noon.query("start_due_schedules", due={"schedules": due}, resend_delay_s=120)
    return {str(answer["id"]): answer for answer in answers}


def ledger(owner):
    return [
        [row[name] for name in ("schedule_id", "slot", "outcome", "reason", "run_id")]
        for row in rows(owner, "job_team_slots", "slot").values()
    ]


def is_started(owner, noon, schedule_id, **given):
    answer = decide(noon, schedule_id, **given)[schedule_id]
    assert answer["starts"] == (answer["reason"] is None)
    return answer["starts"]


def test_it_starts_a_run_with_its_slot(owner, noon, team):
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0), notify=True, skipped=2)
    other = team_schedule(owner, team.project_id, cron="@weekly", next_slot=at(0), skipped=2)
    schedules = Changes(owner, "job_team_schedules")
    answer = decide(noon, schedule_id, outcome="caught_up", delay_s=7, missed=[at(-120), at(-60)])[schedule_id]
    assert (answer["starts"], answer["reason"], answer["job_type"], answer["name"]) == (True, None, SYNC, "")
    assert (str(answer["team_id"]), answer["delay_s"]) == (team.id, 7)
    [(run_id, row)] = rows(owner, "job_runs").items()
    assert answer["run_id"] == run_id
    told = ("job_type", "team_id", "project_id", "triggered_by", "params", "notify", "due_at", "resend_at", "status")
    assert {name: row[name] for name in (*told, "schedule_id")} == {
        **{"job_type": SYNC, "team_id": team.id, "project_id": team.project_id, "triggered_by": "schedule"},
        **{"params": {"mode": "full"}, "notify": True, "due_at": at(7), "resend_at": at(127), "status": "pending"},
        "schedule_id": schedule_id,
    }
    assert row["waiting_for"] == "its turn among the runs that are due at the same time"
    assert sorted(ledger(owner)) == sorted(
        [
            [schedule_id, at(-120), "missed", None, None],
            [schedule_id, at(-60), "missed", None, None],
            [schedule_id, at(0), "caught_up", None, run_id],
        ]
    )
    assert schedules() == {schedule_id: {"next_slot": at(3600), "skipped": 0}}
    assert other not in schedules()


def test_without_a_delay_it_waits_for_nothing(owner, noon, team):
    decide(noon, team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0)))
    [row] = rows(owner, "job_runs").values()
    assert (row["waiting_for"], row["due_at"], row["resend_at"]) == (None, at(0), at(120))


def test_its_one_start_has_no_next_slot(owner, noon, team):
    schedule_id = team_schedule(owner, team.project_id, run_at=at(0), next_slot=at(0))
    decide(noon, schedule_id, next_slot=None)
    assert rows(owner, "job_team_schedules")[schedule_id]["next_slot"] is None


def test_a_slot_that_is_decided_keeps_its_row(owner, noon, team):
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    for seconds in (0, -60):
        insert(owner, "job_team_slots", schedule_id=schedule_id, slot=at(seconds), outcome="missed")
    decide(noon, schedule_id, missed=[at(-60)])
    assert [row[2] for row in ledger(owner)] == ["missed", "missed"]


def test_a_refusal_comes_first_and_counts(owner, noon, team):
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0), skipped=2)
    owner.run_script(f"UPDATE projects SET deleted_at = now() WHERE id = '{team.project_id}'")
    answer = decide(noon, schedule_id, refusal="no such parameter")[schedule_id]
    assert (answer["starts"], answer["reason"], answer["skipped"]) == (False, "no such parameter", 3)
    assert ledger(owner) == [[schedule_id, at(0), "skipped", "no such parameter", None]]
    assert rows(owner, "job_team_schedules")[schedule_id]["skipped"] == 3
    assert rows(owner, "job_runs") == {}


@pytest.mark.parametrize("table", ["projects", "teams"])
def test_a_deleted_project_comes_before_a_pause(owner, noon, team, table):
    insert(owner, "job_pauses", job_type=SYNC, what="type", paused_by="ada", why="move")
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    owner.run_script(f"UPDATE {table} SET deleted_at = now() WHERE '{team.id}' IN (id::text, {_team_of(table)}::text)")
    answer = decide(noon, schedule_id, provider="revenuecat")[schedule_id]
    assert (answer["reason"], answer["team_id"]) == ("the project is deleted", None)


def _team_of(table):
    return "team_id" if table == "projects" else "id"


def test_a_project_that_is_gone_takes_the_schedule_along(owner, noon, team):
    gone = team_schedule(owner, str(uuid.uuid4()), cron="@daily", next_slot=at(0))
    left = team_schedule(owner, str(uuid.uuid4()), cron="@daily", next_slot=at(0))
    kept = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    assert decide(noon, gone, kept).keys() == {kept}
    assert rows(owner, "job_team_schedules").keys() == {left, kept}
    assert [row[0] for row in ledger(owner)] == [kept]


def test_a_pause_of_the_type_comes_before_one_of_its_schedule(owner, noon, team):
    insert(owner, "job_pauses", job_type=SYNC, what="schedule", paused_by="bob", why="quiet")
    insert(owner, "job_pauses", job_type="other", what="type", paused_by="eve", why="no")
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    assert decide(noon, schedule_id, provider="revenuecat")[schedule_id]["reason"] == "paused by bob: quiet"
    insert(owner, "job_pauses", job_type=SYNC, what="type", paused_by="ada", why="move")
    assert decide(noon, schedule_id, slot=at(1))[schedule_id]["reason"] == "paused by ada: move"


def test_a_pause_of_another_type_is_none(owner, noon, team):
    insert(owner, "job_pauses", job_type="other", what="type", paused_by="eve", why="no")
    assert is_started(owner, noon, team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0)))


@pytest.mark.parametrize(
    ("columns", "starts"),
    [
        ({}, True),
        ({"config": {"enabled": True}}, True),
        ({"config": {"enabled": False}}, False),
        ({"provider": "other"}, False),
        ({"deleted_at": at(-1)}, False),
        (None, False),
    ],
    ids=str,
)
def test_a_provider_needs_an_integration_of_this_project(owner, noon, team, columns, starts):
    other = make_team(owner, slug="there")
    for project_id, given in ((other.project_id, {}), (team.project_id, columns)):
        usual = {"id": str(uuid.uuid4()), "project_id": project_id, "provider": "revenuecat", "config": {}}
        usual |= {"secret_encrypted": "", "created_at": at(-9), "updated_at": at(-9)}
        if given is not None:
            insert(owner, "project_integrations", **(usual | given))
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    answer = decide(noon, schedule_id, provider="revenuecat")[schedule_id]
    expected = None if starts else "the project has no integration with revenuecat"
    assert (answer["starts"], answer["reason"]) == (starts, expected)


@pytest.mark.parametrize(
    ("state", "columns", "starts"),
    [
        (PENDING, {}, False),
        (ENDED, {}, True),
        (PENDING, {"job_type": "other"}, True),
        (PENDING, {"project_id": str(uuid.uuid4())}, True),
    ],
)
def test_a_live_run_of_the_project_and_type_skips_it(owner, noon, team, state, columns, starts):
    there = {"team_id": team.id, "project_id": team.project_id, "job_type": SYNC}
    run_id = run(owner, state, **(there | columns))
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    assert is_started(owner, noon, schedule_id) is starts
    if not starts:
        assert ledger(owner) == [[schedule_id, at(0), "skipped", "a run of this type is live", run_id]]


def test_each_is_skipped_for_the_live_run_of_its_own_project(owner, noon, team):
    there = make_team(owner, slug="there")
    expected = {}
    for of in (team, there):
        run_id = run(owner, PENDING, team_id=of.id, project_id=of.project_id, job_type=SYNC)
        expected[team_schedule(owner, of.project_id, cron="@daily", next_slot=at(0))] = run_id
    decide(noon, *expected)
    # Both slots are noon's.
    told = owner.run_script("SELECT schedule_id::text, run_id::text FROM job_team_slots")
    assert dict(told) == expected


def test_a_refused_slot_names_no_live_run(owner, noon, team):
    run(owner, PENDING, team_id=team.id, project_id=team.project_id, job_type=SYNC)
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    decide(noon, schedule_id, refusal="r")
    assert ledger(owner)[0][3:] == ["r", None]


def test_two_that_are_due_together_start_one_run(owner, noon, team):
    first = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    second = team_schedule(owner, team.project_id, cron="@weekly", next_slot=at(0))
    answers = decide(noon, first, second)
    assert sorted(answer["starts"] for answer in answers.values()) == [False, True]
    assert {answer["reason"] for answer in answers.values()} == {None, "a run of this type is live"}
    assert len(rows(owner, "job_runs")) == 1


def test_the_starts_are_returned_in_their_order(owner, noon, team):
    projects = [team.project_id, make_team(owner, slug="there").project_id]
    late, early = (team_schedule(owner, project_id, cron="@daily", next_slot=at(0)) for project_id in projects)
    due = [
        {"id": id_, "run_id": str(uuid.uuid4()), "slot": at(0), "outcome": "started", "params": {}, "missed": []}
        | {"next_slot": at(9), "delay_s": delay_s}
        for id_, delay_s in ((late, 2), (early, 1))
    ]
    answers = noon.query("start_due_schedules", due={"schedules": due}, resend_delay_s=120)
    assert [str(answer["id"]) for answer in answers] == [early, late]


class TestMailToAdmins:
    CONTENT = {"subject": "s", "lines": ["l"]}

    def told(self, owner, noon, team):
        noon.query("mail_team_admins", team_id=team.id, content=self.CONTENT)
        return {row["recipient"]: row["content"] for row in rows(owner, "job_outbox").values()}

    def test_each_admin_and_owner_gets_it_and_no_one_else(self, owner, noon, team):
        make_team(owner, slug="there")
        told = self.told(owner, noon, team)
        assert told == dict.fromkeys(["admin@here.example", "owner@here.example"], self.CONTENT)

    @pytest.mark.parametrize("change", ["deleted_at = now()", "email = ' '"])
    def test_without_an_address_there_is_none(self, owner, noon, team, change):
        owner.run_script(f"UPDATE users SET {change} WHERE id = '{team.users['admin']}'")
        assert self.told(owner, noon, team).keys() == {"owner@here.example"}

    def test_blanks_around_an_address_are_left_out(self, owner, noon, team):
        owner.run_script(f"UPDATE users SET email = ' a@x.example ' WHERE id = '{team.users['admin']}'")
        assert self.told(owner, noon, team).keys() == {"a@x.example", "owner@here.example"}

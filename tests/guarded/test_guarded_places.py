"""The statements of places, and the pauses of teams in the statements that start runs."""

import uuid
from datetime import datetime

import pytest

from nightshift.testing.rows import make_team
from tests.guarded.test_guarded_inserts import trigger
from tests.guarded.test_guarded_schedules import decide
from tests.guarded.test_guarded_statements import claim
from tests.guarded.test_guarded_sweep import team_schedule
from tests.guarded.world_at_noon import ENDED, LEASED, PENDING, WAITING, Changes, at, insert, rows, run

CAPPED = "capped"
OTHER = str(uuid.UUID(int=1))
HELD = {**PENDING, "job_type": CAPPED, "due_at": at(50), "held_slice": 0, "held_since": at(-30)}


def place(owner, number, *, job_type=CAPPED, **columns):
    insert(owner, "job_places", **({"job_type": job_type, "place": number, "taken_until": at(0)} | columns))


def places(owner):
    found = owner.run_script("SELECT to_jsonb(job_places) FROM job_places")
    return {(row["job_type"], row["place"]): row for [row] in found}


def take(db, run_id, at_once=2, number=4):
    return db.query("take_place", job_type=CAPPED, at_once=at_once, run_id=run_id, slice=number, lease_s=30)


class TestTake:
    def test_a_free_place_is_taken_until_a_second_after_the_lease(self, owner, noon):
        place(owner, 1, taken_until=at(0.001))
        place(owner, 2)
        run_id = str(uuid.uuid4())
        changes = Changes(owner, "job_places", "place")
        assert take(noon, run_id) == [{"place": 2}]
        assert changes() == {"2": {"run_id": run_id, "slice": 4, "taken_until": at(31)}}

    def test_the_lowest_free_place_is_taken_and_only_one(self, owner, noon):
        for number in (2, 1):
            place(owner, number)
        assert take(noon, OTHER) == [{"place": 1}]

    def test_the_runs_own_place_comes_first_also_if_it_is_taken(self, owner, noon):
        place(owner, 1)
        place(owner, 2, run_id=OTHER, taken_until=at(20))
        assert take(noon, OTHER) == [{"place": 2}]

    def test_no_place_above_the_cap_is_taken(self, owner, noon):
        place(owner, 3)
        assert take(noon, OTHER) == []
        assert take(noon, OTHER, at_once=3) == [{"place": 3}]

    def test_no_place_of_another_type_is_taken(self, owner, noon):
        for number in (1, 2):
            place(owner, number, job_type="another")
        place(owner, 2)
        assert take(noon, OTHER) == [{"place": 2}]
        assert [row["run_id"] for row in places(owner).values()].count(OTHER) == 1

    def test_a_place_that_is_locked_is_passed_over(self, owner, noon):
        place(owner, 1)
        place(owner, 2)
        owner.begin()
        owner.run_script("SELECT FROM job_places WHERE place = 1 FOR UPDATE")
        assert take(noon, OTHER) == [{"place": 2}]
        owner.rollback()

    def test_missing_places_are_made(self, owner, noon):
        place(owner, 2, run_id=OTHER)
        assert noon.query("make_places", job_type=CAPPED, at_once=3) == [{"place": 1}, {"place": 3}]
        assert noon.query("make_places", job_type=CAPPED, at_once=3) == []
        assert places(owner)[CAPPED, 2]["run_id"] == OTHER


class TestClaim:
    def test_a_capped_type_needs_a_place(self, owner, noon):
        run_id = run(owner, job_type=CAPPED, held_slice=0, held_since=at(-40))
        changes = Changes(owner, "job_runs")
        [row] = claim(noon, run_id, 0, capped=["another", CAPPED])
        assert (row["needs_place"], row["held_s"], row["early_s"], changes()) == (True, 40, -60, {})
        [row] = claim(noon, run_id, 0, capped=["another"])
        assert (row["needs_place"], row["held_s"]) == (False, 0)

    def test_a_slice_that_was_not_held_has_waited_for_nothing(self, owner, noon):
        run_id = run(owner, WAITING, job_type=CAPPED, held_slice=1, held_since=at(-40), due_at=at(0))
        [row] = claim(noon, run_id, 2, capped=[CAPPED])
        assert (row["needs_place"], row["held_s"], row["early_s"]) == (True, 0, 0)

    def test_before_its_time_it_needs_none(self, owner, noon):
        [row] = claim(noon, run(owner, job_type=CAPPED, due_at=at(3)), 0, capped=[CAPPED])
        assert (row["needs_place"], row["early_s"]) == (False, 3)

    @pytest.mark.parametrize("state", [LEASED, ENDED], ids=["leased", "ended"])
    def test_one_that_cannot_be_claimed_needs_none(self, owner, noon, state):
        assert claim(noon, run(owner, state, job_type=CAPPED), 2, capped=[CAPPED]) == []

    def test_an_old_number_needs_none(self, owner, noon):
        assert claim(noon, run(owner, WAITING, job_type=CAPPED, due_at=at(-1)), 1, capped=[CAPPED]) == []


def hold(db, run_id, number=0):
    return db.query("hold_slice", run_id=run_id, slice=number, wait_s=40, waiting_for="others", resend_delay_s=120)


class TestHold:
    def test_it_is_due_later_and_its_time_limit_moves_along(self, owner, noon):
        run_id = run(owner, {**WAITING, "due_at": at(0), "resends": 3, "held_slice": 1, "held_since": at(-99)})
        run(owner)
        changes = Changes(owner, "job_runs")
        assert [str(row["id"]) for row in hold(noon, run_id, 2)] == [run_id]
        assert changes() == {
            run_id: {
                **{"due_at": at(40), "resend_at": at(160), "resends": 0, "waiting_for": "others"},
                **{"ends_by": at(6040), "held_slice": 2, "held_since": at(0)},
            }
        }

    def test_held_again_it_keeps_its_turn(self, owner, noon):
        run_id = run(owner, held_slice=0, held_since=at(-30))
        hold(noon, run_id)
        row = rows(owner, "job_runs")[run_id]
        assert (row["held_since"], row["ends_by"]) == (at(-30), None)

    @pytest.mark.parametrize(
        ("state", "number"),
        [
            (LEASED, 2),
            (ENDED, 2),
            ({**PENDING, "due_at": at(0.001)}, 0),
            (PENDING, 1),
            ({**WAITING, "due_at": at(0)}, 1),
        ],
    )
    def test_no_other_is_held(self, owner, noon, state, number):
        run_id = run(owner, state)
        changes = Changes(owner, "job_runs")
        assert hold(noon, run_id, number) == []
        assert changes() == {}


def free(db, run_id=OTHER, number=0, caps=None):
    given = {"caps": caps or {CAPPED: 1}, "run_id": run_id, "slice": number, "kept_s": 60, "resend_delay_s": 120}
    return [str(row["id"]) for row in db.query("free_place", **given)]


class TestFree:
    @pytest.fixture(autouse=True)
    def taken(self, owner, noon):
        place(owner, 1, run_id=OTHER, slice=0, taken_until=at(30))

    def test_without_held_runs_it_is_free(self, owner, noon):
        place(owner, 1, job_type="another", run_id=str(uuid.uuid4()), slice=0, taken_until=at(30))
        place(owner, 2, run_id=str(uuid.uuid4()), slice=0, taken_until=at(30))
        before = places(owner)
        assert free(noon) == []
        after = places(owner)
        row = after.pop((CAPPED, 1))
        assert after == {key: other for key, other in before.items() if key in after}
        assert (row["run_id"], row["slice"], row["taken_until"]) == (None, None, "-infinity")

    def test_the_longest_held_is_called_and_the_place_kept_for_it(self, owner, noon):
        run(owner, HELD, project_id=str(uuid.uuid4()), team_id=OTHER)
        first = run(owner, {**HELD, "held_since": at(-31), "resends": 2})
        changes = Changes(owner, "job_runs")
        assert free(noon) == [first]
        assert changes() == {first: {"due_at": at(0), "resend_at": at(120), "resends": 0}}
        [row] = places(owner).values()
        assert (row["run_id"], row["slice"]) == (first, None)
        assert datetime.fromisoformat(row["taken_until"]).isoformat() == at(60)

    @pytest.mark.parametrize(
        "columns",
        [
            {"job_type": "another"},
            {"held_since": None},
            {"held_slice": 1},
            {"due_at": at(0)},
            {**ENDED, "slice": 0},
            {**LEASED, "slice": 0},
        ],
        ids=lambda columns: next(iter(columns)),
    )
    def test_no_other_run_is_called(self, owner, noon, columns):
        run(owner, {**HELD, **columns, **({"due_at": at(50)} if "status" in columns else {})})
        assert free(noon) == []
        assert [row["run_id"] for row in places(owner).values()] == [None]

    def test_of_runs_that_are_held_equally_long_one_is_called(self, owner, noon):
        ids = sorted(run(owner, {**HELD, "project_id": str(uuid.uuid4()), "team_id": OTHER}) for _ in range(3))
        assert free(noon) == ids[:1]

    def test_one_that_another_session_holds_is_passed_over(self, owner, noon):
        first = run(owner, {**HELD, "held_since": at(-31)})
        second = run(owner, {**HELD, "project_id": str(uuid.uuid4()), "team_id": OTHER})
        owner.begin()
        owner.run_script(f"SELECT FROM job_runs WHERE id = '{first}' FOR UPDATE")
        assert free(noon) == [second]
        owner.rollback()

    @pytest.mark.parametrize("number", [None, 3])
    def test_a_run_that_has_ended_gives_up_any_place(self, owner, noon, number):
        ended = run(owner, {**ENDED, "job_type": CAPPED})
        owner.run_script(f"UPDATE job_places SET run_id = '{ended}'")
        first = run(owner, HELD)
        assert free(noon, run_id=ended, number=number) == [first]

    @pytest.mark.parametrize("state", [LEASED, PENDING], ids=["leased", "pending"])
    def test_a_run_that_has_not_ended_keeps_it(self, owner, noon, state):
        live = run(owner, {**state, "job_type": CAPPED})
        owner.run_script(f"UPDATE job_places SET run_id = '{live}'")
        run(owner, ENDED)
        changes = Changes(owner, "job_places", "place")
        assert free(noon, run_id=live, number=None) == []
        assert changes() == {}

    @pytest.mark.parametrize("caps", [{CAPPED: 0}, {"another": 1}], ids=["lowered", "taken away"])
    def test_a_place_above_the_cap_is_given_to_none(self, owner, noon, caps):
        run(owner, HELD)
        assert free(noon, caps=caps) == []
        [row] = places(owner).values()
        assert (row["run_id"], row["taken_until"]) == (None, "-infinity")

    def test_of_two_places_of_a_run_the_lower_is_given(self, owner, noon):
        place(owner, 2, run_id=OTHER, slice=0, taken_until=at(30))
        first = run(owner, HELD)
        run(owner, {**HELD, "project_id": str(uuid.uuid4()), "team_id": OTHER, "held_since": at(-10)})
        changes = Changes(owner, "job_places", "place")
        assert free(noon, caps={CAPPED: 2}) == [first]
        assert list(changes()) == ["1"]

    @pytest.mark.parametrize("given", [{"run_id": str(uuid.UUID(int=2))}, {"number": 1}, {"number": None}])
    def test_a_place_that_is_anothers_stays(self, owner, noon, given):
        run(owner, HELD)
        run(owner, {**HELD, "job_type": "another"})
        changes = Changes(owner, "job_places", "place"), Changes(owner, "job_runs")
        assert free(noon, **given) == []
        assert [each() for each in changes] == [{}, {}]


PAUSES = [
    ({}, True),
    ({"until": at(0.001)}, True),
    ({"until": at(0)}, False),
    ({"project_id": OTHER}, False),
    ({"job_type": "another"}, False),
]


@pytest.fixture
def paused(owner):
    """``paused(project_id, …)`` inserts a pause of revenuecat_sync by a team."""

    def paused(own_project_id, **columns):
        usual = {"project_id": own_project_id, "job_type": "revenuecat_sync", "paused_by": "x", "why": "move"}
        insert(owner, "job_project_pauses", **(usual | columns))

    return paused


@pytest.mark.parametrize(("columns", "is_paused"), PAUSES)
def test_a_schedule_is_skipped_under_its_teams_pause(owner, noon, paused, columns, is_paused):
    team = make_team(owner, slug="here")
    paused(team.project_id, **columns)
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    answer = decide(noon, schedule_id, provider="revenuecat" if is_paused else None)[schedule_id]
    assert answer["reason"] == ("paused by the team: move" if is_paused else None)


def test_the_operators_pause_comes_before_the_teams(owner, noon, paused):
    team = make_team(owner, slug="here")
    paused(team.project_id)
    insert(owner, "job_pauses", job_type="revenuecat_sync", what="type", paused_by="ada", why="disk")
    schedule_id = team_schedule(owner, team.project_id, cron="@daily", next_slot=at(0))
    assert decide(noon, schedule_id)[schedule_id]["reason"] == "paused by ada: disk"


@pytest.mark.parametrize(("columns", "is_paused"), PAUSES)
def test_a_trigger_is_refused_under_its_teams_pause(owner, noon, paused, columns, is_paused):
    team = make_team(owner, slug="here")
    paused(team.project_id, **columns)
    found = trigger(noon, team, job_type="revenuecat_sync")
    assert bool(found) is not is_paused

"""The statements of bulk actions, condition by condition, with the clock at noon."""

import uuid

import pytest

from tests.guarded.world_at_noon import ENDED, LEASED, PENDING, WAITING, Changes, at, days, insert, rows, run

OLD = days(90)
# An hour in which it can be confirmed, and some minutes in which the last confirmation ends.
PREVIEW_KEPT = 65 * 60
ME, ADA = "manual:user:me", "manual:user:ada"
FAILED = ENDED | {"status": "failed", "error": "x"}
CURSOR = {"cursor": {"after": 1}, "cursor_version": 3, "progress": {"processed": 1, "total": 2, "message": ""}}


def action(owner, team_id, **columns):
    action_id = str(uuid.uuid4())
    own = {
        "id": action_id,
        "team_id": team_id,
        "action": "cancel",
        "from_cursor": False,
        "asked": {},
        "created_by": ADA,
    }
    own |= {"created_at": at(-60), "confirmed_by": ME, "confirmed_at": at(-50), "ended_at": None}
    insert(owner, "job_bulk_actions", **(own | columns))
    return action_id


def item(owner, action_id, run_id, **columns):
    item_id = str(uuid.uuid4())
    own = {"id": item_id, "action_id": action_id, "run_id": run_id, "project_id": run_id, "job_type": "x"}
    insert(owner, "job_bulk_items", **(own | {"run_created_at": at(-99)} | columns))
    return item_id


def of_team(owner, team, state=PENDING, **columns):
    """Insert a run of the team's project."""
    return run(owner, state, **{"team_id": team.id, "project_id": team.project_id} | columns)


def outcome(owner, item_id):
    row = rows(owner, "job_bulk_items")[item_id]
    return row["outcome"], row["reason"]


class TestSearchForWork:
    @pytest.fixture
    def found(self, noon):
        def found():
            [row] = noon.query("find_work", now=at(0), schedules_until=at(0), retention_s=OLD)
            return [name for name in ("bulk_items", "bulk_items_old", "bulk_actions_old") if row[name]]

        return found

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({}, ["bulk_items"]),
            ({"ended_at": at(-1)}, []),
            ({"confirmed_by": None, "confirmed_at": None}, []),
            ({"confirmed_by": None, "confirmed_at": None, "created_at": at(-PREVIEW_KEPT + 0.001)}, []),
            (
                {"confirmed_by": None, "confirmed_at": None, "created_at": at(-PREVIEW_KEPT)},
                ["bulk_items_old", "bulk_actions_old"],
            ),
            ({"ended_at": at(-1), "created_at": at(-PREVIEW_KEPT)}, []),
            ({"ended_at": at(-1), "created_at": at(-OLD + 0.001)}, []),
            ({"ended_at": at(-1), "created_at": at(-OLD)}, ["bulk_items_old", "bulk_actions_old"]),
        ],
    )
    def test_an_action_at_work_and_an_old_one_are_found(self, owner, found, columns, expected):
        action(owner, str(uuid.uuid4()), **columns)
        assert found() == expected


class TestCancel:
    @pytest.fixture
    def cancel(self, noon):
        return lambda *item_ids: noon.query("cancel_bulk_items", keys=list(item_ids))

    def test_a_run_without_a_lease_ends_and_a_leased_one_is_asked(self, owner, team, cancel):
        action(owner, str(uuid.uuid4()), confirmed_by=ADA)
        action_id = action(owner, team.id)
        action(owner, str(uuid.uuid4()), confirmed_by=ADA)
        runs = [of_team(owner, team, state) for state in (PENDING, WAITING | {"waiting_for": "x"}, LEASED)]
        left = of_team(owner, team)
        items = [item(owner, action_id, run_id) for run_id in runs]
        item(owner, action_id, left)
        changes, changed_items = Changes(owner, "job_runs"), Changes(owner, "job_bulk_items")
        answers = cancel(*items)
        asked = {"cancel_requested_at": at(0), "cancel_requested_by": ME}
        ended = asked | {"status": "cancelled", "completed_at": at(0), "resend_at": None}
        assert changes() == {runs[0]: ended, runs[1]: ended | {"waiting_for": None}, runs[2]: asked}
        outcomes = ["cancelled", "cancelled", "asked"]
        assert changed_items() == {
            item_id: {"outcome": outcome, "decided_at": at(0)} for item_id, outcome in zip(items, outcomes, strict=True)
        }
        assert {(str(row["run_id"]), row["outcome"]) for row in answers} == set(zip(runs, outcomes, strict=True))

    def test_an_earlier_request_stays(self, owner, team, cancel):
        earlier = {"cancel_requested_at": at(-5), "cancel_requested_by": ADA}
        run_id = of_team(owner, team, LEASED | earlier)
        item_id = item(owner, action(owner, team.id), run_id)
        changes = Changes(owner, "job_runs")
        cancel(item_id)
        assert (changes(), outcome(owner, item_id)) == ({}, ("asked", None))

    def test_what_cannot_be_cancelled_says_why(self, owner, team, other, cancel):
        action_id = action(owner, team.id)
        theirs, ended = of_team(owner, other), of_team(owner, team, FAILED)
        moved = run(owner, PENDING, team_id=team.id, project_id=other.project_id)
        homeless = run(owner, PENDING, team_id=team.id, project_id=str(uuid.uuid4()))
        expected = {
            item(owner, action_id, str(uuid.uuid4())): "it is deleted",
            item(owner, action_id, ended): "it is failed already",
            item(owner, action_id, theirs): "its project belongs to another team",
            item(owner, action_id, moved): "its project belongs to another team",
            item(owner, action_id, homeless): "its project belongs to another team",
        }
        changes = Changes(owner, "job_runs")
        cancel(*expected)
        assert changes() == {}
        assert {item_id: outcome(owner, item_id) for item_id in expected} == {
            item_id: ("skipped", reason) for item_id, reason in expected.items()
        }

    def test_a_run_that_another_session_holds_is_left_to_do(self, owner, team, cancel):
        held, free = of_team(owner, team), of_team(owner, team)
        action_id = action(owner, team.id)
        items = [item(owner, action_id, run_id) for run_id in (held, free)]
        owner.begin()
        owner.run_script(f"SELECT FROM job_runs WHERE id = '{held}' FOR UPDATE")
        cancel(*items)
        owner.rollback()
        assert [outcome(owner, item_id) for item_id in items] == [(None, None), ("cancelled", None)]


class TestRerun:
    @pytest.fixture
    def rerun(self, noon):
        """``rerun(item_id, …, **given)``: run them again, and return the new run's id of each item."""

        def rerun(*item_ids, **given):
            items = [{"id": item_id, "run_id": str(uuid.uuid4()), "params": {"n": 1}} | given for item_id in item_ids]
            noon.query("rerun_bulk_items", due={"items": items}, resend_delay_s=120)
            return [each["run_id"] for each in items]

        return rerun

    @pytest.fixture
    def again(self, owner, team):
        """``again(run_id, **columns of the action)``: an item that runs it again."""
        return lambda run_id, **columns: item(owner, action(owner, team.id, action="rerun", **columns), run_id)

    @pytest.mark.parametrize("from_cursor", [False, True])
    def test_it_starts_a_run_as_the_old_one_was(self, owner, noon, team, again, from_cursor):
        old = of_team(owner, team, FAILED | CURSOR, notify=True, job_type="sync", params={"n": 0})
        item_id, new = again(old, from_cursor=from_cursor), str(uuid.uuid4())
        changed_items = Changes(owner, "job_bulk_items")
        due = {"items": [{"id": item_id, "run_id": new, "params": {"n": 1}}]}
        [answer] = noon.query("rerun_bulk_items", due=due, resend_delay_s=120)
        assert answer == {"job_type": "x", "outcome": "started", "run_id": new, "team_id": uuid.UUID(team.id)}
        assert changed_items() == {item_id: {"outcome": "started", "new_run_id": new, "decided_at": at(0)}}
        made = rows(owner, "job_runs")[new]
        kept = CURSOR if from_cursor else dict.fromkeys(CURSOR)
        expected = {
            "job_type": "sync", "team_id": team.id, "project_id": team.project_id, "triggered_by": ME,
            "params": {"n": 1}, "notify": True, "rerun_of": old, "resend_at": at(120), "status": "pending", "slice": 0,
        } | kept  # fmt: skip
        assert {name: made[name] for name in expected} == expected

    def test_a_deleted_run_comes_before_the_callers_refusal(self, owner, team, again, rerun):
        gone, there = again(str(uuid.uuid4())), again(of_team(owner, team, FAILED))
        rerun(gone, there, refusal="too old")
        assert (outcome(owner, gone), outcome(owner, there)) == (("skipped", "it is deleted"), ("skipped", "too old"))

    @pytest.mark.parametrize("table", ["projects", "teams"])
    def test_a_deleted_project_starts_nothing(self, owner, team, again, rerun, table):
        item_id = again(of_team(owner, team, FAILED))
        owner.run_script(f"UPDATE {table} SET deleted_at = now()")
        rerun(item_id)
        assert outcome(owner, item_id) == ("skipped", "its project is deleted")

    def test_a_project_of_another_team_starts_nothing(self, owner, team, other, again, rerun):
        item_id = again(run(owner, FAILED, team_id=team.id, project_id=other.project_id))
        rerun(item_id)
        assert outcome(owner, item_id) == ("skipped", "its project belongs to another team")

    def test_a_live_and_a_completed_run_start_nothing(self, owner, team, again, rerun):
        live, completed = again(of_team(owner, team)), of_team(owner, team, ENDED | {"status": "completed"})
        from_cursor, from_start = again(completed, from_cursor=True), again(of_team(owner, team, FAILED))
        rerun(live, from_cursor, from_start)
        assert outcome(owner, live) == ("skipped", "it is still live")
        assert outcome(owner, from_cursor) == ("skipped", "it is completed: it can be run again from the start only")
        assert outcome(owner, from_start) == ("started", None)
        from_start = again(completed)
        rerun(from_start)
        assert outcome(owner, from_start) == ("started", None)

    def test_a_failed_run_is_run_again_from_its_cursor(self, owner, team, again, rerun):
        item_id = again(of_team(owner, team, FAILED), from_cursor=True)
        rerun(item_id)
        assert outcome(owner, item_id) == ("started", None)

    def test_what_was_run_again_names_the_newest_rerun(self, owner, team, again, rerun):
        old, stranger = of_team(owner, team, FAILED), of_team(owner, team, FAILED)
        newest = of_team(owner, team, FAILED, rerun_of=old, created_at=at(-1))
        of_team(owner, team, FAILED, rerun_of=old, created_at=at(-2))
        items = again(old), again(stranger)
        rerun(*items)
        assert outcome(owner, items[0]) == ("skipped", f"it was run again already, as {newest}")
        assert outcome(owner, items[1]) == ("started", None)

    @pytest.mark.parametrize(
        ("columns", "is_in_the_way"),
        [
            ({}, True),
            ({"status": "completed", "error": None}, True),
            ({"status": "cancelled", "error": None}, True),
            ({"created_at": at(-60)}, False),
            ({"job_type": "other"}, False),
            ({"project_id": str(uuid.uuid4())}, False),
        ],
    )
    def test_a_run_that_came_since_the_preview_starts_nothing(self, owner, team, again, rerun, columns, is_in_the_way):
        old = of_team(owner, team, FAILED, job_type="sync", created_at=at(-99))
        since = of_team(owner, team, FAILED, **{"job_type": "sync", "created_at": at(-59.999)} | columns)
        item_id = again(old)
        rerun(item_id)
        in_the_way = ("skipped", f"another run of this type has ended since, {since}")
        assert outcome(owner, item_id) == (in_the_way if is_in_the_way else ("started", None))

    @pytest.mark.parametrize(
        ("columns", "is_held"), [({}, True), ({"what": "schedule"}, False), ({"job_type": "other"}, False)]
    )
    def test_a_pause_of_the_operator_starts_nothing(self, owner, team, again, rerun, columns, is_held):
        pause = {"job_type": "sync", "what": "type", "paused_by": "ada", "why": "a move", "paused_at": at(-1)}
        insert(owner, "job_pauses", **(pause | columns))
        item_id = again(of_team(owner, team, FAILED, job_type="sync"))
        rerun(item_id)
        held = ("skipped", "sync is paused by ada: a move")
        assert outcome(owner, item_id) == (held if is_held else ("started", None))

    @pytest.mark.parametrize(
        ("columns", "is_held"),
        [
            ({}, True),
            ({"until": at(0.001)}, True),
            ({"until": at(0)}, False),
            ({"job_type": "other"}, False),
            ({"project_id": str(uuid.uuid4())}, False),
        ],
    )
    def test_a_pause_of_the_team_starts_nothing(self, owner, team, again, rerun, columns, is_held):
        pause = {"project_id": team.project_id, "job_type": "sync", "paused_by": ADA, "why": "a move"}
        insert(owner, "job_project_pauses", **(pause | {"paused_at": at(-1), "until": None} | columns))
        item_id = again(of_team(owner, team, FAILED, job_type="sync"))
        rerun(item_id)
        held = ("skipped", "sync is paused by the team: a move")
        assert outcome(owner, item_id) == (held if is_held else ("started", None))

    @pytest.mark.parametrize(
        ("columns", "has_one"),
        [
            ({}, True),
            ({"config": {"enabled": True}}, True),
            ({"config": {"enabled": False}}, False),
            ({"deleted_at": at(-1)}, False),
            ({"provider": "other"}, False),
            (None, False),
        ],
    )
    def test_a_provider_needs_an_integration_of_this_project(self, owner, team, other, again, rerun, columns, has_one):
        stored = {"provider": "revenuecat", "config": {}, "secret_encrypted": "x"}
        stored |= {"created_at": at(-9), "updated_at": at(-9)}
        for project_id, more in ((other.project_id, {}), (team.project_id, columns)):
            if more is not None:
                insert(owner, "project_integrations", id=str(uuid.uuid4()), project_id=project_id, **(stored | more))
        item_id = again(of_team(owner, team, FAILED))
        rerun(item_id, provider="revenuecat")
        missing = ("skipped", "its project has no integration with revenuecat")
        assert outcome(owner, item_id) == (("started", None) if has_one else missing)

    @pytest.mark.parametrize(
        ("state", "columns", "is_in_the_way"),
        [(PENDING, {}, True), (ENDED, {}, False), (PENDING, {"job_type": "other"}, False)],
    )
    def test_a_live_run_of_its_type_starts_nothing(self, owner, team, again, rerun, state, columns, is_in_the_way):
        old = of_team(owner, team, FAILED, job_type="sync")
        live = of_team(owner, team, state, **{"job_type": "sync"} | columns)
        item_id = again(old)
        rerun(item_id)
        in_the_way = ("skipped", f"a run of this type is live, {live}")
        assert outcome(owner, item_id) == (in_the_way if is_in_the_way else ("started", None))

    def test_each_item_names_its_own_live_run(self, owner, team, again, rerun):
        live = [of_team(owner, team, job_type=job_type) for job_type in ("one", "two")]
        items = [again(of_team(owner, team, FAILED, job_type=job_type)) for job_type in ("one", "two")]
        rerun(*items)
        assert [outcome(owner, item_id)[1] for item_id in items] == [
            f"a run of this type is live, {run_id}" for run_id in live
        ]

    def test_of_several_runs_since_the_preview_one_is_named(self, owner, team, again, rerun):
        item_id = again(of_team(owner, team, FAILED, job_type="sync", created_at=at(-99)))
        for state in (FAILED, FAILED, ENDED):
            of_team(owner, team, state, job_type="sync", created_at=at(-1))
        rerun(item_id)
        assert outcome(owner, item_id)[1].startswith("another run of this type has ended since, ")

    def test_a_live_run_of_another_project_is_not_in_the_way(self, owner, team, other, again, rerun):
        of_team(owner, other, job_type="sync")
        item_id = again(of_team(owner, team, FAILED, job_type="sync"))
        rerun(item_id)
        assert outcome(owner, item_id) == ("started", None)

    def test_of_two_of_a_project_and_type_one_starts(self, owner, team, again, rerun):
        items = [again(of_team(owner, team, FAILED, job_type="sync")) for _ in range(2)]
        rerun(*items)
        assert sorted(outcome(owner, item_id) for item_id in items) == [
            ("skipped", "a run of this type is live"), ("started", None),
        ]  # fmt: skip

    def test_of_two_items_of_one_run_one_starts(self, owner, team, again, rerun):
        old = of_team(owner, team, FAILED)
        items = [again(old) for _ in range(2)]
        rerun(*items)
        assert sorted(outcome(owner, item_id) for item_id in items) == [
            ("skipped", "a run of this type is live"), ("started", None),
        ]  # fmt: skip

    def test_a_refused_item_names_no_live_run(self, owner, team, again, rerun):
        old = of_team(owner, team, FAILED, job_type="sync")
        of_team(owner, team, job_type="sync")
        item_id = again(old)
        rerun(item_id, refusal="too old")
        assert outcome(owner, item_id) == ("skipped", "too old")


def test_no_run_is_started_twice_by_bulk_actions(owner, team):
    old = str(uuid.uuid4())
    for _ in range(2):
        started = {"outcome": "started", "decided_at": at(0), "new_run_id": str(uuid.uuid4())}
        if rows(owner, "job_bulk_items"):
            with pytest.raises(Exception, match="job_bulk_items_once"):
                item(owner, action(owner, team.id), old, **started)
        else:
            item(owner, action(owner, team.id), old, **started)

"""The exact changes of each statement of a run's protocol, by column and time, and the rows that it does not touch."""

import json

import pytest

from nightshift.testing.rows import make_team
from tests.guarded.world_at_noon import (
    ENDED,
    LEASED,
    PENDING,
    WAITING,
    Changes,
    at,
    rows,
    run,
    slice_over,
    the_real_time,
)
from tests.support.world import NO_LINES

DAY = 86_400
MOVED = {"done": 2}
PROGRESS = {"total": 9, "message": "", "processed": 4}


def claim(db, run_id, number, lease_s=30, longest=None, capped=()):
    return db.query(
        "claim_slice", run_id=run_id, slice=number, capped=list(capped), lease_s=lease_s, request_id="r",
        max_durations=json.dumps(longest or {}), max_duration_s=DAY,
    )  # fmt: skip


class TestClaim:
    FIRST = {
        **{"status": "running", "started_at": at(0), "lease_expires_at": at(30), "resend_at": None},
        **{"resends": 0, "waiting_for": None, "request_id": "r", "slice_started_at": at(0)},
    }

    @pytest.mark.parametrize(("longest", "ends_by"), [({"own": 3600}, at(3600)), ({"another": 3600}, at(DAY))])
    def test_the_first_one_starts_the_run_and_its_time(self, owner, noon, longest, ends_by):
        run_id = run(owner, job_type="own", resends=3, waiting_for="a reason", due_at=at(-5))
        run(owner, resends=3)
        changes = Changes(owner, "job_runs")
        [row] = claim(noon, run_id, 0, longest=longest)
        assert changes() == {run_id: {**self.FIRST, "ends_by": ends_by}}
        assert (row["early_s"], row["left_s"]) == (-5, 3600 if ends_by == at(3600) else DAY)

    def test_a_later_one_keeps_the_start_and_the_time(self, owner, noon):
        run_id = run(owner, WAITING, due_at=at(0), abandoned_because="the last one had no connection")
        run(owner, WAITING)
        changes = Changes(owner, "job_runs")
        [row] = claim(noon, run_id, 2)
        held = {"lease_expires_at": at(30), "resend_at": None, "abandoned_because": None}
        assert changes() == {run_id: {**held, "request_id": "r", "slice_started_at": at(0)}}
        assert (row["early_s"], row["left_s"]) == (0, 6000)
        assert rows(owner, "job_slices", "run_id") == {}

    @pytest.mark.parametrize("state", [PENDING, WAITING], ids=["pending", "running"])
    def test_before_its_time_it_says_how_early_it_is(self, owner, noon, state):
        number = state.get("slice", 0)
        run_id = run(owner, state, due_at=at(30.5))
        run(owner, state, due_at=at(30.5))
        changes = Changes(owner, "job_runs")
        [row] = claim(noon, run_id, number)
        assert (str(row["id"]), row["early_s"], row["left_s"]) == (run_id, 30.5, 0)
        assert changes() == {}

    @pytest.mark.parametrize("due_at", [at(-60), at(0), at(60)], ids=["over", "due", "early"])
    @pytest.mark.parametrize(
        ("state", "number"),
        [
            ({**WAITING}, 1),
            ({**WAITING}, 3),
            ({**LEASED}, 2),
            ({**LEASED, "lease_expires_at": at(-1)}, 2),
            ({**ENDED}, 2),
        ],
        ids=["old number", "number to come", "leased", "lease over", "ended"],
    )
    def test_it_finds_nothing(self, owner, noon, state, number, due_at):
        run_id = run(owner, state, due_at=due_at)
        changes = Changes(owner, "job_runs")
        assert claim(noon, run_id, number) == []
        assert changes() == {}

    @pytest.mark.parametrize("ends_by", [at(0), at(-1)])
    def test_it_finds_no_run_whose_time_is_over(self, owner, noon, ends_by):
        run_id = run(owner, WAITING, ends_by=ends_by)
        assert claim(noon, run_id, 2) == []


def save(db, run_id, number, cursor, **lines):
    return db.query(
        "save_progress", run_id=run_id, slice=number, cursor=cursor and json.dumps(cursor), cursor_version=5,
        progress=json.dumps(PROGRESS), **(NO_LINES | lines),
    )  # fmt: skip


class TestYield:
    STEP = {"cursor_version": 5, "progress": PROGRESS, "last_step_at": at(0)}
    COUNTS = {"lost_slices": 2, "failed_attempts": {"job": 1}, "cursor": {"done": 1}}

    def test_a_cursor_that_moved_sets_the_counts_back(self, owner, noon):
        run_id = run(owner, LEASED, **self.COUNTS, lost_in_total=4)
        run(owner, LEASED, **self.COUNTS)
        changes = Changes(owner, "job_runs")
        assert save(noon, run_id, 2, MOVED) == [{"cancel_requested": False, "failed_attempts": {}, "log_trouble": None}]
        assert changes() == {run_id: {**self.STEP, "cursor": MOVED, "lost_slices": 0, "failed_attempts": {}}}

    @pytest.mark.parametrize(("before", "after"), [(None, MOVED), (MOVED, None)])
    def test_a_first_cursor_and_none_again_have_moved(self, owner, noon, before, after):
        run_id = run(owner, LEASED, **self.COUNTS | {"cursor": before})
        changes = Changes(owner, "job_runs")
        save(noon, run_id, 2, after)
        assert changes() == {run_id: {**self.STEP, "cursor": after, "lost_slices": 0, "failed_attempts": {}}}

    def test_a_cursor_that_stayed_leaves_the_counts(self, owner, noon):
        run_id = run(owner, LEASED, **self.COUNTS, cancel_requested_at=at(-1))
        changes = Changes(owner, "job_runs")
        assert save(noon, run_id, 2, {"done": 1}) == [
            {"cancel_requested": True, "failed_attempts": {"job": 1}, "log_trouble": None}
        ]
        assert changes() == {run_id: self.STEP}

    @pytest.mark.parametrize(("state", "number"), [(LEASED, 1), (LEASED, 3), (ENDED, 2)])
    def test_it_is_fenced(self, owner, noon, state, number):
        run_id = run(owner, state)
        changes = Changes(owner, "job_runs")
        assert save(noon, run_id, number, MOVED) == []
        assert changes() == {}


def end_slice(db, run_id, number, **given):
    without = {
        **{"has_checkpoint": False, "cursor": None, "cursor_version": 5, "progress": None, "wait_s": 40.5},
        **{"outcome": "waiting", "reason": "a quota", "waiting_for": "the quota", "failed_as": None},
        **NO_LINES,
    }
    return db.query(
        "end_slice", run_id=run_id, slice=number, max_delay_s=900, resend_delay_s=120, **(without | given)
    )  # fmt: skip


class TestSliceEnd:
    OVER = {
        **{"slice": 3, "lease_expires_at": None, "resends": 0, "waiting_for": "the quota"},
        **{"due_at": at(40.5), "resend_at": at(160.5), "request_id": None, "slice_started_at": None},
    }
    STORED = {
        **{"lost_slices": 2, "failed_attempts": {"job": 1, "busy": 2}, "cursor": {"done": 1}, "cursor_version": 4},
        **{"progress": {"total": 9, "message": "", "processed": 1}, "resends": 3},
    }

    @pytest.fixture
    def run_id(self, owner):
        run(owner, LEASED, **self.STORED, request_id="other")
        return run(owner, LEASED, **self.STORED)

    @pytest.mark.parametrize("cursor", [None, {"done": 1}, MOVED])
    def test_without_a_checkpoint_nothing_moves(self, owner, noon, run_id, cursor):
        changes = Changes(owner, "job_runs")
        cursor, progress = cursor and json.dumps(cursor), json.dumps(PROGRESS)
        [row] = end_slice(noon, run_id, 2, cursor=cursor, progress=progress)
        assert changes() == {run_id: self.OVER}
        assert (str(row["id"]), row["slice"], row["team_id"]) == (run_id, 3, None)

    @pytest.mark.parametrize(("before", "after"), [(None, MOVED), (MOVED, None)])
    def test_a_first_checkpoint_and_none_again_have_moved(self, owner, noon, before, after):
        run_id = run(owner, LEASED, **self.STORED | {"cursor": before, "cursor_version": 5})
        changes = Changes(owner, "job_runs")
        end_slice(noon, run_id, 2, has_checkpoint=True, cursor=after and json.dumps(after))
        assert changes() == {run_id: {**self.OVER, "cursor": after, "lost_slices": 0, "failed_attempts": {}}}

    def test_a_checkpoint_that_moved_sets_the_counts_back(self, owner, noon, run_id):
        changes = Changes(owner, "job_runs")
        end_slice(noon, run_id, 2, has_checkpoint=True, cursor=json.dumps(MOVED), progress=json.dumps(PROGRESS))
        checkpoint = {"cursor": MOVED, "cursor_version": 5, "progress": PROGRESS}
        assert changes() == {run_id: {**self.OVER, **checkpoint, "lost_slices": 0, "failed_attempts": {}}}

    def test_a_checkpoint_that_stayed_leaves_counts_and_progress(self, owner, noon, run_id):
        changes = Changes(owner, "job_runs")
        end_slice(noon, run_id, 2, has_checkpoint=True, cursor=json.dumps({"done": 1}))
        assert changes() == {run_id: {**self.OVER, "cursor_version": 5}}

    @pytest.mark.parametrize(("policy", "counted"), [("busy", {"job": 1, "busy": 3}), ("misfit", {"misfit": 1})])
    def test_a_failure_is_counted_by_its_policy(self, owner, noon, run_id, policy, counted):
        changes = Changes(owner, "job_runs")
        moved = {"has_checkpoint": True, "cursor": json.dumps(MOVED), "cursor_version": 4}
        end_slice(noon, run_id, 2, failed_as=policy, **(moved if policy == "busy" else {}))
        assert changes()[run_id]["failed_attempts"] == {**self.STORED["failed_attempts"], **counted}

    @pytest.mark.parametrize(("wait_s", "resend_at"), [(900, at(1020)), (900.001, at(900.001)), (0, at(120))])
    def test_the_sweep_sends_what_sqs_cannot_delay(self, owner, noon, run_id, wait_s, resend_at):
        changes = Changes(owner, "job_runs")
        end_slice(noon, run_id, 2, wait_s=wait_s)
        assert changes()[run_id]["resend_at"] == resend_at

    @pytest.mark.parametrize(
        ("checkpoint", "processed"),
        [({}, 1), ({"has_checkpoint": True, "progress": json.dumps(PROGRESS)}, 4)],
        ids=["stored", "of the wait"],
    )
    def test_it_records_its_slice(self, owner, noon, run_id, checkpoint, processed):
        slice_over(owner, run_id, 1, request_id="before")
        timeline = Changes(owner, "job_slices", "request_id")
        with the_real_time(owner) as is_within:
            end_slice(noon, run_id, 2, **checkpoint)
        [(request_id, recorded)] = timeline().items()
        assert request_id == "r"
        assert is_within(recorded.pop("ended_at"))
        own = {"run_id": run_id, "slice": 2, "request_id": "r", "started_at": at(-30)}
        assert recorded == {**own, "outcome": "waiting", "reason": "a quota", "wait_s": 41, "processed": processed}

    @pytest.mark.parametrize(
        ("state", "number"),
        [(LEASED, 1), (LEASED, 3), (ENDED, 2), ({**LEASED, "cancel_requested_at": at(-1)}, 2)],
        ids=["old number", "number to come", "ended", "cancel asked for"],
    )
    def test_it_is_fenced(self, owner, noon, state, number):
        run_id = run(owner, state)
        changes = Changes(owner, "job_runs")
        for failed_as in (None, "job"):
            assert end_slice(noon, run_id, number, failed_as=failed_as) == []
        assert (changes(), rows(owner, "job_slices", "run_id")) == ({}, {})


def end_run(db, run_id, number, status, result=None, error=None, **lines):
    return db.query(
        "end_run", run_id=run_id, slice=number, status=status, result=result, error=error, **(NO_LINES | lines)
    )


class TestEnding:
    OVER = {"completed_at": at(0), "lease_expires_at": None, "waiting_for": None}
    STORED = {"progress": {"total": 9, "message": "", "processed": 1}, "waiting_for": "a quota"}

    @pytest.mark.parametrize(
        ("status", "result", "error", "progress"),
        [
            ("completed", {"made": 1}, None, {"progress": {"total": 9, "message": "", "processed": 9}}),
            ("failed", None, "a reason", {}),
            ("cancelled", None, None, {}),
        ],
    )
    def test_it_writes_the_outcome_and_leaves_no_claim(self, owner, noon, status, result, error, progress):
        run_id = run(owner, LEASED, **self.STORED)
        run(owner, LEASED, **self.STORED)
        changes = Changes(owner, "job_runs")
        [row] = end_run(noon, run_id, 2, status, result and json.dumps(result), error)
        assert str(row["id"]) == run_id
        given = {name: value for name, value in (("result", result), ("error", error)) if value}
        assert changes() == {run_id: {**self.OVER, **progress, **given, "status": status}}
        assert rows(owner, "job_slices", "run_id") == {}

    def test_a_message_that_waits_goes_with_it(self, owner, noon):
        run_id = run(owner, WAITING)
        end_run(noon, run_id, 2, "cancelled")
        assert owner.run_script("SELECT resend_at FROM job_runs") == [[None]]

    @pytest.mark.parametrize(("status", "ends"), [("completed", 0), ("failed", 0), ("cancelled", 1)])
    def test_a_cancel_that_was_asked_for_lets_it_end_in_no_other_way(self, owner, noon, status, ends):
        run_id = run(owner, LEASED, cancel_requested_at=at(-1))
        assert len(end_run(noon, run_id, 2, status, error="e" if status == "failed" else None)) == ends

    def test_it_says_whether_it_may_owe_a_mail_or_an_event(self, owner, noon):
        team = make_team(owner)
        of_a_team = {"team_id": team.id, "project_id": team.project_id}

        def announces(**columns):
            [row] = end_run(noon, run(owner, LEASED, **columns), 2, "cancelled")
            return row["announces"]

        assert [announces(), announces(**of_a_team, notify=True), announces(**of_a_team)] == [True, True, False]
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        assert announces(**of_a_team)

    @pytest.mark.parametrize(("state", "number"), [(LEASED, 1), (LEASED, 3), (ENDED, 2)])
    def test_it_is_fenced(self, owner, noon, state, number):
        run_id = run(owner, state)
        changes = Changes(owner, "job_runs")
        assert end_run(noon, run_id, number, "cancelled") == []
        assert changes() == {}


class TestCancel:
    @pytest.mark.parametrize("state", [PENDING, WAITING], ids=["pending", "waiting"])
    def test_it_ends_a_run_that_no_worker_holds(self, owner, noon, state):
        run_id = run(owner, state, waiting_for="a quota")
        run(owner, state)
        changes = Changes(owner, "job_runs")
        assert noon.query("cancel_run", run_id=run_id, requested_by="ada") == [{"status": "cancelled"}]
        asked = {"cancel_requested_at": at(0), "cancel_requested_by": "ada"}
        ended = {"status": "cancelled", "completed_at": at(0), "resend_at": None, "waiting_for": None}
        assert changes() == {run_id: {**asked, **ended}}

    @pytest.mark.parametrize("lease_expires_at", [at(60), at(-60)], ids=["held", "lease over"])
    def test_it_leaves_a_request_for_the_lease_holder(self, owner, noon, lease_expires_at):
        run_id = run(owner, LEASED, lease_expires_at=lease_expires_at)
        changes = Changes(owner, "job_runs")
        assert noon.query("cancel_run", run_id=run_id, requested_by="ada") == [{"status": "running"}]
        assert changes() == {run_id: {"cancel_requested_at": at(0), "cancel_requested_by": "ada"}}

    def test_the_first_request_stands(self, owner, noon):
        run_id = run(owner, LEASED, cancel_requested_at=at(-9), cancel_requested_by="bob")
        changes = Changes(owner, "job_runs")
        assert noon.query("cancel_run", run_id=run_id, requested_by="ada") == [{"status": "running"}]
        assert changes() == {}

    def test_an_ended_run_stays_as_it_is(self, owner, noon):
        run_id = run(owner, ENDED)
        changes = Changes(owner, "job_runs")
        assert noon.query("cancel_run", run_id=run_id, requested_by="ada") == []
        assert changes() == {}


class TestQuestionsOfALeaseHolder:
    @pytest.mark.parametrize(
        ("state", "number", "cancelled"),
        [
            (LEASED, 2, False),
            ({**LEASED, "cancel_requested_at": at(-1)}, 2, True),
            (LEASED, 1, True),
            (ENDED, 2, True),
            (PENDING, 0, False),
        ],
        ids=["its own", "cancel asked for", "lost", "ended", "pending"],
    )
    def test_whether_to_stop(self, owner, noon, state, number, cancelled):
        run_id = run(owner, state)
        run(owner, LEASED, cancel_requested_at=at(-1))
        run(owner, LEASED)
        assert noon.query("is_cancelled", run_id=run_id, slice=number) == [{"cancelled": cancelled}]

    def note(self, noon, run_id, number):
        noon.query("note_slice", run_id=run_id, slice=number, reason="no connection")

    def test_a_note_goes_to_the_run_while_its_own_slice_is_open(self, owner, noon):
        run_id, waiting, ended = run(owner, LEASED), run(owner, WAITING), run(owner, ENDED)
        run(owner, LEASED)
        changes = Changes(owner, "job_runs")
        for one, number in ((run_id, 1), (run_id, 3), (waiting, 2), (ended, 2)):
            self.note(noon, one, number)
        assert changes() == {}
        self.note(noon, run_id, 2)
        assert changes() == {run_id: {"abandoned_because": "no connection"}}

    def test_a_note_does_not_wait_for_the_session_that_holds_the_run(self, owner, noon):
        run_id = run(owner, LEASED)
        changes = Changes(owner, "job_runs")
        owner.begin()
        owner.run_script(f"SELECT FROM job_runs WHERE id = '{run_id}' FOR NO KEY UPDATE")
        self.note(noon, run_id, 2)
        owner.rollback()
        assert changes() == {}

    @pytest.mark.parametrize(
        ("lease_s", "limit_s", "timeout"), [(60, 20, "20s"), (10, 7, "7s"), (3.0625, 0.0625, "62ms"), (2, -1, "1ms")]
    )
    def test_how_long_a_statement_of_its_own_may_take(self, owner, noon, lease_s, limit_s, timeout):
        run_id = run(owner, LEASED, lease_expires_at=at(lease_s))
        run(owner, LEASED)
        [held] = noon.query("stay_within_lease", run_id=run_id, slice=2, kept_back_s=3, longest_s=20)
        assert (held["cancel_requested"], held["limit_s"]) == (False, limit_s)
        assert noon.run_script("SHOW statement_timeout") == [[timeout]]

    @pytest.mark.parametrize(
        ("state", "number", "found"),
        [
            ({**LEASED, "cancel_requested_at": at(-1)}, 2, [True]),
            (LEASED, 1, []),
            (WAITING, 2, []),
            (PENDING, 0, []),
            (ENDED, 2, []),
        ],
    )
    def test_a_statement_of_its_own_is_fenced(self, owner, noon, state, number, found):
        run_id = run(owner, state)
        held = noon.query("stay_within_lease", run_id=run_id, slice=number, kept_back_s=3, longest_s=20)
        assert [row["cancel_requested"] for row in held] == found


class TestLines:
    """Each statement of a worker stores the lines of the job, under its fence."""

    LINES = json.dumps([{"at": "2026-01-02T03:04:05.678Z", "level": "info", "message": "é"}], ensure_ascii=False)
    STATEMENTS = {
        "a yield": lambda db, run_id, number, lines: save(db, run_id, number, MOVED, **lines),
        "the end of a slice": lambda db, run_id, number, lines: end_slice(db, run_id, number, **lines),
        "the end of the run": lambda db, run_id, number, lines: end_run(db, run_id, number, "cancelled", **lines),
    }

    def stored(self, owner):
        return owner.run_script(
            "SELECT run_id::text, last_line, team_id::text, slice, bytes, lines FROM job_run_logs"
            " ORDER BY run_id, last_line"
        )

    @pytest.mark.parametrize("name", STATEMENTS)
    @pytest.mark.parametrize("before", [None, 7])
    def test_they_follow_the_lines_before(self, owner, noon, team, name, before):
        run_id = run(owner, LEASED, team_id=team.id, project_id=team.project_id, logged_lines=before)
        lines = {"lines": self.LINES, "logged": 3, "kept_lines": 1_000}
        [row] = self.STATEMENTS[name](noon, run_id, 2, lines)
        last = (before or 0) + 3
        assert row["log_trouble"] is None
        assert rows(owner, "job_runs", "id")[run_id]["logged_lines"] == last
        size = len(self.LINES.encode()) + 100
        assert self.stored(owner) == [[run_id, last, team.id, 2, size, json.loads(self.LINES)]]

    @pytest.mark.parametrize("name", STATEMENTS)
    def test_without_lines_nothing_is_written(self, owner, noon, name):
        # Of a run that has logged nothing, the number stays null: the sweep does not look for its lines.
        for before in (7, None):
            run_id = run(owner, LEASED, logged_lines=before, job_type=f"logs {before}")
            [row] = self.STATEMENTS[name](noon, run_id, 2, NO_LINES)
            assert row["log_trouble"] is None
            assert rows(owner, "job_runs", "id")[run_id]["logged_lines"] == before
        assert self.stored(owner) == []

    @pytest.mark.parametrize("name", STATEMENTS)
    def test_a_stale_worker_neither_stores_nor_forgets(self, owner, noon, name):
        run_id = run(owner, LEASED, logged_lines=1)
        save(noon, run_id, 2, MOVED, lines=self.LINES, logged=1, kept_lines=1)
        before = self.stored(owner)
        lines = {"lines": self.LINES, "logged": 9, "kept_lines": 1}
        assert self.STATEMENTS[name](noon, run_id, 1, lines) == []
        assert self.stored(owner) == before

    def test_the_oldest_beyond_the_last_ones_go_and_those_of_other_runs_stay(self, owner, noon):
        run_id, other = run(owner, LEASED), run(owner, LEASED, job_type="other")
        for each in (other, run_id):
            for _ in range(3):
                save(noon, each, 2, MOVED, lines=self.LINES, logged=10, kept_lines=10 if each == run_id else 1_000)
        assert [row[1] for row in self.stored(owner) if row[0] == run_id] == [30]
        assert [row[1] for row in self.stored(owner) if row[0] == other] == [10, 20, 30]

    def test_lines_that_are_no_json_leave_the_step_as_it_is(self, owner, noon):
        run_id = run(owner, LEASED)
        [row] = save(noon, run_id, 2, MOVED, lines="[", logged=1, kept_lines=10)
        assert "json" in row["log_trouble"]
        assert rows(owner, "job_runs", "id")[run_id]["cursor"] == MOVED
        assert self.stored(owner) == []

    def test_they_go_with_their_run_alone(self, owner, noon):
        run_id, other = run(owner, LEASED), run(owner, LEASED, job_type="other")
        for each in (run_id, other):
            save(noon, each, 2, MOVED, lines=self.LINES, logged=1, kept_lines=10)
        owner.run_script(f"DELETE FROM job_runs WHERE id = '{run_id}'")
        assert [row[0] for row in self.stored(owner)] == [other]

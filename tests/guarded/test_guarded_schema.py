"""Which rows the tables accept, and which constraint or index refuses the others."""

import uuid

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.testing.rows import make_team
from tests.guarded.world_at_noon import (
    ENDED,
    LEASED,
    PENDING,
    SENT,
    SLICE,
    WAITING,
    at,
    days,
    insert,
    notice,
    run,
    slice_over,
)

COMPLETED = {**ENDED, "status": "completed"}
FAILED = {**ENDED, "status": "failed", "error": "e"}


def refused_by(owner, table, **columns):
    """Return the constraint or index that the row violates, or None if the table accepts it."""
    try:
        insert(owner, table, **columns)
    except DatabaseError as exc:
        return exc.args[0]["n"]
    return None


def progress(processed, total):
    return {"progress": {"processed": processed, "total": total, "message": ""}}


class TestRuns:
    @pytest.mark.parametrize(
        ("constraint", "refused"),
        [
            ("known_status", [{**ENDED, "status": "done"}]),
            ("scope_is_whole", [{**PENDING, "team_id": "a team"}]),
            (
                "live_is_leased_or_resent",
                [
                    {**PENDING, "resend_at": None},
                    {**WAITING, "resend_at": None},
                    {**LEASED, "resend_at": at(60)},
                    {**ENDED, "resend_at": at(60)},
                    {**ENDED, **SLICE, "lease_expires_at": at(60)},
                ],
            ),
            (
                "cancel_waits_only_for_a_lease",
                [{**PENDING, "cancel_requested_at": at(-1)}, {**WAITING, "cancel_requested_at": at(-1)}],
            ),
            (
                "pending_has_not_started",
                [
                    {**PENDING, "started_at": at(-1)},
                    {**PENDING, **SLICE, "lease_expires_at": at(60), "resend_at": None},
                ],
            ),
            ("leased_has_a_slice", [{**LEASED, "request_id": None, "slice_started_at": None}]),
            (
                "slice_has_a_start",
                [
                    *({**state, "slice_started_at": None} for state in (LEASED, {**ENDED, **SLICE})),
                    *({**state, "slice_started_at": at(-1)} for state in (PENDING, WAITING, ENDED)),
                ],
            ),
            ("running_has_started", [{**WAITING, "started_at": None}]),
            (
                "ended_has_a_time",
                [
                    {**ENDED, "completed_at": None},
                    {**PENDING, "completed_at": at(-1)},
                    {**WAITING, "completed_at": at(-1)},
                ],
            ),
            ("failed_has_an_error", [{**FAILED, "error": None}, {**ENDED, "error": "e"}, {**PENDING, "error": "e"}]),
            ("only_completed_has_a_result", [{**FAILED, "result": {"a": 1}}, {**LEASED, "result": {"a": 1}}]),
            ("progress_is_within_total", [{**LEASED, **progress(-1, 2)}, {**LEASED, **progress(3, 2)}]),
            ("completed_is_all_processed", [{**COMPLETED, **progress(1, 2)}]),
            ("idempotency_is_whole", [{"idempotency_key": "\\x00"}, {"request_hash": "\\x00"}]),
        ],
    )
    def test_what_is_impossible_is_refused(self, owner, constraint, refused):
        team = make_team(owner)
        for columns in refused:
            columns = {**PENDING, "id": str(uuid.uuid4()), "job_type": "t", "triggered_by": "x", **columns}
            if "team_id" in columns:
                columns["team_id"] = team.id
            assert refused_by(owner, "job_runs", **columns) == constraint

    def test_what_is_possible_is_taken(self, owner):
        team = make_team(owner)
        for columns in (
            *(PENDING, WAITING, LEASED, ENDED, COMPLETED, FAILED),
            *({**LEASED, "cancel_requested_at": at(-1)}, {**ENDED, "cancel_requested_at": at(-1)}),
            *({**ENDED, **SLICE}, {**LEASED, "abandoned_because": "no connection"}),
            *({**COMPLETED, "result": {"a": 1}}, {**COMPLETED, **progress(2, 2)}, {**COMPLETED, **progress(0, 0)}),
            *({**LEASED, **progress(0, 2)}, {**LEASED, **progress(2, 2)}, {**FAILED, **progress(1, 2)}),
            {**PENDING, "team_id": team.id, "project_id": team.project_id},
            {**PENDING, "team_id": str(uuid.uuid4()), "project_id": str(uuid.uuid4())},
            {**PENDING, "idempotency_key": "\\x00", "request_hash": "\\x00"},
        ):
            run(owner, columns)

    def test_its_id_is_its_own(self, owner):
        run_id = run(owner)
        assert refused_by(owner, "job_runs", **PENDING, id=run_id, job_type="t", triggered_by="x") == "job_runs_pkey"

    @pytest.mark.parametrize("live", [PENDING, LEASED], ids=["pending", "running"])
    def test_one_of_a_type_is_live_for_a_project_and_for_the_system(self, owner, live):
        teams = [make_team(owner, slug=slug) for slug in ("one", "two")]
        scopes = [{}, *({"team_id": team.id, "project_id": team.project_id} for team in teams)]
        for name in ("one", "two"):
            for scope in scopes:
                run(owner, ENDED, job_type=name, **scope)
                run(owner, live, job_type=name, **scope)
                run(owner, ENDED, job_type=name, **scope)
                for second in (PENDING, WAITING):
                    columns = {**second, "id": str(uuid.uuid4()), "job_type": name, "triggered_by": "x", **scope}
                    assert refused_by(owner, "job_runs", **columns) == "job_runs_one_live"

    def test_a_key_names_one_run(self, owner):
        key = {"idempotency_key": "\\x00", "request_hash": "\\x00"}
        run(owner, ENDED, **key)
        run(owner)
        columns = {**PENDING, "id": str(uuid.uuid4()), "job_type": "t", "triggered_by": "x", **key}
        assert refused_by(owner, "job_runs", **columns) == "job_runs_idempotency"


class TestSlices:
    def test_each_number_of_a_run_comes_once_and_ends_with_an_outcome(self, owner):
        one, two = run(owner), run(owner)
        for number, outcome in enumerate(("continued", "waiting", "retrying", "lost")):
            slice_over(owner, one, number, outcome=outcome)
        slice_over(owner, two, 0)
        slice_over(owner, str(uuid.uuid4()))
        own = {"run_id": two, "slice": 9, "request_id": "r", "started_at": at(0), "outcome": "lost"}
        assert refused_by(owner, "job_slices", **own | {"slice": 0}) == "job_slices_pkey"
        for outcome in ("done", "completed", "failed", "cancelled"):
            assert refused_by(owner, "job_slices", **own | {"outcome": outcome}) == "job_slices_outcome_check"

    @pytest.mark.parametrize("column", ["run_id", "slice", "request_id", "started_at", "ended_at", "outcome"])
    def test_each_says_when_it_was_and_how_it_ended(self, owner, column):
        whole = {"run_id": run(owner), "slice": 0, "request_id": "r", "started_at": at(-1), "outcome": "lost"}
        with pytest.raises(DatabaseError) as refusal:
            insert(owner, "job_slices", **whole | {column: None})
        assert (refusal.value.args[0]["C"], refusal.value.args[0]["c"]) == ("23502", column)


class TestOutbox:
    @pytest.fixture
    def run_id(self, owner):
        return run(owner, ENDED)

    def test_what_is_impossible_is_refused(self, owner, run_id):
        alert, mail = {"content": {"subject": "s"}}, {"run_id": run_id}
        digest, recipient = {"takes_more": True, "team_id": str(uuid.uuid4())}, {"recipient": "a@x"}
        for constraint, columns in (
            ("job_outbox_kind_check", {**alert, "kind": "fax"}),
            ("known_status", {**alert, **SENT, "status": "lost"}),
            ("is_about_something", {"recipient": "a@x"}),
            ("is_about_something", {**alert, **mail}),
            ("event_is_of_a_run", {**alert, "kind": "event"}),
            ("event_is_of_a_run", {**mail, **recipient, "kind": "event"}),
            ("unsent_is_sent_some_time", {**alert, "send_at": None}),
            ("unsent_is_sent_some_time", {**alert, **SENT, "send_at": at(0)}),
            ("ended_has_a_time", {**alert, **SENT, "ended_at": None}),
            ("ended_has_a_time", {**alert, "ended_at": at(0)}),
            ("failed_has_an_error", {**alert, **SENT, "status": "failed"}),
            ("digested_has_a_digest", {**alert, **SENT, "status": "digested"}),
            ("digested_has_a_digest", {**alert, "digest_id": str(uuid.uuid4())}),
            ("digest_is_of_a_team", {**alert, **digest}),
            ("digest_is_of_a_team", {**alert, **recipient, "takes_more": True}),
            ("job_outbox_run_id_fkey", {"run_id": str(uuid.uuid4())}),
        ):
            assert refused_by(owner, "job_outbox", **columns) == constraint, columns

    def test_what_is_possible_is_taken(self, owner, run_id):
        team = {"team_id": str(uuid.uuid4()), "recipient": "a@x"}
        for columns in (
            *({}, SENT, {**SENT, "status": "unwanted"}, {**SENT, "status": "failed", "error": "e"}),
            *({**SENT, "status": "digested", "digest_id": str(uuid.uuid4())}, {"recipient": "a@x"}),
            *({"run_id": run_id, "kind": "event"}, {"run_id": run_id}, {"run_id": run_id, "recipient": "a@x"}),
            *({**team, "takes_more": True}, team),
        ):
            notice(owner, **columns)

    def test_each_person_has_one_mail_of_a_run_and_each_run_one_event(self, owner, run_id):
        other = run(owner, ENDED)
        for columns in ({}, {"recipient": "a@x"}, {"recipient": "b@x"}, {"kind": "event"}):
            for each in (run_id, other):
                notice(owner, run_id=each, **columns)
            assert refused_by(owner, "job_outbox", run_id=run_id, **columns) == "job_outbox_once"
        for _ in range(2):
            notice(owner)  # alerts have no run

    def test_each_person_has_one_digest_of_a_team_that_waits(self, owner):
        teams = [str(uuid.uuid4()) for _ in range(2)]
        for team_id in teams:
            for recipient in ("a@x", "b@x"):
                digest = {"team_id": team_id, "recipient": recipient, "takes_more": True}
                notice(owner, **digest, **SENT)
                notice(owner, **digest)
                notice(owner, **digest, **SENT)
                notice(owner, **(digest | {"takes_more": False}))
                refused = refused_by(owner, "job_outbox", content={"subject": "s"}, **digest)
                assert refused == "job_outbox_open_digest"

    def test_its_id_is_its_own(self, owner):
        outbox_id = notice(owner)
        assert refused_by(owner, "job_outbox", id=outbox_id, content={"subject": "s"}) == "job_outbox_pkey"


class TestOthers:
    def test_a_slot_says_what_became_of_it(self, owner):
        run_id = str(uuid.uuid4())
        taken = [
            *({"outcome": outcome, "run_id": run_id} for outcome in ("started", "caught_up", "skipped")),
            *({"outcome": "skipped", "reason": "paused"}, {"outcome": "missed"}),
        ]
        for number, columns in enumerate(taken):
            insert(owner, "job_schedule_slots", job_type="t", slot=at(number), **columns)
        insert(owner, "job_schedule_slots", job_type="another", slot=at(0), outcome="missed")
        for columns, constraint in (
            ({"slot": at(0), "outcome": "missed"}, "job_schedule_slots_pkey"),
            ({"outcome": "late", "run_id": run_id}, "job_schedule_slots_outcome_check"),
            ({"outcome": "missed", "run_id": run_id}, "no_run_is_missed_or_has_a_reason"),
            ({"outcome": "started"}, "no_run_is_missed_or_has_a_reason"),
            ({"outcome": "skipped"}, "no_run_is_missed_or_has_a_reason"),
            ({"outcome": "skipped", "reason": "paused", "run_id": run_id}, "no_run_is_missed_or_has_a_reason"),
            ({"outcome": "missed", "reason": "paused"}, "only_skipped_has_a_reason"),
            ({"outcome": "started", "reason": "paused"}, "only_skipped_has_a_reason"),
        ):
            row = {"job_type": "t", "slot": at(99), **columns}
            assert refused_by(owner, "job_schedule_slots", **row) == constraint, columns

    def test_one_row_each(self, owner):
        team_id = str(uuid.uuid4())
        for table, name, columns, others in (
            (
                "job_pauses", "job_pauses_pkey", {"job_type": "t", "what": "type", "paused_by": "a", "why": "w"},
                [{"what": "schedule"}, {"job_type": "u"}],
            ),
            (
                "job_set_aside", "job_set_aside_pkey",
                {"healer": "h", "key": "k", "error": "e", "attempts": 1, "retry_at": at(0)},
                [{"healer": "i"}, {"key": "l"}],
            ),
            (
                "job_mail_shares", "job_mail_shares_pkey", {"team_id": team_id, "sent_at": []},
                [{"team_id": str(uuid.uuid4())}],
            ),
        ):  # fmt: skip
            insert(owner, table, **columns)
            for other in others:
                insert(owner, table, **(columns | other))
            assert refused_by(owner, table, **columns) == name
        nothing = {"job_type": "v", "what": "nothing", "paused_by": "a", "why": "w"}
        assert refused_by(owner, "job_pauses", **nothing) == "job_pauses_what_check"


class TestIndexes:
    """A partial index has to stay small, or the sweep's lookup is slow on a table with millions of rows."""

    def held(self, owner, table):
        owner.run_script(f"ANALYZE {table}")
        query = "SELECT class.relname, class.reltuples FROM pg_index JOIN pg_class class ON class.oid = indexrelid"
        return {name: int(held) for name, held in owner.run_script(f"{query} WHERE indrelid = '{table}'::regclass")}

    def test_those_of_runs_hold_the_rows_that_they_are_for(self, owner):
        team = make_team(owner)
        scope = {"team_id": team.id, "project_id": team.project_id}
        for state in (PENDING, LEASED, ENDED, ENDED, {**ENDED, "untold": "its mail"}, FAILED):
            run(owner, state)
        for state in (FAILED, FAILED, ENDED, {**ENDED, "idempotency_key": "\\x00", "request_hash": "\\x00"}):
            run(owner, state, **scope)
        for state in (PENDING, ENDED):
            run(owner, {**state, "held_slice": 0, "held_since": at(-20)})
        run(owner, {**ENDED, "rerun_of": str(uuid.uuid4())}, **scope)
        live = ("one_live", "live", "live_type")
        ended = ("team", "team_type", "project", "project_type", "completed")
        assert self.held(owner, "job_runs") == {
            **{f"job_runs_{name}": 3 for name in live},
            **{f"job_runs_{name}": 10 for name in ended},
            **{"job_runs_pkey": 13, "job_runs_failed": 3, "job_runs_untold": 1, "job_runs_idempotency": 1},
            **{"job_runs_held": 1, "job_runs_rerun": 1},
        }

    def test_those_of_the_outbox_hold_the_rows_that_they_are_for(self, owner):
        team = {"team_id": str(uuid.uuid4()), "recipient": "a@x"}
        digest_id = notice(owner, **team, takes_more=True)
        notice(owner, **SENT, **team, takes_more=True)
        notice(owner, **team, attempts=1)
        for _ in range(3):
            notice(owner, status="digested", digest_id=digest_id, send_at=None, ended_at=at(-days(1)))
        notice(owner)
        notice(owner, run_id=run(owner, ENDED))
        for _ in range(2):
            notice(owner, **{**SENT, "status": "failed", "error": "refused"})
        assert self.held(owner, "job_outbox") == {
            **{"job_outbox_pkey": 10, "job_outbox_unsent": 4, "job_outbox_ended": 6, "job_outbox_digested": 3},
            **{"job_outbox_once": 1, "job_outbox_open_digest": 1, "job_outbox_failed": 2, "job_outbox_waiting": 1},
        }

    def test_those_of_slots_and_slices_hold_all_rows(self, owner):
        insert(owner, "job_schedule_slots", job_type="t", slot=at(0), outcome="missed")
        slice_over(owner, run(owner))
        held = {"job_schedule_slots_pkey": 1, "job_schedule_slots_decided": 1}
        assert self.held(owner, "job_schedule_slots") == held
        assert self.held(owner, "job_slices") == {"job_slices_pkey": 1}

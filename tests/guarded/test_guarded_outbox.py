"""The exact changes of each outbox statement, by column and time, and the rows that it does not touch."""

import pytest

from tests.guarded.world_at_noon import ENDED, PENDING, SENT, Changes, at, insert, notice, rows, run

DELAY, CEILING = 60, 3600
MAIL = {"recipient": "ada@x.example"}


def claim(db, *outbox_ids, kind="mail"):
    return db.query(
        "claim_outbox", outbox_ids=list(outbox_ids), kind=kind, claim_s=30, retry_delay_s=DELAY, retry_ceiling_s=CEILING
    )  # fmt: skip


class TestClaim:
    @pytest.mark.parametrize(("attempts", "after_s"), [(0, 60), (1, 120), (5, 1920), (6, 3600), (5000, 3600)])
    def test_no_other_attempt_is_made_before_the_next_may_be(self, owner, noon, attempts, after_s):
        notice(owner, retry_at=at(0), attempts=3)
        outbox_id = notice(owner, retry_at=at(0), send_at=at(-5), attempts=attempts, resends=3)
        notice(owner, retry_at=at(0), attempts=3)
        changes = Changes(owner, "job_outbox")
        [row] = claim(noon, outbox_id)
        moved = {"claimed_until": at(30), "send_at": at(after_s), "retry_at": at(after_s)}
        assert changes() == {outbox_id: {"attempts": attempts + 1, "resends": 0, **moved}}
        assert (str(row["outbox_id"]), row["attempts"], row["id"], row["team_id"]) == (
            outbox_id,
            attempts + 1,
            None,
            None,
        )

    @pytest.mark.parametrize("claimed_until", [None, at(0), at(-1)])
    def test_a_claim_that_is_over_is_claimed_over(self, owner, noon, claimed_until):
        assert claim(noon, notice(owner, retry_at=at(-1), claimed_until=claimed_until))

    @pytest.mark.parametrize("columns", [{"claimed_until": at(0.001)}, {"retry_at": at(0.001)}, SENT])
    def test_it_finds_nothing(self, owner, noon, columns):
        outbox_id = notice(owner, **{"retry_at": at(-1), **columns})
        changes = Changes(owner, "job_outbox")
        assert claim(noon, outbox_id) == []
        assert changes() == {}

    def test_several_are_claimed_in_one_statement_and_one_that_is_not_free_keeps_none_back(self, owner, noon):
        free = [notice(owner, retry_at=at(-1), attempts=attempts) for attempts in (0, 2)]
        taken = notice(owner, retry_at=at(-1), claimed_until=at(1))
        assert {str(row["outbox_id"]): row["attempts"] for row in claim(noon, taken, *free)} == dict(
            zip(free, (1, 3), strict=True)
        )

    def test_a_function_claims_its_own_kind(self, owner, noon):
        mail = notice(owner, retry_at=at(-1))
        event = notice(owner, run_id=run(owner, ENDED), kind="event", retry_at=at(-1))
        changes = Changes(owner, "job_outbox")
        assert [str(row["outbox_id"]) for row in claim(noon, mail, event, kind="event")] == [event]
        assert changes().keys() == {event}

    def test_it_says_of_which_run_and_of_which_team(self, owner, noon, team, other):
        run_id = run(owner, ENDED, team_id=team.id, project_id=team.project_id)
        run(owner, ENDED, team_id=other.id, project_id=other.project_id)
        [row] = claim(noon, notice(owner, run_id=run_id, **MAIL, retry_at=at(-1)))
        assert (str(row["id"]), str(row["team_id"]), row["digest_of"]) == (run_id, team.id, None)
        [row] = claim(noon, notice(owner, team_id=other.id, **MAIL, retry_at=at(-1)))
        assert (row["id"], row["team_id"], str(row["digest_of"])) == (None, None, other.id)


def fences(owner, statement, *, status="unsent", **columns):
    """Return whether the statement changes only the row of this very attempt."""
    mine = notice(owner, attempts=2, **columns)
    others = [notice(owner, attempts=2), notice(owner, **SENT, attempts=2)]
    changes = Changes(owner, "job_outbox")
    for attempt in (1, 3):
        statement(mine, attempt)
    statement(others[1], 2)
    assert changes() == {}
    return mine, changes


def end_attempts(db, *outcomes):
    columns = {"outbox_ids": "outbox_id", "attempts": "attempt", "statuses": "status"}
    columns |= {"errors": "error", "message_ids": "message_id"}
    db.query(
        "end_outbox_attempt",
        **{several: [outcome.get(one) for outcome in outcomes] for several, one in columns.items()},
    )


class TestOutcome:
    @pytest.mark.parametrize(
        ("outcome", "changed"),
        [
            ({"status": "sent", "message_id": "m"}, {"send_at": None, "ended_at": at(0)}),
            ({"status": "failed", "error": "refused"}, {"send_at": None, "ended_at": at(0)}),
            ({"status": "unwanted"}, {"send_at": None, "ended_at": at(0)}),
            ({"status": "unsent", "error": "busy"}, {}),
        ],
    )
    def test_it_ends_its_own_attempt(self, owner, noon, outcome, changed):
        def end(outbox_id, attempt):
            end_attempts(noon, {"outbox_id": outbox_id, "attempt": attempt} | outcome)

        mine, changes = fences(owner, end)
        end(mine, 2)
        said = {name: value for name, value in outcome.items() if (name, value) != ("status", "unsent")}
        assert changes() == {mine: {**said, **changed}}

    def test_several_end_in_one_statement_each_with_its_own_outcome(self, owner, noon):
        sent, failed, lost = (notice(owner, attempts=2) for _ in range(3))
        changes = Changes(owner, "job_outbox")
        end_attempts(
            noon,
            {"outbox_id": sent, "attempt": 2, "status": "sent", "message_id": "m"},
            {"outbox_id": lost, "attempt": 1, "status": "sent", "message_id": "n"},
            {"outbox_id": failed, "attempt": 2, "status": "failed", "error": "refused"},
        )
        ended = {"send_at": None, "ended_at": at(0)}
        assert changes() == {
            sent: {"status": "sent", "message_id": "m", **ended},
            failed: {"status": "failed", "error": "refused", **ended},
        }

    def test_an_alert_to_several_becomes_one_for_each(self, owner, noon):
        def address(outbox_id, attempt):
            return noon.query("address_alert", outbox_id=outbox_id, attempt=attempt, first="a@x", others=["b@x", "c@x"])

        mine, changes = fences(owner, address)
        assert address(mine, 2) == [{"is_addressed": True}]
        content = {"subject": "s", "lines": []}
        [first, *others] = sorted(changes().values(), key=lambda row: row["recipient"])
        assert first == {"recipient": "a@x"}
        assert [(row["recipient"], row["content"], row["send_at"]) for row in others] == [
            ("b@x", content, at(0)), ("c@x", content, at(0)),
        ]  # fmt: skip
        assert address(mine, 2) == []  # it already has its recipient

    def test_a_runs_alert_stays_without_a_recipient_and_is_not_made_twice(self, owner, noon):
        run_id = run(owner, ENDED)
        outbox_id = notice(owner, run_id=run_id, attempts=2)
        notice(owner, run_id=run_id, recipient="b@x")
        changes = Changes(owner, "job_outbox")
        noon.query("address_alert", outbox_id=outbox_id, attempt=2, first="a@x", others=["b@x", "c@x"])
        [made] = changes().values()
        assert (made["recipient"], made["run_id"]) == ("c@x", run_id)


class TestSending:
    @pytest.mark.parametrize(("resends", "after_s"), [(0, 60), (1, 120), (5, 1920), (6, 3600), (5000, 3600)])
    def test_a_message_is_sent_again_ever_later(self, owner, noon, team, other, resends, after_s):
        outbox_id = notice(owner, team_id=team.id, **MAIL, send_at=at(-1), resends=resends)
        changes = Changes(owner, "job_outbox")
        [row] = noon.query("claim_unsent", keys=[outbox_id], resend_delay_s=DELAY, resend_ceiling_s=CEILING)
        assert changes() == {outbox_id: {"resends": resends + 1, "send_at": at(after_s)}}
        assert (str(row["id"]), row["kind"], str(row["team_id"])) == (outbox_id, "mail", team.id)

    def test_it_goes_into_the_queue_of_its_team(self, owner, noon, team, other):
        run(owner, PENDING, team_id=other.id, project_id=other.project_id)
        run_id = run(owner, ENDED, team_id=team.id, project_id=team.project_id)
        outbox_id = notice(owner, run_id=run_id, **MAIL, send_at=at(-1))
        [row] = noon.query("claim_unsent", keys=[outbox_id], resend_delay_s=DELAY, resend_ceiling_s=CEILING)
        assert str(row["team_id"]) == team.id

    def test_what_a_run_owes_is_what_is_unsent(self, owner, noon, team):
        run_id = run(owner, ENDED, team_id=team.id, project_id=team.project_id)
        outbox_id = notice(owner, run_id=run_id, **MAIL)
        notice(owner, run_id=run_id, recipient="bob@x.example", **SENT)
        notice(owner, run_id=run(owner, ENDED))
        [row] = noon.query("unsent_of_runs", run_ids=[run_id])
        assert (str(row["id"]), row["kind"], str(row["team_id"])) == (outbox_id, "mail", team.id)

    def test_a_test_mail_and_an_alert_are_ready_to_be_sent(self, owner, noon):
        noon.query("insert_alert", content={"subject": "a", "lines": []})
        noon.query("insert_test_mail", content={"subject": "b", "lines": []}, recipient="ada@x")
        made = owner.run_script("SELECT recipient, content->>'subject', status FROM job_outbox ORDER BY 2")
        assert made == [[None, "a", "unsent"], ["ada@x", "b", "unsent"]]


class TestShare:
    def take(self, db, team, *, at_most=2, is_digest=False):
        [share] = db.query("take_mail_share", team_id=team.id, is_digest=is_digest, at_most=at_most)
        return share["is_taken"], share["opens_at"].isoformat()

    def share(self, owner, team, *seconds):
        insert(owner, "job_mail_shares", team_id=team.id, sent_at=[at(second) for second in seconds])

    def kept(self, owner):
        return {
            team_id: [second.isoformat() for second in row]
            for team_id, row in owner.run_script("SELECT CAST(team_id AS text), sent_at FROM job_mail_shares")
        }

    def test_the_first_mail_of_a_team(self, owner, noon, team, other):
        self.share(owner, other, -1, -2)
        assert self.take(noon, team) == (True, at(0))
        assert self.kept(owner) == {team.id: [at(0)], other.id: [at(-1), at(-2)]}

    @pytest.mark.parametrize(
        ("seconds", "taken", "kept", "opens_at"),
        [
            ((-1,), True, (0, -1), 0),
            ((-1, -3599), False, (-1, -3599), 1),
            ((-1, -3600), True, (0, -1), 0),
            ((-1, -3601), True, (0, -1), 0),
            ((-1, -7199), True, (0, -1), 0),
            ((-1, -2, -3), False, (-1, -2, -3), 3598),
            ((-3, -1), False, (-3, -1), 3597),
        ],
    )
    def test_so_many_in_an_hour(self, owner, noon, team, other, seconds, taken, kept, opens_at):
        self.share(owner, other, -5, -5, -5)
        self.share(owner, team, *seconds)
        is_taken, opens = self.take(noon, team)
        assert (is_taken, self.kept(owner)[team.id]) == (taken, [at(second) for second in kept])
        if not taken:
            assert opens == at(opens_at)

    def test_it_opens_now_where_the_share_has_grown(self, owner, noon, team):
        self.share(owner, team, -3000, -3500)
        insert(owner, "job_outbox", team_id=team.id, **MAIL, content={}, takes_more=True, send_at=at(-1))
        assert self.take(noon, team, at_most=3) == (False, at(0))

    @pytest.mark.parametrize(
        ("columns", "is_digest", "taken"),
        [
            ({}, False, False),
            ({}, True, True),
            ({"takes_more": False}, False, True),
            ({**SENT}, False, True),
            ({"team_id": "other"}, False, True),
        ],
    )
    def test_while_a_digest_waits_every_mail_does(self, owner, noon, team, other, columns, is_digest, taken):
        waiting = {"team_id": team.id, **MAIL, "content": {}, "takes_more": True, **columns}
        if waiting["team_id"] == "other":
            waiting["team_id"] = other.id
        insert(owner, "job_outbox", **waiting)
        assert self.take(noon, team, is_digest=is_digest)[0] is taken


class TestDigest:
    def digest(self, noon, team):
        def digest(outbox_id, attempt):
            noon.query(
                "digest_mail", outbox_id=outbox_id, attempt=attempt, team_id=team.id, recipient="ada@x",
                opens_at=at(600),
            )  # fmt: skip

        return digest

    def test_a_mail_becomes_a_line_of_a_digest(self, owner, noon, team):
        mine = notice(owner, attempts=2)
        notice(owner, attempts=2)
        changes = Changes(owner, "job_outbox")
        self.digest(noon, team)(mine, 2)
        changed = changes()
        [digest_id] = changed.keys() - {mine}
        ended = {"status": "digested", "digest_id": digest_id, "send_at": None, "ended_at": at(0)}
        assert changed[mine] == ended
        made = changed[digest_id]
        assert {name: made[name] for name in ("team_id", "recipient", "content", "takes_more", "status")} == {
            **{"team_id": team.id, "recipient": "ada@x", "content": {"digest": True}},
            **{"takes_more": True, "status": "unsent"},
        }
        assert (made["send_at"], made["retry_at"]) == (at(600), at(600))

    def test_one_that_waits_takes_it_up(self, owner, noon, team):
        insert(owner, "job_outbox", team_id=team.id, recipient="ada@x", content={}, takes_more=True, send_at=at(9))
        [waiting] = rows(owner, "job_outbox")
        mine = notice(owner, attempts=2)
        changes = Changes(owner, "job_outbox")
        self.digest(noon, team)(mine, 2)
        assert changes().keys() == {mine}
        assert changes()[mine]["digest_id"] == waiting

    @pytest.mark.parametrize(("attempt", "columns"), [(1, {}), (3, {}), (2, SENT)])
    def test_it_is_fenced(self, owner, noon, team, attempt, columns):
        mine = notice(owner, attempts=2, **columns)
        changes = Changes(owner, "job_outbox")
        self.digest(noon, team)(mine, attempt)
        assert mine not in changes()

    def test_a_digest_that_waits_has_made_no_attempt(self, owner, noon):
        def postpone(outbox_id, attempt):
            noon.query("postpone_digest", outbox_id=outbox_id, attempt=attempt, opens_at=at(600))

        mine, changes = fences(owner, postpone, claimed_until=at(30))
        postpone(mine, 2)
        waits = {"send_at": at(600), "retry_at": at(600), "attempts": 1, "claimed_until": None}
        assert changes() == {mine: waits}

    def test_one_that_is_being_sent_takes_no_more(self, owner, noon, team, other):
        for each in (team, other):
            insert(owner, "job_outbox", team_id=each.id, recipient="ada@x", content={}, takes_more=True)
        mine = next(key for key, row in rows(owner, "job_outbox").items() if row["team_id"] == team.id)
        changes = Changes(owner, "job_outbox")
        noon.query("close_digest", outbox_id=mine)
        assert changes() == {mine: {"takes_more": False}}

    def test_it_tells_of_its_own_runs_the_failed_ones_first(self, owner, noon, team):
        mine, others = (notice(owner, team_id=team.id, recipient=name) for name in ("ada@x", "bob@x"))

        def told_in(digest_id, job_type, status="completed", after_s=0, **columns):
            error = "It broke" if status == "failed" else None
            run_id = run(
                owner, ENDED, job_type=job_type, status=status, error=error, completed_at=at(after_s - 60), **columns
            )
            mail = {**SENT, "status": "digested", "digest_id": digest_id, "recipient": "ada@x"}
            insert(owner, "job_outbox", run_id=columns.get("id", run_id), **mail)

        told_in(mine, "last", after_s=9, team_id=team.id, project_id=team.project_id)
        told_in(mine, "cancelled", "cancelled", after_s=3)
        told_in(mine, "failed late", "failed", after_s=5)
        same = [f"{digit}0000000-0000-4000-8000-000000000000" for digit in "21"]
        for number, run_id in enumerate(same):
            told_in(mine, f"failed {number}", "failed", after_s=1, id=run_id)
        told_in(others, "another's", "failed")
        found = noon.query("list_digest", outbox_id=mine, at_most=4)
        assert [(row["job_type"], row["project"]) for row in found] == [
            *(("failed 1", None), ("failed 0", None), ("failed late", None), ("cancelled", None)),
        ]
        assert {(row["completed"], row["failed"], row["cancelled"]) for row in found} == {(1, 3, 1)}
        assert noon.query("list_digest", outbox_id=mine, at_most=9)[-1]["project"] == "Project 0"

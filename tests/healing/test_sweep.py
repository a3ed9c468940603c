"""The sweep with much work, and the rows that it deletes."""

import dataclasses
import json
import uuid

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.aws import sqs
from nightshift.database.queries import query_text
from nightshift.healing.healers import PRUNE_BATCH
from nightshift.healing.sweep import RESERVE_S
from nightshift.notify import outbox
from nightshift.testing.rows import make_team, sweep
from tests.support.fixtures import ROLES

LOST = """
    INSERT INTO job_runs (id, job_type, status, triggered_by, started_at, lease_expires_at, lost_slices, slice,
                          request_id, slice_started_at)
    SELECT gen_random_uuid(), 'type ' || n, 'running', 'x', clock_timestamp(), clock_timestamp() - interval '1 s',
           CASE WHEN n % 10 = 0 THEN 4 ELSE 0 END, 7, 'r', clock_timestamp()
    FROM generate_series(1, {count}) n
"""
ENDED = """
    INSERT INTO job_runs (id, job_type, status, triggered_by, created_at, started_at, completed_at)
    SELECT gen_random_uuid(), 'db_pruning', 'completed', 'schedule', at, at, at
    FROM generate_series(1, {count}), (SELECT clock_timestamp() - interval '{days} days' AS at) AS time;
    INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)
    SELECT id, 0, 'r', started_at, 'continued' FROM job_runs ON CONFLICT DO NOTHING;
    INSERT INTO job_outbox (run_id) SELECT id FROM job_runs ON CONFLICT DO NOTHING
"""


@pytest.fixture
def sent(monkeypatch):
    """Collect the batches that SQS received: too many for a simulated SQS."""
    batches = []

    def send_message_batch(queue_url, entries):
        batches.append((queue_url, [json.loads(entry["MessageBody"]) for entry in entries]))
        return []

    monkeypatch.setattr(sqs, "send_message_batch", send_message_batch)
    return batches


def messages(sent, url):
    return [message for queue_url, batch in sent if queue_url == url for message in batch]


def test_ten_thousand_lost_slices_heal_in_bounded_statements_with_one_message_each(cloud, db, owner, sent):
    owner.run_script(LOST.format(count=10_000))
    before = db.statements
    counts = sweep(db=db, settings=cloud)
    assert (counts["recovered"], counts["ended"]) == (9_000, 1_000)
    # Two searches, and 20 full batches, each healed and followed by its mails.
    assert db.statements - before == 2 + 20 * 2
    raised = messages(sent, cloud.queue_url)
    assert len({message["run_id"] for message in raised}) == len(raised) == 9_000
    assert {message["slice"] for message in raised} == {8}
    assert len(messages(sent, cloud.notify_queue_url)) == 1_000
    assert owner.run_script("SELECT DISTINCT error FROM job_runs WHERE status = 'failed'") == [
        [
            "Server restarted during execution. Its worker was lost 5 times in a row at step 0. The last time: "
            "Its worker did not end it before the lease was over"
        ]
    ]
    assert not any(sweep(db=db, settings=cloud).values())  # and the messages are not sent again at once


def test_a_sweep_that_ends_no_run_looks_for_no_mails(cloud, db, owner, sent):
    owner.run_script(LOST.format(count=1))
    before = db.statements
    assert sweep(db=db, settings=cloud)["recovered"] == 1
    assert db.statements - before == len(["find_work", "due_runs", "expire_leases"])


def test_a_sweep_that_runs_short_of_time_leaves_the_rest_to_the_next(cloud, db, owner, sent):
    owner.run_script(LOST.format(count=50))
    small = dataclasses.replace(cloud, sweep_batch=10)
    left = [RESERVE_S + 2, RESERVE_S + 1, RESERVE_S]
    counts = sweep(db=db, settings=small, remaining_s=lambda: left.pop(0))
    assert counts["recovered"] + counts["ended"] == 20
    counts = sweep(db=db, settings=small)
    assert counts["recovered"] + counts["ended"] == 30


def test_what_fails_keeps_no_run_from_being_healed(cloud, db, owner, sent, caplog):
    owner.run_script(LOST.format(count=1))
    owner.run_script(
        "INSERT INTO job_schedules VALUES ('db_pruning', 'not a cron', '2026-01-01Z', '2026-01-01Z');"
        "INSERT INTO job_successes (job_type, expected_within, overdue_at) VALUES ('db_pruning', '1 h', '2026-01-01Z');"
        f"REVOKE SELECT ON job_successes FROM {ROLES}"
    )
    with pytest.raises(DatabaseError):
        sweep(db=db, settings=cloud)
    assert [message["slice"] for message in messages(sent, cloud.queue_url)] == [8]
    logged = [(record.message, record.exc_info[0]) for record in caplog.records if record.exc_info]
    assert logged == [(f"The sweep failed at {part}", DatabaseError) for part in ("the search for work", "silent")]
    assert owner.run_script("SELECT healer, key FROM job_set_aside") == [["slots", "db_pruning"]]


class TestMails:
    def test_a_backlog_of_mails_does_not_become_a_storm(self, cloud, db, owner, sent):
        """The notify function does not reach them for an hour."""
        owner.run_script(
            "INSERT INTO job_outbox (content, send_at)"
            " SELECT '{}', clock_timestamp() - interval '1 s' FROM generate_series(1, 200)"
        )
        for _ in range(60):
            sweep(db=db, settings=cloud)
            owner.run_script("UPDATE job_outbox SET send_at = send_at - interval '60 s'")
        assert len(messages(sent, cloud.notify_queue_url)) == 5 * 200

    def test_each_message_of_a_mail_comes_later_until_the_mail_is_claimed(self, cloud, db, owner, sent):
        owner.run_script("INSERT INTO job_outbox (content) VALUES ('{}')")

        def next_in_s():
            owner.run_script("UPDATE job_outbox SET send_at = clock_timestamp()")
            sweep(db=db, settings=cloud)
            [[seconds]] = owner.run_script("SELECT extract(epoch FROM send_at - clock_timestamp()) FROM job_outbox")
            return round(seconds, -1)

        assert [next_in_s() for _ in range(7)] == [120, 240, 480, 960, 1920, 3600, 3600]
        [[outbox_id]] = owner.run_script("SELECT id FROM job_outbox")
        claim = {"kind": "mail", "claim_s": 30, "retry_delay_s": 60, "retry_ceiling_s": 3600}
        db.query("claim_outbox", outbox_ids=[str(outbox_id)], **claim)
        assert [next_in_s() for _ in range(2)] == [120, 240]

    def test_what_an_ending_cannot_send_itself_is_left_to_the_sweep(self, cloud, db, owner, sent, caplog):
        owner.run_script(f"REVOKE SELECT ON job_outbox FROM {ROLES}")
        outbox.dispatch([str(uuid.uuid4())], db=db, settings=cloud)
        assert [record.action for record in caplog.records] == ["dispatch_failed"]

    def test_two_sweeps_at_once_send_each_once(self, cloud, connect, owner, sent):
        owner.run_script(
            "INSERT INTO job_outbox (content, send_at)"
            " SELECT '{}', clock_timestamp() - interval '1 s' FROM generate_series(1, 30)"
        )
        first, second = connect(), connect()
        with first.transaction():
            keys = [row["key"] for row in first.query("unsent_notices", at_most=20)]
            rows = first.query("claim_unsent", keys=keys, resend_delay_s=120, resend_ceiling_s=3600)
            assert sweep(db=second, settings=cloud)["mails"] == 10
        assert len(rows) == 20


class TestRetention:
    def test_old_runs_go_with_their_slices_and_mails_and_younger_ones_stay(self, cloud, db, owner):
        owner.run_script(ENDED.format(count=3, days=91))
        owner.run_script(ENDED.format(count=2, days=89))
        owner.run_script("UPDATE job_outbox SET status = 'sent', send_at = NULL, ended_at = clock_timestamp()")
        assert sweep(db=db, settings=cloud)["pruned"] == 3
        for table in ("job_runs", "job_slices", "job_outbox"):
            assert owner.run_script(f"SELECT count(*) FROM {table}") == [[2]], table
        assert sweep(db=db, settings=cloud)["pruned"] == 0

    def test_a_run_whose_mail_is_still_to_be_sent_stays_until_it_is(self, cloud, db, owner, sent):
        owner.run_script(ENDED.format(count=1, days=91))
        assert sweep(db=db, settings=cloud)["pruned"] == 0
        owner.run_script("UPDATE job_outbox SET status = 'failed', error = 'x', send_at = NULL, ended_at = now()")
        assert sweep(db=db, settings=cloud)["pruned"] == 1

    def test_live_runs_stay_however_old_they_are(self, cloud, db, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, created_at, resend_at) SELECT gen_random_uuid(), 'x',"
            " 'x', clock_timestamp() - interval '3 years', clock_timestamp() + interval '1 hour'"
        )
        assert not any(sweep(db=db, settings=cloud).values())

    def test_old_slots_and_alerts_go(self, cloud, db, owner):
        for days, slot in ((91, "2026-01-01"), (89, "2026-02-01")):
            owner.run_script(
                "INSERT INTO job_schedule_slots (job_type, slot, outcome, decided_at)"
                f" VALUES ('db_pruning', '{slot}', 'missed', clock_timestamp() - interval '{days} days');"
                "INSERT INTO job_outbox (content, status, send_at, ended_at)"
                f" VALUES ('{{}}', 'sent', NULL, clock_timestamp() - interval '{days} days')"
            )
        assert sweep(db=db, settings=cloud)["pruned"] == 2
        assert len(owner.run_script("SELECT FROM job_schedule_slots")) == 1
        assert len(owner.run_script("SELECT FROM job_outbox")) == 1

    def test_many_go_in_small_statements(self, cloud, db, owner):
        owner.run_script(ENDED.format(count=PRUNE_BATCH * 2 + 50, days=100))
        owner.run_script("DELETE FROM job_outbox")
        before = db.statements
        assert sweep(db=db, settings=cloud)["pruned"] == PRUNE_BATCH * 2 + 50
        assert db.statements - before == 2 + 3

    def test_the_search_for_what_is_old_reads_an_index_and_not_the_table(self, cloud, db, owner):
        team = make_team(owner)
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, started_at, completed_at)"
            " SELECT gen_random_uuid(), 'revenuecat_sync', 'completed', p.team_id, p.id, 'x', clock_timestamp(),"
            " clock_timestamp() - interval '1 day' * (n % 80)"
            f" FROM projects p, generate_series(1, 20000) n WHERE p.id = '{team.project_id}'; ANALYZE job_runs"
        )
        statement = (
            query_text("find_work")
            .replace(":schedules_until", "now()")
            .replace(":now", "now()")
            .replace(":retention_s", "7776000")
        )
        [[[plan]]] = owner.run_script(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {statement}")
        assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 32


class TestLogsOfTeams:
    @pytest.fixture
    def ended(self, owner):
        """``ended(team, *sizes)``: insert an ended run with a row of lines of each size, in bytes."""

        def ended(team, *sizes):
            [[run_id]] = owner.run_script(
                "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, completed_at,"
                f" logged_lines) VALUES (gen_random_uuid(), 'x', 'completed', '{team.id}', '{team.project_id}', 'x',"
                " now() - interval '1 h', 3) RETURNING id::text"
            )
            for number, size in enumerate(sizes, start=1):
                owner.run_script(
                    "INSERT INTO job_run_logs (run_id, last_line, team_id, slice, bytes, lines, written_at)"
                    f" VALUES ('{run_id}', {number}, '{team.id}', 0, {size}, '[]', '2026-11-28Z')"
                )

        owner.run_script("UPDATE job_sweep SET logs_until = now() - interval '1 day'")
        return ended

    def test_a_team_above_its_limit_loses_its_oldest_lines_once(self, cloud, db, owner, ended):
        settings = dataclasses.replace(cloud, team_log_megabytes=1)
        chatty, other = make_team(owner), make_team(owner, slug="other")
        ended(chatty, 600_000, 200_000, 300_000)
        ended(other, 700_000)
        # Too large by lines that are gone, but not above the limit: not added up anew.
        owner.run_script(f"INSERT INTO job_log_shares VALUES ('{other.id}', 7)")
        assert sweep(db=db, settings=settings)["pruned"] == 1
        sums = dict(owner.run_script("SELECT team_id::text, bytes FROM job_log_shares"))
        assert sums == {chatty.id: 500_000, other.id: 700_007}
        assert owner.run_script("SELECT last_line FROM job_run_logs ORDER BY bytes") == [[2], [3], [1]]
        [[is_counted]] = owner.run_script("SELECT logs_until > now() - interval '3 min' FROM job_sweep")
        assert is_counted
        assert sweep(db=db, settings=settings)["pruned"] == 0

    def test_a_run_is_not_counted_if_its_team_cannot_be_shortened(self, cloud, db, owner, ended):
        ended(make_team(owner), 2_000_000)
        owner.run_script(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
            "CREATE TRIGGER refuse BEFORE DELETE ON job_run_logs FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        assert sweep(db=db, settings=dataclasses.replace(cloud, team_log_megabytes=1))["set_aside"] == 1
        assert owner.run_script("SELECT * FROM job_log_shares") == []

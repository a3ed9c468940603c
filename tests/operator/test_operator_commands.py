"""The operate function: each of the operator's commands on a real database, with SQS from moto."""

import dataclasses
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from pg8000.exceptions import DatabaseError

from nightshift.aws import clients
from nightshift.base import settings as settings_module
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, query_text
from nightshift.jobs.registry import JOB_TYPES
from nightshift.operator import checks, database_checks, dead_letters, doctor
from nightshift.operator.account_checks import checks_of_account
from nightshift.testing.rows import age, make_team, run_row, sweep, work
from operate.app import COMMANDS
from tests.support import http_server, moto_server
from tests.support.fixtures import ROLES
from tests.support.operator_world import answer
from tests.support.world import received, trigger

Ask = Callable[..., dict[str, Any]]


SYSTEM_TYPES = [name for name, each in JOB_TYPES.items() if each.scope == "system"]


@pytest.fixture
def desk(cloud: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """``cloud`` with a dead-letter queue of each kind, without waits."""
    monkeypatch.setattr(dead_letters, "RECEIVE_WAIT_S", 0)
    return dataclasses.replace(cloud, dead_letters=moto_server.dead_letters())


@pytest.fixture
def ask(db: Database, desk: Settings) -> Ask:
    """``ask("view", run_id=…)``: return the function's answer, as Lambda would send it."""

    def ask(command: str, settings: Settings = desk, **arguments: Any) -> dict[str, Any]:
        event = json.loads(json.dumps({"command": command} | arguments))
        return json.loads(json.dumps(answer(event, db=db, settings=settings)))

    return ask


def check(report: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [each for each in report["checks"] if each["name"] == name]
    return found


def system_run(ask: Ask, job_type: str = "db_pruning") -> str:
    return ask("trigger", job_type=job_type)["job_run"]["id"]


def end(owner: Database, run_id: str, status: str, **fields: str) -> None:
    sets = "".join(f", {name} = '{value}'" for name, value in fields.items())
    owner.run_script(
        f"UPDATE job_runs SET status = '{status}', completed_at = clock_timestamp(), started_at = clock_timestamp(),"
        f" lease_expires_at = NULL, resend_at = NULL{sets} WHERE id = '{run_id}'"
    )


@pytest.mark.parametrize("command", ["view", "cancel", "logs"])
def test_a_run_is_taken_by_the_beginning_of_its_id(ask: Ask, owner: Database, command: str) -> None:
    run_id = system_run(ask)
    owner.run_script(f"UPDATE job_runs SET id = '1a2b3c4d-1111-4000-8000-000000000000' WHERE id = '{run_id}'")
    assert "error" not in ask(command, run_id="1a2b3c4d")
    other = system_run(ask, "partition_creation")
    owner.run_script(f"UPDATE job_runs SET id = '1a2b3c4d-1112-4000-8000-000000000000' WHERE id = '{other}'")
    assert ask(command, run_id="1A2B3C4D")["error"] == (
        "1A2B3C4D matches more than one run: 1a2b3c4d-1111-4000-8000-000000000000, "
        "1a2b3c4d-1112-4000-8000-000000000000. Give more digits"
    )
    assert "error" not in ask(command, run_id="1a2b3c4d-1112")
    assert ask(command, run_id="ffff")["error"] == "Unknown run ffff"


class TestCommands:
    REFUSED = [
        ({}, "Unknown command null. Available: overview, runs, view, "),
        ({"command": ["runs"]}, 'Unknown command ["runs"]'),
        ({"command": "drop"}, 'Unknown command "drop"'),
        (
            {"command": "runs", "db": 1},
            'Unknown argument "db" of runs. Available: job_type, status, limit, ',
        ),
        ({"command": "health", "x": 1}, 'Unknown argument "x" of health. Available: none'),
        ({"command": "lift_mail_stop", "address": "a\0b"}, "address must not contain NUL characters or broken"),
        ({"command": "logs", "run_id": "\ud800"}, "run_id must not contain NUL characters or broken surrogate pairs"),
        ({"command": "view"}, "run_id is required"),
        ({"command": "view", "run_id": "7"}, 'run_id must be a UUID or at least its first 4 digits, got "7"'),
        ({"command": "view", "run_id": str(uuid.UUID(int=7))}, f"Unknown run {uuid.UUID(int=7)}"),
        ({"command": "runs", "limit": 0}, "limit must be 1 or more, got 0"),
        ({"command": "runs", "limit": 201}, "limit must be 200 or less, got 201"),
        ({"command": "runs", "limit": "x"}, 'limit must be a whole number, got "x"'),
        ({"command": "runs", "every_team": "perhaps"}, 'every_team must be true or false, got "perhaps"'),
        (
            {"command": "runs", "status": "dead"},
            'status must be one of pending, running, completed, failed, cancelled, got "dead"',
        ),
        ({"command": "trigger", "job_type": 1}, "job_type must be text, got 1"),
        ({"command": "trigger", "job_type": "db_pruning", "params": 1}, "params must be a JSON object, got 1"),
        ({"command": "runs", "job_type": "x"}, f"job_type must be one of {', '.join(JOB_TYPES)}, got "),
        (
            {"command": "trigger", "job_type": "revenuecat_sync"},
            f"job_type must be one of {', '.join(SYSTEM_TYPES)}, got ",
        ),
        ({"command": "trigger", "job_type": "db_pruning", "params": {"a": 1}}, "params.a is not a known field, got 1"),
        ({"command": "redrive", "queue": "x"}, "queue must be one of runs, mails, events, alerts, schedules, got 'x'"),
        ({"command": "send_test_mail", "to": "nobody"}, 'to must be a mail address, got "nobody"'),
        ({"command": "send_test_mail", "to": "a@b\x01"}, 'to must be a mail address, got "a@b\\u0001"'),
        ({"command": "mail", "mail_id": str(uuid.UUID(int=7))}, f"Unknown mail {uuid.UUID(int=7)}"),
    ]

    def test_a_refusal_is_a_sentence(self, ask, db, desk):
        for event, sentence in self.REFUSED:
            refused = answer(event, db=db, settings=desk)
            assert set(refused) == {"error"}, event
            assert refused["error"].startswith(sentence)

    def test_every_command_is_tested_with_a_database_that_is_gone(self, ask, desk):
        nowhere = dataclasses.replace(desk, database_port=1)
        lost = Database(nowhere)
        arguments = {
            "view": {"run_id": str(uuid.uuid4())},
            "cancel": {"run_id": str(uuid.uuid4())},
            "logs": {"run_id": str(uuid.uuid4())},
            "trigger": {"job_type": "db_pruning"},
            "send_test_mail": {"to": "a@b.example"},
            "mail": {"mail_id": str(uuid.uuid4())},
            "pause": {"job_type": "db_pruning", "why": "disk work", "by": "ada"},
            "resume": {"job_type": "db_pruning"},
            "lift_mail_stop": {"address": "a@b.example"},
        }
        for command in COMMANDS:
            said = answer({"command": command} | arguments.get(command, {}), db=lost, settings=nowhere)
            if command in ("health", "doctor"):
                assert not check(said, "database")["ok"], command
            elif command in ("deadletters", "redrive"):
                assert "error" not in said, command
            else:
                assert said["error"].startswith("The database cannot be reached. Try again in a moment."), command

    def test_what_the_database_refuses_is_a_sentence(self, ask, owner):
        owner.run_script(f"REVOKE INSERT ON job_runs FROM {ROLES}")
        assert ask("trigger", job_type="db_pruning") == {
            "error": "The database refused a statement: permission denied for table job_runs. "
            "To find missing rights or migrations: nightshift system doctor"
        }


class TestLog:
    @pytest.fixture
    def lines(self, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
        lines = io.StringIO()
        monkeypatch.setattr(logger.registered_handler, "stream", lines)
        return lines

    def test_it_holds_what_the_database_said_and_nothing_of_a_row(self, owner, lines):
        held = "".join(("Ada", " Lovelace"))
        values = [f"('{uuid.uuid4()}', '{held}', NULL)", *(f"('{uuid.uuid4()}', 'Ada', '{held}')" for _ in range(2))]
        for rows in (values[:1], values[1:]):
            with pytest.raises(DatabaseError) as caught:
                owner.run_script(f"INSERT INTO teams (id, name, slug) VALUES {', '.join(rows)}")
            logger.error("It failed", exc_info=caught.value)
        said = lines.getvalue()
        assert held not in said
        for told in ("23502", "23505", "duplicate key value violates unique constraint", "teams_slug"):
            assert told in said

    def test_a_lone_surrogate_does_not_cost_the_line(self, lines):
        logger.error("It failed", exc_info=ValueError("half a \ud83d smile, größer"))
        said = json.loads(lines.getvalue().encode())
        assert "ValueError: half a ? smile, größer" in said["exception"]


class TestRuns:
    def test_a_system_job_is_triggered_worked_and_seen(self, ask, db, desk, owner):
        made = ask("trigger", job_type="db_pruning")["job_run"]
        assert (made["status"], made["triggered_by"], made["team_id"]) == ("pending", "system", None)
        assert received(desk) == [{"run_id": made["id"], "slice": 0, "group": "system"}]
        again = ask("trigger", job_type="db_pruning")
        assert again == {
            "error": "A job of this type is already running or pending", "existing_run_id": made["id"]
        }  # fmt: skip
        seen = ask("view", run_id=made["id"])
        assert (seen["timeline"]["state"], seen["mails"]) == ("queued", [])
        end(owner, made["id"], "failed", error="Out of luck")
        seen = ask("view", run_id=made["id"])
        assert seen["job_run"]["error"] == "Out of luck"
        assert [(mail["recipient"], mail["status"]) for mail in seen["mails"]] == [(None, "unsent")]
        assert ask("trigger", job_type="db_pruning")["job_run"]["id"] != made["id"]

    def test_two_at_once_make_one_run(self, connect, desk):
        connections, answers, gate = [connect() for _ in range(6)], [], threading.Barrier(6)

        def race(db):
            gate.wait()
            answers.append(answer({"command": "trigger", "job_type": "db_pruning"}, db=db, settings=desk))

        threads = [threading.Thread(target=race, args=(db,)) for db in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        [made] = [each["job_run"]["id"] for each in answers if "job_run" in each]
        assert [each["existing_run_id"] for each in answers if "error" in each] == [made] * 5

    def test_a_message_that_cannot_be_sent_leaves_the_run_to_the_sweep(self, ask, desk, owner):
        boto3.client("sqs").delete_queue(QueueUrl=desk.queue_url)
        run_id = system_run(ask)
        assert run_row(owner, run_id)["resend_at"] is not None

    def test_system_runs_are_listed_and_with_every_team_the_others_too(self, ask, owner, db, desk):
        sync = str(trigger(make_team(owner), db=db, settings=desk)["id"])
        first, second = system_run(ask), system_run(ask, "partition_creation")
        end(owner, first, "completed")
        ids = lambda **filters: [run["id"] for run in ask("runs", **filters)["job_runs"]]  # noqa: E731
        assert ids() == [second, first]
        assert ids(job_type="db_pruning") == ids(status="completed") == [first]
        assert ids(limit=1) == [second]
        assert ids(every_team=True) == [second, sync, first]
        assert ids(every_team=True, status="pending", job_type="revenuecat_sync") == [sync]
        assert ids(every_team=True, limit=1) == [second]
        assert ids(job_type="revenuecat_sync") == [sync]

    def test_a_list_fits_into_one_answer_whatever_its_runs_hold(self, ask, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, status, completed_at, result, params)"
            " SELECT gen_random_uuid(), 'db_pruning', 'system', 'completed', clock_timestamp(),"
            " jsonb_build_object('said', repeat('\"', 8000)), jsonb_build_object('said', repeat('\"', 8000))"
            " FROM generate_series(1, 200)"
        )
        listed = ask("runs", limit=200)
        assert len(json.dumps(listed)) < 6 * 1024 * 1024
        assert 0 < listed["left_out"] == 200 - len(listed["job_runs"])
        assert ask("runs", limit=20).keys() == {"job_runs"}

    def test_of_many_slices_the_last_are_shown_and_all_are_counted(self, ask, owner):
        run_id = system_run(ask)
        assert ask("view", run_id=run_id)["slices"] == 0
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome, reason)"
            f" SELECT '{run_id}', slice, gen_random_uuid(), now(), 'retrying', repeat('x', 2000)"
            " FROM generate_series(0, 2999) AS slice"
        )
        seen = ask("view", run_id=run_id)
        assert (seen["slices"], seen["timeline"]["slices_left_out"]) == (3000, 2800)
        assert [entry["slice"] for entry in seen["timeline"]["timeline"]] == list(range(2800, 3000))

    def test_any_run_is_cancelled(self, ask, owner, db, desk):
        sync, pruning = str(trigger(make_team(owner), db=db, settings=desk)["id"]), system_run(ask)
        for run_id in (sync, pruning):
            assert ask("cancel", run_id=run_id) == {"cancelled": True}
            row = run_row(owner, run_id)
            assert (row["status"], row["cancel_requested_by"]) == ("cancelled", "system")
            assert ask("cancel", run_id=run_id) == {"error": 'Cannot cancel a job with status "cancelled"'}

    def test_the_lists_are_read_from_indexes(self, owner):
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, triggered_by, completed_at, resend_at)"
            " SELECT gen_random_uuid(), 'db_pruning', 'completed', 'schedule', clock_timestamp(), NULL"
            " FROM generate_series(1, 5000); ANALYZE job_runs"
        )
        values = {":job_type": "NULL", ":status": "NULL", ":limit": "20", ":look_through": "9", ":ended_through": "9"}
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, resend_at) VALUES"
            " (gen_random_uuid(), 'db_pruning', 'schedule', now())"
        )
        names = ("list_system_runs", "list_all_runs", "failed_system_runs", "oldest_waiting_run", "stuck_runs")
        for name in (*names, "oldest_live_run", "untold_endings"):
            statement = query_text(name).replace(":grace_s", "150")
            for parameter, value in values.items():
                statement = statement.replace(f"({parameter} ", f"({value} ")
            [[[explained]]] = owner.run_script(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
            assert explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"] < 60, name


class TestSchedules:
    def test_cron_next_and_last_slots(self, ask, owner):
        run_id = system_run(ask, "soft_delete_cleanup")
        owner.run_script(
            "INSERT INTO job_schedules VALUES ('soft_delete_cleanup', '0 3 * * *', '2026-01-01Z', '2026-01-05 03:00Z'),"
            " ('db_pruning', '0 * * * *', '2026-01-01Z', '2026-01-01Z');"
            "INSERT INTO job_schedule_slots (job_type, slot, outcome, run_id) VALUES"
            " ('soft_delete_cleanup', '2026-01-01 03:00Z', 'missed', NULL),"
            " ('soft_delete_cleanup', '2026-01-02 03:00Z', 'missed', NULL),"
            f" ('soft_delete_cleanup', '2026-01-03 03:00Z', 'caught_up', '{run_id}'),"
            f" ('soft_delete_cleanup', '2026-01-04 03:00Z', 'skipped', '{uuid.UUID(int=1)}')"
        )
        by_type = {each["job_type"]: each for each in ask("schedules")["schedules"]}
        stored = ["db_pruning", "soft_delete_cleanup"]
        others = [job_type.name for job_type in JOB_TYPES.values() if job_type.scope == "system"]
        assert list(by_type) == stored + [name for name in others if name not in stored]
        cleanup = by_type["soft_delete_cleanup"]
        assert (cleanup["cron"], cleanup["active_since"]) == ("0 3 * * *", "2026-01-01T00:00:00.000Z")
        assert [(past["slot"][:10], past["outcome"], past["status"]) for past in cleanup["last"]] == [
            ("2026-01-04", "skipped", None), ("2026-01-03", "caught_up", "pending"), ("2026-01-02", "missed", None),
        ]  # fmt: skip
        assert [slot[11:] for slot in cleanup["next"]] == ["03:00:00.000Z"] * 3
        assert len({slot[:10] for slot in cleanup["next"]}) == 3
        assert by_type["db_pruning"]["last"] == []
        assert by_type["partition_creation"] == {
            "job_type": "partition_creation", "cron": None, "active_since": None, "last_success_at": None,
            "paused": [], "next": [], "last": [],
        }  # fmt: skip


class TestHealth:
    def test_a_fresh_installation_is_healthy(self, ask, db, desk):
        sweep(db=db, settings=desk)
        before = db.statements
        report = ask("health")
        assert report["ok"], report
        assert all(each["do"] is None for each in report["checks"])
        assert len(report["checks"]) == 24
        assert db.statements - before == 21

    def test_a_queued_run_is_nothing_to_worry_about_at_first(self, ask, owner):
        run_id = system_run(ask)
        waiting = check(ask("health"), "waiting runs")
        assert waiting["ok"]
        assert run_id in waiting["says"]
        assert waiting["says"].endswith("It is waiting for a free worker")
        owner.run_script(f"UPDATE job_runs SET due_at = due_at - interval '20 min' WHERE id = '{run_id}'")
        waiting = check(ask("health"), "waiting runs")
        assert not waiting["ok"]
        assert waiting["says"].endswith("It is waiting for a free worker, for 20 min")
        assert "WorkerConcurrency" in waiting["do"]

    def test_a_run_that_rightly_waits_hides_no_queue_behind_it(self, ask, owner):
        waiting, queued = system_run(ask, "db_pruning"), system_run(ask, "soft_delete_cleanup")
        owner.run_script(
            "UPDATE job_runs SET created_at = created_at - interval '2 h', due_at = due_at + interval '1 h',"
            f" waiting_for = 'a lock that others hold' WHERE id = '{waiting}';"
            f"UPDATE job_runs SET due_at = due_at - interval '20 min' WHERE id = '{queued}'"
        )
        red = check(ask("health"), "waiting runs")
        assert not red["ok"]
        assert red["says"].startswith(f"2; the first in line is soft_delete_cleanup {queued}, created ")

    @pytest.mark.parametrize("is_leased", [True, False])
    def test_what_the_sweep_has_passed_over_is_stuck(self, ask, owner, db, desk, is_leased):
        run_id = system_run(ask)
        if is_leased:
            owner.run_script(
                "UPDATE job_runs SET status = 'running', started_at = clock_timestamp(), resend_at = NULL,"
                " request_id = 'r', slice_started_at = clock_timestamp(),"
                f" lease_expires_at = clock_timestamp() WHERE id = '{run_id}'"
            )
        age(owner, run_id, 30)
        assert check(ask("health"), "stuck runs")["ok"]
        age(owner, run_id, 7200 + 120)
        stuck = check(ask("health"), "stuck runs")
        assert stuck["says"].startswith(
            f"1 stuck run: the sweep has not picked it up. Oldest: db_pruning {run_id} (2 h "
        )
        assert "SweepFunction" in stuck["do"]

    def test_open_and_missed_slots(self, ask, owner):
        owner.run_script(
            "INSERT INTO job_schedules VALUES ('db_pruning', '* * * * *', clock_timestamp(), clock_timestamp())"
        )
        assert check(ask("health"), "schedules")["says"] == "1 schedule, no slot missed in the last day"
        owner.run_script(
            "INSERT INTO job_schedule_slots (job_type, slot, outcome)"
            " VALUES ('db_pruning', '2026-01-01 01:00Z', 'missed')"
        )
        missed = check(ask("health"), "schedules")
        assert missed["says"] == "missed in the last day: db_pruning 1 (last 2026-01-01 01:00 UTC)"
        assert missed["do"].endswith("nightshift system trigger db_pruning")
        owner.run_script(
            "INSERT INTO job_schedule_slots (job_type, slot, outcome, run_id)"
            " VALUES ('db_pruning', '2026-01-01 01:01Z', 'caught_up', gen_random_uuid())"
        )
        since = check(ask("health"), "schedules")
        assert since["says"] == (
            "1 schedule; missed in the last day, but run since: db_pruning 1 (last 2026-01-01 01:00 UTC)"
        )
        assert since["ok"]
        owner.run_script("UPDATE job_schedules SET next_slot = date_trunc('minute', now()) - interval '10 minutes'")
        late = check(ask("health"), "schedules")
        # From 10 minutes ago to the grace period of two and a half: eight or nine slots.
        assert late["says"].startswith(("8 slots did not", "9 slots did not"))
        owner.run_script(
            "INSERT INTO job_schedule_slots (job_type, slot, outcome) SELECT 'db_pruning', slot, 'missed'"
            " FROM generate_series(date_trunc('minute', now()) - interval '10 min', now(), '1 min') AS slot"
        )
        assert check(ask("health"), "schedules")["says"].startswith("missed in the last day: db_pruning 1")

    def test_a_failed_system_run(self, ask, owner, db, desk):
        end(owner, system_run(ask, "db_pruning"), "failed", error="Too big")
        old = system_run(ask, "soft_delete_cleanup")
        end(owner, old, "failed", error="Long ago")
        owner.run_script(f"UPDATE job_runs SET completed_at = now() - interval '25 hours' WHERE id = '{old}'")
        sync = trigger(make_team(owner), db=db, settings=desk)
        end(owner, str(sync["id"]), "failed", error="No concern of the system")
        failed = check(ask("health"), "system runs")
        assert failed["says"] == "1 failed in the last day; latest: db_pruning: Too big"

    RIGHTS = [
        ("job_runs", {"stuck runs", "waiting runs", "live runs", "team runs", "system runs", "endings"}),
        ("job_outbox", {"mails", "events"}),
        ("job_schedules", {"schedules"}),
        ("job_successes", {"successes"}),
        ("job_pauses", {"successes", "pauses"}),
        ("job_sweep", {"sweep"}),
        ("job_set_aside", {"set aside"}),
        ("teams", {"live runs"}),
    ]

    @pytest.mark.parametrize(("table", "red"), RIGHTS)
    def test_a_check_that_fails_hides_no_other(self, ask, owner, db, desk, table, red):
        sweep(db=db, settings=desk)
        owner.run_script(f"REVOKE SELECT ON {table} FROM {ROLES}")
        report = ask("health")
        assert len(report["checks"]) == 24
        assert {each["name"] for each in report["checks"] if not each["ok"]} == red
        for name in red:
            assert check(report, name)["says"] == f"permission denied for table {table}"
            assert "system doctor" in check(report, name)["do"]

    def test_checks_that_come_when_time_is_up_say_so(self, ask, db, desk, monkeypatch):
        sweep(db=db, settings=desk)
        monkeypatch.setattr(checks, "BUDGET_S", -1)
        report = ask("health")
        assert {each["says"] for each in report["checks"] if not each["ok"]} == {"not checked: time ran out"}
        assert check(report, "database")["ok"]
        assert check(report, "dead letters: runs")["ok"]

    def test_a_sweep_that_does_not_come_is_red_after_two_minutes(self, ask, owner, db, desk):
        sweep(db=db, settings=desk)
        assert check(ask("health"), "sweep")["ok"]
        owner.run_script("UPDATE job_sweep SET came_at = clock_timestamp() - interval '90 s'")
        assert check(ask("health"), "sweep")["ok"]
        owner.run_script("UPDATE job_sweep SET came_at = clock_timestamp() - interval '121 s'")
        silent = check(ask("health"), "sweep")
        assert not silent["ok"]
        assert silent["says"].startswith("last ran 2 min ago; it should run every minute")
        sweep(db=db, settings=desk)
        assert check(ask("health"), "sweep")["ok"]

    def test_a_row_that_is_set_aside_is_named(self, ask, owner, db, desk):
        owner.run_script("INSERT INTO job_schedules VALUES ('db_pruning', 'not a cron', '2026-01-01Z', '2026-01-01Z')")
        sweep(db=db, settings=desk)
        aside = check(ask("health"), "set aside")
        assert not aside["ok"]
        assert aside["says"].startswith(
            "1 row cannot be healed. The missed slots of db_pruning cannot be recorded: A cron expression has five"
        )
        assert aside["says"].endswith(", 1 attempt)")

    def test_an_ending_that_is_not_told_is_red_once_the_sweep_has_passed_it_over(self, ask, owner):
        owner.run_script(f"REVOKE INSERT ON job_outbox FROM {ROLES}")
        ask("cancel", run_id=system_run(ask))
        # A cancelled system run owes no mail.
        assert check(ask("health"), "endings")["says"] == "every ended run has its mails and its event"
        owner.run_script("UPDATE job_deployment SET wants_events = true")
        ask("cancel", run_id=(run_id := system_run(ask)))
        told = check(ask("health"), "endings")
        assert told["ok"]
        assert told["says"].startswith(f"1 run ended without mails and event; the first, {run_id}")
        owner.run_script("UPDATE job_runs SET completed_at = completed_at - interval '3 min'")
        assert not check(ask("health"), "endings")["ok"]

    def test_the_oldest_live_run_and_its_age(self, ask, owner, db, desk):
        assert check(ask("health"), "live runs")["says"] == "none"
        sync = trigger(make_team(owner), db=db, settings=desk)["id"]
        system_run(ask)
        owner.run_script(f"UPDATE job_runs SET created_at = created_at - interval '3 days' WHERE id = '{sync}'")
        assert check(ask("health"), "live runs")["says"] == (
            f"2; the oldest is revenuecat_sync {sync} of The owls / Project 0, created 3 d ago"
        )

    def test_mails(self, ask, owner):
        insert = "INSERT INTO job_outbox (content, status, send_at, ended_at, error, created_at) VALUES "
        owner.run_script(insert + "('{}', 'failed', NULL, clock_timestamp(), 'Address refused', clock_timestamp())")
        mails = check(ask("health"), "mails")
        assert mails["says"] == "1 given up in the last day; latest error: Address refused"
        hour_ago = "clock_timestamp() - interval '1 hour'"
        owner.run_script(insert + f"('{{}}', 'unsent', clock_timestamp(), NULL, 'Throttled', {hour_ago})")
        assert check(ask("health"), "mails")["says"] == "1 mail unsent, the oldest is 1 h old; Throttled"
        owner.run_script(insert + f"('{{}}', 'unsent', {hour_ago}, NULL, NULL, {hour_ago})")
        assert check(ask("health"), "mails")["says"].startswith("1 mail not resent by the sweep, the oldest is 1 h")

    def test_size_and_connections(self, ask, desk, monkeypatch):
        assert check(ask("health"), "database size")["says"].endswith("no limit is set")
        roomy = check(ask("health", dataclasses.replace(desk, max_database_size_gb=100)), "database size")
        assert roomy["ok"]
        assert roomy["says"].endswith("of 100 GiB (0%)")
        tight = check(ask("health", dataclasses.replace(desk, max_database_size_gb=0.001)), "database size")
        assert not tight["ok"]
        assert "--type db_pruning" in tight["do"]
        monkeypatch.setattr(database_checks, "FULL", 0)
        assert not check(ask("health"), "connections")["ok"]

    def test_dead_letters_and_a_queue_that_cannot_be_read(self, ask, desk):
        boto3.client("sqs").send_message(QueueUrl=desk.dead_letters_url("run"), MessageBody="{}")
        boto3.client("sqs").delete_queue(QueueUrl=desk.dead_letters_url("notify"))
        report = ask("health")
        assert check(report, "dead letters: runs")["says"] == "about 1 message"
        assert "does not exist" in check(report, "dead letters: mails")["says"]
        assert check(report, "dead letters: schedules")["ok"]


class TestTeamRuns:
    @pytest.fixture
    def fail(self, owner, desk, db):
        def fail(team, error):
            run_id = str(trigger(team, db=db, settings=desk)["id"])
            end(owner, run_id, "failed", error=error.replace("'", "''"))
            return run_id

        return fail

    def test_one_teams_failures_are_shown_and_not_red(self, ask, owner, fail):
        team = make_team(owner)
        assert check(ask("health"), "team runs")["says"] == "0 of 0 runs failed in the last day, 0 in the last hour"
        first, _ = [fail(team, "RevenueCat refuses the key. Store another one.") for _ in range(2)]
        owner.run_script(f"UPDATE job_runs SET completed_at = completed_at - interval '2 h' WHERE id = '{first}'")
        shown = check(ask("health"), "team runs")
        assert shown["ok"]
        assert shown["says"] == (
            "2 of 2 runs failed in the last day, 1 in the last hour; 1 team without a success since. "
            "Most frequent error: revenuecat_sync (2): RevenueCat refuses the key. Store another one."
        )

    def test_those_of_several_teams_are_red_until_they_succeed(self, ask, owner, db, desk, fail):
        teams = [make_team(owner, slug=slug) for slug in ("owls", "bats")]
        _, last = [fail(team, "RevenueCat is down") for team in teams]
        red = check(ask("health"), "team runs")
        assert not red["ok"]
        assert "2 teams without a success since" in red["says"]
        assert red["do"].startswith(f"nightshift system view {last}. ")
        end(owner, str(trigger(teams[0], db=db, settings=desk)["id"]), "completed")
        assert check(ask("health"), "team runs")["ok"]
        end(owner, str(trigger(teams[1], db=db, settings=desk)["id"]), "completed")
        assert check(ask("health"), "team runs")["says"] == (
            "2 of 4 runs failed in the last day, 2 in the last hour; every project has had a success since"
        )

    OF_THE_SYSTEM = [
        "Server restarted during execution",
        "Server restarted during execution. Its worker was lost five times in a row.",
        "KeyError: 'entitlements'",
        "This release has no code for jobs of this type",
        "permission denied for table app_users",
        'relation "app_users" does not exist',
        "The database was busy: deadlock detected",
    ]

    @pytest.mark.parametrize("error", OF_THE_SYSTEM)
    def test_one_that_the_system_failed_is_red(self, ask, owner, fail, error):
        fail(make_team(owner), error)
        assert not check(ask("health"), "team runs")["ok"]

    @pytest.mark.parametrize("error", ["RevenueCat: the key is wrong", "No project is called Server restarted"])
    def test_a_sentence_for_the_team_is_not_the_systems(self, ask, owner, fail, error):
        fail(make_team(owner), error)
        assert check(ask("health"), "team runs")["ok"]

    def test_each_sweep_counts_them_for_the_alarm(self, owner, db, desk, fail, monkeypatch):
        counted = {}
        monkeypatch.setattr("nightshift.base.metrics.count", lambda name, value=1, **_: counted.update({name: value}))

        def swept():
            counted.clear()
            sweep(db=db, settings=desk)
            return dict(counted)

        assert swept() == {}
        for slug in ("owls", "bats"):
            fail(make_team(owner, slug=slug), "KeyError: 'x'")
        assert swept() == {"TeamsFailing": 2, "SystemFailures": 2}
        owner.run_script("UPDATE job_runs SET completed_at = completed_at - interval '61 min'")
        assert swept() == {}

    def test_many_old_runs_cost_health_nothing(self, owner):
        team = make_team(owner)
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, completed_at, created_at)"
            " SELECT gen_random_uuid(), 'revenuecat_sync', 'completed', team_id, id, 'x', at, at"
            " FROM projects, (SELECT now() - interval '1 h' * (26 + n) AS at FROM generate_series(1, 20000) n) AS old"
            f" WHERE id = '{team.project_id}'; ANALYZE job_runs"
        )
        statement = query_text("team_failures")
        for name, value in ((":within_s", "86400"), (":lately_s", "3600"), (":of_the_system", "'x'")):
            statement = statement.replace(name, value)
        [[[explained]]] = owner.run_script(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
        assert explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"] < 30


class TestDeadLetters:
    @pytest.fixture
    def dead(self, desk: Settings) -> Callable[[str, object], None]:
        def put(queue: str, body: object) -> None:
            url = desk.dead_letters_url(queue)
            text = body if isinstance(body, str) else json.dumps(body)
            boto3.client("sqs").send_message(QueueUrl=url, MessageBody=text)

        return put

    def test_what_they_are_about_and_they_stay(self, ask, dead, owner):
        run_id = system_run(ask)
        end(owner, run_id, "completed")
        [[mail_id]] = owner.run_script("SELECT id FROM job_outbox")
        dead("run", {"run_id": run_id, "slice": 0})
        dead("run", {"run_id": str(uuid.uuid4()), "slice": 0})
        dead("run", "no JSON")
        dead("notify", {"outbox_id": str(mail_id)})
        dead("announce", {"outbox_id": str(uuid.uuid4())})
        dead("schedule", {"job_type": "db_pruning"})
        [[alert_id]] = owner.run_script(
            "INSERT INTO job_alerts (team_id, name, events, channel, config, minutes_between, created_by, failures,"
            " failing_since) VALUES (gen_random_uuid(), 'x', '{failed}', 'mail', '{}', 0, 'x', 1, now()) RETURNING id"
        )
        dead("deliver", {"alert_id": str(alert_id)})
        dead("deliver", {"alert_id": str(uuid.uuid4())})
        for _ in range(2):
            runs, mails, events, alerts, schedules = ask("deadletters")["queues"]
            assert [queue["waiting"] for queue in (runs, mails, events, alerts, schedules)] == [3, 1, 1, 2, 1]
            assert {(each["about"], each["status"]) for each in alerts["messages"]} == {
                ("alert", "failing"),
                ("alert", "gone"),
            }
            said = {(message["about"], message["status"]) for message in runs["messages"]}
            assert said == {("run", "completed"), ("run", "gone"), ("unknown", None)}
            assert mails["messages"][0]["id"] == str(mail_id)
            assert mails["messages"][0]["status"] == "unsent"
            assert [(message["about"], message["status"]) for message in events["messages"]] == [("event", "gone")]
            assert schedules["messages"][0]["about"] == "event"
            assert json.loads(schedules["messages"][0]["body"]) == {"job_type": "db_pruning"}

    def test_more_than_a_batch_is_peeked_at_once_each(self, ask, dead):
        for number in range(25):
            dead("run", {"run_id": str(uuid.UUID(int=number)), "slice": 0})
        [runs, *_] = ask("deadletters", peek=12)["queues"]
        assert runs["waiting"] == 25
        assert len({message["id"] for message in runs["messages"]}) == 12

    def test_redriving_takes_them_back_and_an_ended_runs_message_is_dropped(self, ask, dead, desk, db, owner):
        live, ended = system_run(ask), system_run(ask, "partition_creation")
        end(owner, ended, "completed")
        received(desk)
        for run_id in (live, ended):
            for _ in range(8):
                dead("run", {"run_id": run_id, "slice": 0})
        dead("schedule", {"job_type": "db_pruning"})
        runs, mails, *_ = ask("redrive")["redriven"]
        assert runs == {"queue": "runs", "moved": 16, "deleted": 0, "refused": 0, "more": False, "error": None}
        assert (mails["queue"], mails["moved"]) == ("mails", 0)
        back = received(desk)
        assert sorted(message["run_id"] for message in back) == sorted([live] * 8 + [ended] * 8)
        before = run_row(owner, ended)
        for message in back:
            work(message["run_id"], message["slice"], db=db, settings=desk)
        assert run_row(owner, ended) == before
        assert owner.run_script("SELECT count(*) FROM job_timeline") == [[1]]
        queues = ask("deadletters")["queues"]
        assert [queue["waiting"] for queue in queues] == [0, 0, 0, 0, 1]

    def test_a_message_keeps_its_group(self, ask, desk):
        boto3.client("sqs").send_message(
            QueueUrl=desk.dead_letters_url("run"), MessageBody='{"run_id": "x", "slice": 1}', MessageGroupId="team-1"
        )
        ask("redrive", queue="runs")
        assert [message["group"] for message in received(desk)] == ["team-1"]

    def test_schedules_are_deleted_when_they_are_named(self, ask, dead):
        dead("schedule", {"job_type": "db_pruning"})
        [schedules] = ask("redrive", queue="schedules")["redriven"]
        assert (schedules["moved"], schedules["deleted"]) == (0, 1)
        assert ask("deadletters")["queues"][4]["waiting"] == 0

    def test_a_queue_that_cannot_be_read_hides_and_holds_up_no_other(self, ask, dead, desk):
        dead("notify", {"outbox_id": str(uuid.uuid4())})
        dead("run", {})
        boto3.client("sqs").delete_queue(QueueUrl=desk.dead_letters_url("run"))
        runs, mails, *_ = ask("deadletters")["queues"]
        assert "does not exist" in runs["error"]
        assert (runs["waiting"], runs["messages"]) == (None, [])
        assert (mails["error"], mails["messages"][0]["status"]) == (None, "gone")
        runs, mails, *_ = ask("redrive")["redriven"]
        assert "does not exist" in runs["error"]
        assert (mails["moved"], mails["error"]) == (1, None)

    def test_without_a_database_the_messages_are_shown_all_the_same(self, dead, desk):
        dead("run", {"run_id": str(uuid.UUID(int=7)), "slice": 0})
        nowhere = Database(dataclasses.replace(desk, database_port=1))
        runs = answer({"command": "deadletters"}, db=nowhere, settings=desk)["queues"][0]
        assert [(letter["id"], letter["status"]) for letter in runs["messages"]] == [(str(uuid.UUID(int=7)), "unknown")]

    def test_a_message_that_sqs_refuses_holds_up_no_other(self, ask, dead, desk, monkeypatch):
        """SQS refuses the whole batch if it is too long, or if a group is invalid."""
        sqs = clients.client("sqs")
        send = sqs.send_message_batch

        def refusing(QueueUrl, Entries):
            if any("poison" in entry["MessageBody"] for entry in Entries):
                raise ClientError({"Error": {"Code": "InvalidParameterValue", "Message": "no"}}, "SendMessageBatch")
            return send(QueueUrl=QueueUrl, Entries=Entries)

        monkeypatch.setattr(sqs, "send_message_batch", refusing)
        for number in range(9):
            dead("run", {"run_id": "poison" if number == 4 else str(uuid.uuid4()), "slice": 0})
        [runs] = ask("redrive", queue="runs")["redriven"]
        assert (runs["moved"], runs["refused"]) == (8, 1)
        assert len(received(desk)) == 8

    def test_one_call_is_bounded(self, ask, dead, monkeypatch):
        for _ in range(25):
            dead("run", {})
        monkeypatch.setattr(dead_letters, "REDRIVE_AT_MOST", 10)
        moved = [ask("redrive", queue="runs")["redriven"][0] for _ in range(3)]
        assert [(each["moved"], each["more"]) for each in moved] == [(10, True), (10, True), (5, False)]


class TestDoctor:
    @pytest.fixture
    def provider(self) -> Iterator[str]:
        with http_server.serve(lambda request: http_server.Reply(404)) as url:
            yield f"{url}/v2"

    @pytest.fixture
    def fresh(self, desk: Settings, provider: str, owner: Database) -> Iterator[Settings]:
        """Create an installation without problems. moto has no SES account, so its answer follows the reference.

        https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
        """
        ses = clients.client("sesv2")
        verified = {"VerifiedForSendingStatus": True}
        with Stubber(ses) as stub:
            stub.add_client_error("get_email_identity", "NotFoundException")
            stub.add_response("get_email_identity", verified, {"EmailIdentity": "acme.example"})
            quota = {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 12.0}
            account = {"ProductionAccessEnabled": True, "SendingEnabled": True, "SendQuota": quota}
            stub.add_response("get_account", account)
            yield dataclasses.replace(desk, revenuecat_url=provider, mail_from="Acme <jobs@acme.example>")

    @pytest.mark.parametrize(
        ("subscriptions", "ok", "says"),
        [
            ([], True, "nothing receives them: set AlarmEmail, or subscribe to the topic AlarmTopicArn"),
            ([("a@b.example", "arn:aws:sns:::t:1")], True, "sent to 1 confirmed subscription"),
            (
                [("a@b.example", "PendingConfirmation"), ("c@d.example", "arn:aws:sns:::t:1")],
                False,
                "no alarm reaches a@b.example, because the subscription is not confirmed",
            ),
        ],
    )
    def test_a_subscription_to_alarms_is_confirmed(self, desk, subscriptions, ok, says):
        answer = [{"Endpoint": endpoint, "SubscriptionArn": arn} for endpoint, arn in subscriptions]
        sns = clients.client("sns")
        with Stubber(sns) as stub:
            stub.add_response("list_subscriptions_by_topic", {"Subscriptions": answer}, {"TopicArn": "topic"})
            [(_, look, _)] = checks_of_account(dataclasses.replace(desk, alarm_topic_arn="topic"))
            assert look()[:2] == (ok, says)

    @pytest.mark.parametrize(
        ("quota", "workers", "ok"), [(10, 4, True), (10, 5, False), (1000, 10, True), (16, 10, True), (15, 10, False)]
    )
    def test_the_account_has_enough_concurrent_executions(self, desk, quota, workers, ok):
        settings = dataclasses.replace(
            desk, worker_concurrency=workers, mail_concurrency=1, event_concurrency=1, alert_concurrency=2
        )
        functions = clients.client("lambda")
        with Stubber(functions) as stub:
            limit = {"ConcurrentExecutions": quota + 100, "UnreservedConcurrentExecutions": quota}
            stub.add_response("get_account_settings", {"AccountLimit": limit})
            [(_, look, _)] = checks_of_account(settings)
            found = look()
        says = f"the queues may use {workers + 4} of the account's {quota:,} concurrent executions"
        assert found.ok == ok
        assert found.says == (says if ok else f"{says}, so under load requests get 503 and sweeps are dropped")
        assert ok or found.do.endswith("deploy with WorkerConcurrency lower by 1.")

    def test_all_is_well(self, ask, fresh):
        report = ask("doctor", fresh)
        assert report["ok"], report
        assert [each["name"] for each in report["checks"]] == [
            "database", "migrations", "rights", "sign-in", "settings", "partitions", "stopped addresses",
            "RevenueCat access", "run queue", "mail queue", "event queue", "alert queue", "users' tokens",
            "providers' secrets", "sender", "SES account",
        ]  # fmt: skip
        assert check(report, "RevenueCat access")["says"].endswith("responds with status 404")
        assert check(report, "sender")["says"] == "jobs@acme.example, verified in SES as acme.example"
        assert check(report, "SES account")["says"] == "in production, 12 of 50,000 mails sent in 24 hours"

    DAMAGE = [
        ("DELETE FROM nightshift_migrations WHERE name LIKE '%outbox'", "migrations", "not applied: jobs/0003_outbox"),
        ("REVOKE UPDATE ON job_runs FROM nightshift_api", "rights", "nightshift_api may not UPDATE job_runs"),
        (
            "REVOKE UPDATE ON job_runs FROM nightshift_api; REVOKE DELETE ON apps FROM nightshift_maintenance",
            "rights",
            "nightshift_api may not UPDATE job_runs; nightshift_maintenance may not DELETE apps",
        ),
        ("REVOKE DELETE ON apps FROM nightshift_maintenance", "rights", "nightshift_maintenance may not DELETE apps"),
        (
            "REVOKE UPDATE (deleted_at) ON teams FROM nightshift_maintenance",
            "rights",
            "nightshift_maintenance may not UPDATE (deleted_at) teams",
        ),
        (
            "REVOKE INSERT ON event_deletions FROM nightshift_maintenance",
            "rights",
            "nightshift_maintenance may not INSERT event_deletions",
        ),
        (
            "DROP TABLE metric_definitions; CREATE TABLE metric_definitions (id uuid, deleted_at timestamptz)",
            "rights",
            "nightshift_maintenance may not ",
        ),
        ("ALTER TABLE events OWNER TO postgres", "rights", "events belongs to postgres, of which "),
        ("DROP TABLE job_schedule_slots", "rights", "there is no table job_schedule_slots"),
        (
            "CREATE ROLE rds_iam; GRANT rds_iam TO nightshift_api",
            "sign-in",
            "nightshift_api is a member of rds_iam, so it cannot sign in with a password",
        ),
        ("ALTER TABLE metric_events DETACH PARTITION {next_month}", "partitions", "missing: metric_events from "),
        (f"REVOKE SELECT ON nightshift_migrations FROM {ROLES}", "migrations", "permission denied for table"),
        ("INSERT INTO nightshift_migrations VALUES ('jobs/9999_x', '')", "migrations", "applied by a newer release: "),
    ]

    def test_what_is_missing_in_the_database_is_named(self, db, owner, fresh):
        [[month]] = owner.run_script("SELECT to_char(now() + interval '1 month', '\"metric_events_\"YYYY_MM')")
        for damage, name, says in self.DAMAGE:
            # Rolled back afterwards. The check sees the change, because it runs in the same transaction.
            owner.begin()
            owner.run_script(damage.format(next_month=month))
            owner.run_script("SET LOCAL ROLE nightshift_operate; SET LOCAL timezone = 'UTC'")
            [look] = [look for known, look, _ in doctor._checks_in_database(owner, fresh) if known == name]
            found = checks.run(name, look, "Deploy this release again.")
            owner.rollback()
            assert not found["ok"], damage
            assert found["says"].startswith(says)
            assert found["do"]

    GRANTS = """
        SELECT role.rolname, given.privilege_type || given.of_a_column, given.name
        FROM (SELECT (aclexplode(relacl)).*, '' AS of_a_column, oid::regclass::text AS name FROM pg_class
              UNION ALL
              SELECT (aclexplode(attacl)).*, format(' (%s)', attname), attrelid::regclass::text FROM pg_attribute
             ) AS given
        JOIN pg_roles role ON role.oid = given.grantee
        WHERE role.rolname IN (SELECT job_rights.role FROM job_rights)
    """

    def test_every_right_that_the_migrations_grant_would_be_missed(self, owner):
        assert owner.query("missing_rights") == []
        grants = owner.run_script(self.GRANTS)
        assert ["nightshift_api", "INSERT", "job_runs"] in grants
        for role, right, table in grants:
            owner.begin()
            owner.run_script(f"REVOKE {right} ON {table} FROM {role}")
            lacking = owner.query("missing_rights")
            owner.rollback()
            [[said]] = [each.values() for each in lacking]
            # A right on some columns is lacking as a whole.
            assert said == f"{role} may not {right} {table}" or (
                said.startswith(f"{role} may not {right.partition(' ')[0]} (") and said.endswith(f") {table}")
            )

    def test_roles_that_cannot_sign_in_with_tokens_are_named(self, ask, owner, fresh):
        found = check(ask("doctor", dataclasses.replace(fresh, database_auth="iam")), "sign-in")
        assert found["says"].startswith(
            "nightshift_api is not a member of rds_iam, so it cannot sign in with a token; "
        )
        assert found["says"].endswith(" and 5 more")
        assert "schema owner: GRANT rds_iam TO nightshift_api; ALTER ROLE nightshift_api PASSWORD NULL" in found["do"]

    def test_a_platform_without_definitions_lacks_nothing(self, ask, owner, fresh):
        owner.run_script("DROP TABLE metric_definitions, funnel_definitions")
        assert check(ask("doctor", fresh), "rights")["ok"]

    def test_a_platforms_own_tables_need_no_migrations_of_ours(self, ask, owner, fresh):
        owner.run_script("DELETE FROM nightshift_migrations WHERE name LIKE 'platform/%'")
        assert check(ask("doctor", fresh), "migrations")["ok"]

    def test_a_platforms_plain_table_needs_no_partitions(self, db, owner, fresh):
        owner.run_script("DROP TABLE funnel_events; CREATE TABLE funnel_events (id int)")
        assert check(doctor.examine(db=db, settings=fresh), "partitions")["ok"]

    def test_no_way_out(self, ask, desk):
        nowhere = dataclasses.replace(desk, revenuecat_url="http://127.0.0.1:1", queue_url=desk.queue_url + "x")
        report = ask("doctor", nowhere)
        for name in ("RevenueCat access", "run queue"):
            assert not check(report, name)["ok"]
            assert "NAT gateway" in check(report, name)["do"]

    def test_a_key_that_is_to_be_deleted(self, ask, desk):
        boto3.client("kms").schedule_key_deletion(KeyId=desk.integrations_key_id)
        assert check(ask("doctor"), "providers' secrets")["says"] == "the key is PendingDeletion"

    def test_mail_that_cannot_be_sent(self, ask, desk):
        assert check(ask("doctor"), "sender")["says"] == "MAIL_FROM is not set, so no mail can be sent"
        sender = dataclasses.replace(desk, mail_from="jobs@acme.example")
        ses = clients.client("sesv2")
        with Stubber(ses) as stub:
            for _ in range(2):
                stub.add_client_error("get_email_identity", "NotFoundException")
            stub.add_response("get_account", {"ProductionAccessEnabled": False, "SendingEnabled": True})
            report = ask("doctor", sender)
            assert check(report, "sender")["says"].startswith("neither jobs@acme.example nor acme.example is an ident")
            assert check(report, "SES account")["says"].startswith("in the sandbox: only verified addresses")
            stub.add_response("get_email_identity", {"VerifiedForSendingStatus": False})
            stub.add_client_error("get_email_identity", "NotFoundException")
            stub.add_client_error("get_account", "AccessDeniedException", "User may not perform ses:GetAccount")
            report = ask("doctor", sender)
            assert check(report, "sender")["says"] == "jobs@acme.example is an identity in SES, but is not verified"
            assert "may not perform ses:GetAccount" in check(report, "SES account")["says"]
            assert "ses:GetAccount" in check(report, "SES account")["do"]

    def test_a_test_mail_goes_through_the_outbox(self, ask, desk, owner):
        mail = ask("send_test_mail", to="ada@acme.example")["mail"]
        assert (mail["recipient"], mail["status"]) == ("ada@acme.example", "unsent")
        [message] = boto3.client("sqs").receive_message(QueueUrl=desk.notify_queue_url)["Messages"]
        assert json.loads(message["Body"]) == {"outbox_id": mail["id"]}
        owner.run_script(
            "UPDATE job_outbox SET status = 'failed', error = 'Refused', send_at = NULL, ended_at = clock_timestamp()"
        )
        assert ask("mail", mail_id=mail["id"])["mail"]["error"] == "Refused"


def test_the_function_reads_its_environment(dead_letter_queues: Settings, db: Database) -> None:
    from tests.support.fixtures import load_function
    from tests.template.test_functions import CONTEXT, event

    assert settings_module.settings() == dead_letter_queues
    sweep(db=db, settings=dead_letter_queues)
    report = load_function("operate").handler(event("operate"), CONTEXT)
    assert report["ok"], report

"""The operator's commands from the command line to the database, with a fake Lambda and CloudFormation."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from nightshift.base import settings as settings_module
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.operator import dead_letters, run_commands
from nightshift.testing.rows import make_team, run_row, sweep
from nightshift_cli.commands.system.reports import POLLS
from nightshift_cli.main import main
from nightshift_cli.session import Session
from tests.support.cli_world import RUN
from tests.support.operator_world import REFUSED, STACK, Answer, Aws, end_all
from tests.support.world import received, trigger

Cli = Callable[..., Result]


@pytest.fixture
def call(bare: None) -> Cli:
    """``call("health")``: run `nightshift system health --stack prod-jobs` in this process, without real waits."""

    def call(
        *arguments: str,
        stack: str | None = STACK,
        stdin: str = "",
        sleep: Callable[[float], None] = lambda s: None,
    ) -> Result:
        options = ["--stack", stack] if stack else []
        result = CliRunner().invoke(main, ["system", *arguments, *options], obj=Session(sleep=sleep), input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


@pytest.fixture
def system(dead_letter_queues: None, call: Cli) -> Cli:
    """``call`` with existing queues and a database; for commands of the repository's own folder."""
    return call


class TestRuns:
    def test_trigger_list_view_cancel(self, system: Cli, owner: Database) -> None:
        made = system("trigger", "db_pruning")
        [run_id] = re.findall(r"Run (\S+) is pending\. To watch it: ", made.stdout)
        assert made.stdout.strip().endswith(f" system --stack {STACK} view {run_id} --follow")

        again = system("trigger", "db_pruning")
        assert (again.exit_code, again.stdout) == (4, "")
        assert "A job of this type is already running or pending" in again.stderr
        assert f" system --stack {STACK} view {run_id} --follow" in again.stderr

        header, row = system("runs", "--type", "db_pruning").stdout.splitlines()
        assert header.split()[:3] == ["RUN", "STATUS", "TYPE"]
        assert row.split()[:4] == [run_id, "pending", "Database", "Pruning"]
        assert system("runs", "--status", "failed").stdout == "No runs.\n"
        nosuch = system("runs", "--type", "nosuch")
        assert nosuch.exit_code == 4
        assert nosuch.stderr.startswith(f"Error: job_type must be one of {', '.join(JOB_TYPES)}, got ")

        viewed = system("view", run_id).stdout
        assert re.search(r"\nwhy +It is waiting for a free worker *\nsince +20\S+Z \(\d+ (s|min) ago\)", viewed)
        assert system("cancel", run_id).stdout.startswith(f"Asked run {run_id} to stop. To watch it: ")
        viewed = system("view", run_id).stdout
        assert re.search(r"\ncancel requested by +the operator \(system\) *\ncancel requested at +20\S+Z", viewed)
        assert "\nsince" not in viewed
        over = system("cancel", run_id)
        assert (over.exit_code, over.stderr) == (4, 'Error: Cannot cancel a job with status "cancelled"\n')
        assert run_row(owner, run_id)["status"] == "cancelled"

    def test_ages_are_by_the_clock_of_the_stack(self, system: Cli, amazon: Aws) -> None:
        system("trigger", "db_pruning")
        amazon.date = format_datetime(datetime.now(UTC) + timedelta(minutes=90), usegmt=True)
        assert re.search(r" pending +Database Pruning +1 h ", system("runs").stdout)

    def test_runs_that_did_not_fit_are_counted(self, system: Cli, owner: Database) -> None:
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, triggered_by, status, completed_at, params)"
            " SELECT gen_random_uuid(), 'db_pruning', 'system', 'completed', clock_timestamp(),"
            " jsonb_build_object('said', repeat('\"', 16000)) FROM generate_series(1, 200)"
        )
        said = system("runs", "--limit", "200").stdout
        assert re.search(
            r"\n\d+ more runs did not fit into one answer\. Narrow the list with --type or --status\.$", said.strip()
        )

    def test_a_list_that_is_not_of_all_runs_says_so(self, system: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        sentence = "Only the 1 runs that ended last and 1 live runs were looked through."
        system("trigger", "db_pruning")
        assert sentence not in system("runs", "--all").stdout
        monkeypatch.setattr(run_commands, "LOOK_THROUGH", 1)
        assert sentence not in system("runs", "--all").stdout
        system("trigger", "partition_creation")
        assert system("runs", "--all").stdout.strip().endswith(sentence)

    def test_json_is_the_functions_answer(self, system: Cli, amazon: Aws) -> None:
        for command, key in (("runs", "job_runs"), ("schedules", "schedules"), ("deadletters", "queues")):
            assert key in json.loads(system(command, "--format", "json").stdout)
        assert [asked["command"] for asked in amazon.asked] == ["runs", "schedules", "deadletters"]
        assert amazon.asked[0] == {"command": "runs", "every_team": False, "limit": 20}

    def test_a_refusal_names_what_was_typed(self, system: Cli) -> None:
        for arguments, sentence in (
            (("view", "nope"), 'run_id must be a UUID or at least its first 4 digits, got "nope"'),
            (("trigger", "db_pruning", "--param", "x=1"), "params.x is not a known field, got 1. It takes none."),
        ):
            refused = system(*arguments)
            assert (refused.exit_code, refused.stderr) == (4, f"Error: {sentence}\n")

    def test_of_many_slices_the_last_are_shown(self, system: Cli, owner: Database) -> None:
        [run_id] = re.findall(r"Run (\S+) is", system("trigger", "db_pruning").stdout)
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
            f" SELECT '{run_id}', slice, 'r', now(), 'continued' FROM generate_series(0, 249) AS slice"
        )
        viewed = system("view", run_id).stdout.splitlines()
        start = viewed.index("The last 200 slices; 50 older ones are not shown.")
        assert len(viewed) == start + 2 + 200

    def test_waiting_for_the_end(self, system: Cli, owner: Database) -> None:
        done = system("trigger", "db_pruning", "--wait", sleep=end_all(owner))
        assert done.exit_code == 0
        assert done.stdout.splitlines()[1:2] == ["pending"]
        failed = system("trigger", "db_pruning", "--wait", sleep=end_all(owner, "failed", "'No room'"))
        assert failed.exit_code == 1
        assert failed.stdout.splitlines()[-1].endswith("failed: No room")

    def test_the_mails_and_slices_of_any_run(self, system: Cli, owner: Database, db: Database, cloud: Any) -> None:
        run = trigger(make_team(owner), db=db, settings=cloud)
        owner.run_script(
            f"INSERT INTO job_outbox (run_id, recipient, attempts, error) "
            f" VALUES ('{run['id']}', 'a@b.c', 2, 'Throttled');"
            "UPDATE job_runs SET status = 'running', started_at = now(), lease_expires_at = now() + interval '1 min',"
            f" resend_at = NULL, request_id = 'r', slice_started_at = now() WHERE id = '{run['id']}'"
        )
        viewed = system("view", str(run["id"])).stdout
        assert re.search(r"a@b\.c +unsent +2 +Throttled", viewed)
        owner.run_script(
            "UPDATE job_outbox SET status = 'sent', error = NULL, ended_at = now(), send_at = NULL;"
            " INSERT INTO job_mail_stops (address, reason) VALUES ('a@b.c', 'bounce')"
        )
        assert re.search(r"a@b\.c +sent +2 +mails to this address are stopped", system("view", str(run["id"])).stdout)
        assert re.search(r"0 +at work", viewed)
        assert re.search(rf"{run['id']} .* The owls / Project 0 ", system("runs", "--all").stdout)

    def test_schedules(self, system: Cli, owner: Database) -> None:
        owner.run_script(
            "INSERT INTO job_schedules VALUES ('db_pruning', '0 * * * *', '2026-01-01Z', '2026-01-01Z');"
            "INSERT INTO job_schedule_slots (job_type, slot, outcome, reason)"
            " VALUES ('db_pruning', '2026-01-02 05:00Z', 'missed', NULL),"
            " ('db_pruning', '2026-01-02 06:00Z', 'skipped', 'paused by ada: disk work')"
        )
        system("pause", "db_pruning", "--schedule", "--why", "disk work", "--by", "ada")
        system("pause", "partition_creation", "--why", "none left", "--by", "ada")
        said = system("schedules").stdout
        assert "db_pruning: 0 * * * *, active since 2026-01-01 00:00\n" in said
        assert "\nlast success  never\n" in said
        assert re.search(r"\npaused {8}the schedule, since 20\S+ \S+ UTC by ada: disk work\n", said)
        assert re.search(r"\npaused {8}since 20\S+ \S+ UTC by ada: none left\n", said)
        assert re.search(r"\n2026-01-02 06:00 +skipped +paused by ada: disk work\n", said)
        assert re.search(r"\nnext {10}(20\d\d-\d\d-\d\d \d\d:00(, |\n)){3}", said)
        assert re.search(r"\n2026-01-02 05:00 +missed", said)
        assert "soft_delete_cleanup: no schedule; runs only when triggered.\n" in said


class TestMailStops:
    def test_stops_are_listed_and_lifted(self, system: Cli, owner: Database) -> None:
        assert system("mail-stops").stdout == "No address is stopped.\n"
        owner.run_script(
            "INSERT INTO job_mail_stops VALUES ('a@b.example', 'bounce', '550 unknown', '2026-01-02 05:00Z'),"
            " ('c@d.example', 'complaint', NULL, '2026-01-02 06:00Z')"
        )
        assert system("mail-stops").stdout.splitlines() == [
            "2026-01-02 06:00  spam report  c@d.example",
            "2026-01-02 05:00  bounced  a@b.example  550 unknown",
        ]
        assert [each["address"] for each in json.loads(system("mail-stops", "--format", "json").stdout)["stops"]] == [
            *("c@d.example", "a@b.example")
        ]
        assert system("mail-stops", "--lift", "A@b.example").stdout == "Mails go to a@b.example again.\n"
        refused = system("mail-stops", "--lift", "a@b.example")
        assert refused.exit_code == 4
        assert 'Mails to "a@b.example" are not stopped' in refused.stderr


class TestChecks:
    def test_health(self, system: Cli, cloud: Any, db: Database) -> None:
        sweep(db=db, settings=cloud)
        well = system("health")
        assert well.exit_code == 0
        assert well.stdout.splitlines()[-1] == "All 24 checks are green."
        boto3.client("sqs").send_message(QueueUrl=settings_module.settings().dead_letters_url("run"), MessageBody="{}")
        ill = system("health")
        assert ill.exit_code == 1
        assert re.search(
            r"RED +dead letters: runs +about 1 message *\n +-> nightshift system --stack prod-jobs dead",
            ill.stdout,
        )
        assert ill.stdout.splitlines()[-1] == "1 of 24 checks is red."
        report = system("health", "--format", "json")
        assert (report.exit_code, json.loads(report.stdout)["ok"]) == (1, False)

    def test_dead_letters_are_shown_and_redriven(self, system: Cli, cloud: Any) -> None:
        [run_id] = re.findall(r"Run (\S+) is", system("trigger", "db_pruning").stdout)
        received(cloud)
        settings = settings_module.settings()
        for number in range(12):
            body = json.dumps({"run_id": run_id, "slice": number})
            boto3.client("sqs").send_message(QueueUrl=settings.dead_letters_url("run"), MessageBody=body)
        boto3.client("sqs").send_message(
            QueueUrl=settings.dead_letters_url("schedule"), MessageBody='{"job_type": "x"}'
        )
        said = system("deadletters", "--peek", "1").stdout
        assert "runs: about 12 waiting; redrive sends them again\n" in said
        assert re.search(rf"\nrun +{run_id} +pending", said)
        assert "schedules: about 1 waiting; redrive deletes them" in said
        redriven = system("deadletters", "redrive").stdout
        assert redriven == "runs: 12 sent again\nmails: 0 sent again\nevents: 0 sent again\nalerts: 0 sent again\n"
        assert len(received(cloud)) == 12
        assert system("deadletters", "redrive", "schedules").stdout == "schedules: 1 deleted\n"
        assert system("deadletters", "redrive", "schedules").stdout == "schedules: 0 deleted\n"
        assert (
            system("deadletters").stdout
            == "runs: empty\nmails: empty\nevents: empty\nalerts: empty\nschedules: empty\n"
        )

    def test_of_an_unknown_dead_letter_the_beginning_is_shown(self, system: Cli) -> None:
        settings, long = settings_module.settings(), "x\ny " * 100
        boto3.client("sqs").send_message(QueueUrl=settings.dead_letters_url("run"), MessageBody=long)
        trouble = {"ERROR_MESSAGE": {"DataType": "String", "StringValue": "No permission"}}
        boto3.client("sqs").send_message(
            QueueUrl=settings.dead_letters_url("schedule"), MessageBody="{}", MessageAttributes=trouble
        )
        assert [line.rstrip() for line in system("deadletters").stdout.splitlines()] == [
            "runs: about 1 waiting; redrive sends them again",
            "ABOUT    BODY",
            "unknown  " + ("x y " * 15)[:59] + "…",
            "mails: empty",
            "events: empty",
            "alerts: empty",
            "schedules: about 1 waiting; redrive deletes them (the sweep accounts for missed slots)",
            "ABOUT  BODY",
            "event  {}",
            "error: No permission",
        ]
        [runs, *_] = json.loads(system("deadletters", "--format", "json").stdout)["queues"]
        assert runs["messages"][0]["body"] == long

    def test_redriving_goes_on_until_nothing_is_left(
        self, system: Cli, amazon: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dead_letters, "REDRIVE_AT_MOST", 10)
        url = settings_module.settings().dead_letters_url("run")
        for _ in range(25):
            boto3.client("sqs").send_message(QueueUrl=url, MessageBody='{"run_id": "x"}')
        assert system("deadletters", "redrive", "runs").stdout == "runs: 25 sent again\n"
        assert len(amazon.asked) == 3

    def test_doctor_waits_for_a_run_and_a_mail(self, system: Cli, owner: Database) -> None:
        def sleep(seconds: float) -> None:
            end_all(owner)(seconds)
            owner.run_script(
                "UPDATE job_outbox SET status = 'sent', send_at = NULL, ended_at = clock_timestamp()"
                " WHERE recipient IS NOT NULL AND send_at IS NOT NULL"
            )

        told = system("doctor", "--mail-to", "me@acme.example", sleep=sleep)
        assert re.search(r"ok +smoke run +run \S+ completed in <1 s *\n", told.stdout)
        assert re.search(r"ok +test mail +sent to me@acme.example", told.stdout)
        # No sender is configured, and the provider is not reachable.
        assert re.search(r"RED +sender +MAIL_FROM is not set", told.stdout)
        assert told.exit_code == 1

    def test_doctor_takes_the_run_that_is_live_and_says_why_it_does_not_move(self, system: Cli) -> None:
        [run_id] = re.findall(r"Run (\S+) is", system("trigger", "partition_creation").stdout)
        sleeps: list[float] = []
        report = json.loads(system("doctor", "--format", "json", sleep=sleeps.append).stdout)
        [smoke] = [check for check in report["checks"] if check["name"] == "smoke run"]
        assert smoke["says"] == f"run {run_id} is still pending after three minutes. It is waiting for a free worker."
        assert smoke["do"] == f"nightshift system view {run_id}"
        assert len(sleeps) == POLLS

    def test_doctor_shows_what_failed(self, system: Cli, owner: Database) -> None:
        told = system("doctor", "--mail-to", "a@b.example", sleep=end_all(owner, "failed", "'No code'"))
        assert re.search(r"RED +smoke run +run \S+ failed: No code *\n", told.stdout)
        assert re.search(r"RED +test mail +unsent after 0 attempts: no attempt has started", told.stdout)

    @pytest.mark.parametrize("address", ["nope", "", "a b@c.example"])
    def test_doctor_refuses_what_is_no_address_before_it_looks(self, system: Cli, amazon: Aws, address: str) -> None:
        told = system("doctor", "--mail-to", address)
        assert (told.exit_code, told.stdout, amazon.asked) == (2, "", [])
        assert f"{address!r} is not a mail address." in told.stderr


def test_a_logged_traceback_keeps_its_lines(system: Cli, amazon: Aws) -> None:
    raised = "Traceback (most recent call last):\n  File \"job.py\", line 7\nKeyError: 'x'"
    fields = {"job_type": "quiet_users", "exception": raised}
    line = {"at": "2026-01-02T03:04:05.678Z", "level": "ERROR", "message": "The job raised", "fields": fields}
    said = {"lines": [line], "complete": True, "url": None}
    amazon.answers["invoke"] = (200, {}, json.dumps(said).encode())
    assert system("logs", RUN).stdout.splitlines() == [
        "2026-01-02T03:04:05.678Z ERROR   The job raised job_type=quiet_users",
        *(f"    {part}" for part in raised.splitlines()),
    ]


class TestTrouble:
    """Each failure prints a sentence. Exit code 2: the operator's own settings; 4: a refusal; 5: no answer."""

    @pytest.mark.parametrize(
        ("action", "answer", "code", "sentence"),
        [
            (
                "describe",
                (403, {}, REFUSED.format("AccessDenied", "User x may not").encode()),
                4,
                "Your AWS credentials do not allow this: User x may not They need cloudformation:DescribeStackResource",
            ),
            (
                "describe",
                (403, {}, REFUSED.format("ExpiredToken", "It has expired.").encode()),
                2,
                "AWS does not accept your credentials: It has expired. Sign in again.",
            ),
            (
                "invoke",
                (403, {"x-amzn-ErrorType": "AccessDeniedException"}, b'{"Message": "Not you."}'),
                4,
                "Your AWS credentials do not allow this: Not you. They need",
            ),
            (
                "invoke",
                (429, {"x-amzn-ErrorType": "TooManyRequestsException"}, b'{"Message": "Rate exceeded"}'),
                4,
                "AWS throttled the request: Rate exceeded. Try again in a moment.",
            ),
            (
                "invoke",
                (500, {"x-amzn-ErrorType": "ServiceException"}, b'{"Message": "Sorry"}'),
                5,
                "AWS responded with ServiceException: Sorry",
            ),
            (
                "invoke",
                (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage": "Task timed out after 60.00 seconds"}'),
                5,
                f"OperateFunction of stack {STACK} failed: Task timed out after 60.00 seconds. See its log.",
            ),
            ("invoke", (200, {}, b"<html>"), 5, f"OperateFunction of stack {STACK} did not return JSON."),
            ("invoke", (200, {}, b"null"), 5, f"OperateFunction of stack {STACK} did not return a JSON object."),
        ],
    )
    def test_what_aws_says(self, call: Cli, amazon: Aws, action: str, answer: Answer, code: int, sentence: str) -> None:
        amazon.answers = {"invoke": (200, {}, b"{}"), action: answer}
        result = call("health")
        assert (result.exit_code, result.stdout) == (code, "")
        assert sentence in result.stderr.replace("\n", " ")

    def test_no_such_stack(self, call: Cli) -> None:
        result = call("health", stack="prod")
        assert result.exit_code == 2
        assert "No stack 'prod' with an OperateFunction" in result.stderr

    def test_no_credentials(self, call: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        result = call("health")
        assert result.exit_code == 2
        assert "Unable to locate credentials. Sign in, or set AWS_PROFILE." in result.stderr

    def test_a_profile_that_is_not_there(self, call: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        result = call("health")
        assert result.exit_code == 2
        assert "(nobody) could not be found" in result.stderr

    def test_no_region(self, call: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        result = call("health")
        assert result.exit_code == 2
        assert "No AWS region is set. Set AWS_DEFAULT_REGION" in result.stderr

    def test_aws_region_comes_before_boto3s_own(self, call: Cli, amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        amazon.answers["invoke"] = (200, {}, b'{"job_runs": []}')
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        assert call("runs").stdout == "No runs.\n"
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        assert call("runs").stdout == "No runs.\n"
        assert len(amazon.signed) == 4
        assert all("/eu-west-1/" in signed for signed in amazon.signed)

    def test_no_connection(self, call: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:1")
        result = call("health", "--format", "json")
        assert result.exit_code == 5
        assert json.loads(result.stdout)["error"].startswith("Cannot reach AWS: ")

    def test_no_stack_at_all(self, call: Cli) -> None:
        result = call("runs", stack=None)
        assert result.exit_code == 2
        assert "No stack found. Pass --stack NAME" in result.stderr

    def test_an_empty_stack_is_not_the_local_one(self, call: Cli, amazon: Aws) -> None:
        result = call("runs", "--stack", "", stack=None)
        assert (result.exit_code, amazon.signed) == (2, [])
        assert "Invalid value for '--stack': must not be empty (is a shell variable unset?)" in result.stderr

    def test_the_environment_names_the_stack(self, call: Cli, amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        amazon.answers["invoke"] = (200, {}, b'{"job_runs": []}')
        monkeypatch.setenv("NIGHTSHIFT_STACK", STACK)
        assert call("runs", stack=None).stdout == "No runs.\n"

    def test_the_local_stack_is_asked_on_this_machine_only(self, call: Cli, amazon: Aws) -> None:
        Path(".local").mkdir()
        for url in (amazon.url, "http://elsewhere.example:4566"):
            here = {"api_url": "http://127.0.0.1:1", "aws_endpoint_url": url}
            here |= {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
            Path(".local/stack.json").write_text(json.dumps(here))
            result = call("runs", stack=None)
            assert result.exit_code == 2
            # Our fake answers, but has no stack with the local one's name.
            expected = "No stack 'nightshift'" if url == amazon.url else "names an AWS that is not on this machine"
            assert expected in result.stderr


class TestSetup:
    ARGUMENTS = ("setup", "--team", "Acme", "--admin-email", "a@b.c", "--project", "Rocks")

    @pytest.fixture
    def system(self, system: Cli, amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> Cli:
        """Connect the setup function as the schema owner."""
        monkeypatch.setenv("DATABASE_USER", "postgres")
        settings_module.settings.cache_clear()
        return system

    def test_a_team_and_its_key(self, system: Cli, amazon: Aws) -> None:
        made = system(*self.ARGUMENTS, "--format", "json")
        assert made.exit_code == 0, made.stderr
        assert json.loads(made.stdout)["agent_key"].startswith("owl_agent_")
        caller = {"caller": "arn:aws:sts::123456789012:user/moto"}
        asked = {"command": "setup", "team": "Acme", "admin_email": "a@b.c", "project": "Rocks"}
        assert amazon.asked == [asked | caller]
        again = system(*self.ARGUMENTS)
        assert (again.exit_code, again.stdout) == (4, "")
        assert again.stderr == 'Error: A team "acme" already exists. Choose another name or slug.\n'

    def test_an_agent_key_is_replaced(self, system: Cli) -> None:
        first = json.loads(system(*self.ARGUMENTS, "--format", "json").stdout)["agent_key"]
        second = system("agent-key", "acme", "--ends", first[:14])
        assert second.exit_code == 0, second.stderr
        assert re.search(r"agent key +owl_agent_\S+", second.stdout)
        assert "it cannot be shown again" in second.stdout
        again = system("agent-key", "acme", "--ends", first[:14])
        assert again.exit_code == 4
        assert f'The team "acme" has no agent key that begins with "{first[:14]}"' in again.stderr

    def test_a_team_grows_and_its_keys_are_told_apart(self, system: Cli) -> None:
        key = json.loads(system(*self.ARGUMENTS, "--format", "json").stdout)["agent_key"]
        assert re.search(r"project slug +rocks-2\n", system("project", "acme", "Rocks 2").stdout)
        assert system("member", "acme", "g@b.c", "--role", "admin").stdout == "g@b.c is now admin of acme.\n"
        assert system("member", "acme", "g@b.c", "--role", "none").stdout == "g@b.c is no longer in the team acme.\n"
        assert system("member", "acme", "g@b.c", "--role", "none").stdout == "g@b.c was not in the team acme.\n"
        teams = system("teams").stdout.splitlines()
        assert re.fullmatch(r"acme +Acme +rocks, rocks-2 +a@b\.c \(owner\) *", teams[1])
        system("agent-key", "Acme", "--name", "CI", "--read-only", "--days", "7")
        first, second = system("keys", "acme").stdout.splitlines()[1:]
        assert re.fullmatch(rf"{key[:14]} +Agent key +jobs:read, jobs:write +a@b.c +[\d-]+ +never *", first)
        assert re.fullmatch(r"owl_agent_\S{4} +CI +jobs:read +a@b.c +[\d-]+ +[\d-]+ *", second)
        assert system("end-key", "acme", key).stdout == "Ended the key.\n"
        assert len(system("keys", "acme").stdout.splitlines()) == 2

    def test_a_providers_key_comes_from_standard_input(self, system: Cli, owner: Database) -> None:
        system(*self.ARGUMENTS)
        missing = system("revenuecat-key", "acme", "rocks", "--revenuecat-key-stdin")
        assert (missing.exit_code, missing.stderr) == (2, "Error: Standard input holds no RevenueCat key.\n")
        stored = system("revenuecat-key", "acme", "rocks", "--revenuecat-key-stdin", stdin="sk_one\n")
        assert stored.stdout == "Stored the RevenueCat key of acme/rocks.\n"
        assert owner.run_script("SELECT count(*) FROM project_integrations") == [[1]]

    def test_a_stack_of_an_older_release_has_no_such_function(self, system: Cli, amazon: Aws) -> None:
        denied = REFUSED.format("ValidationError", f"Resource SetupFunction does not exist for stack {STACK} Stack")
        amazon.answers["describe"] = (400, {}, denied.encode())
        result = system(*self.ARGUMENTS)
        assert result.exit_code == 2
        assert "If the stack is of an older release, deploy it again" in result.stderr

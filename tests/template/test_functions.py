"""Each function, called with its sample event."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.deployment.template import PATH, load
from nightshift.base.settings import settings
from nightshift.database import migrations, queries
from nightshift.database.partitions import EVENT_TABLES
from nightshift.healing.sweep import COUNTS
from nightshift.testing.rows import make_team, run_row
from tests.support import http_server
from tests.support.fixtures import CONTEXT, load_function
from tests.support.world import trigger


def event(name):
    return json.loads(Path(f"events/{name}.json").read_text())


@pytest.fixture
def cloudformation():
    """Serve CloudFormation's URL for a custom resource's answer. Yield the URL and the answers."""
    answers = []

    bucket = SimpleNamespace(refusals=0)

    def answer(request):
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
        assert len(request.body) <= 4096
        answers.append(json.loads(request.body))
        return http_server.Reply(200 if len(answers) > bucket.refusals else 503)

    with http_server.serve(answer) as url:
        yield SimpleNamespace(url=f"{url}/response", answers=answers, bucket=bucket)


def test_there_is_an_event_for_every_function():
    functions = {path.parent.name for path in Path("functions").glob("*/app.py")}
    assert {path.stem for path in Path("events").glob("*.json")} == functions


def test_the_samples_are_what_the_template_makes_aws_send():
    resources = load(PATH)["Resources"]
    events = {
        name: trigger
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
        for name, trigger in resource["Properties"].get("Events", {}).items()
    }
    assert events["Everything"]["Properties"].keys() == {"ApiId"}
    assert event("api")["routeKey"] == event("api")["requestContext"]["routeKey"] == "$default"
    for function, source in (
        ("worker", events["Slices"]),
        ("notify", events["Mails"]),
        ("announce", events["Notices"]),
    ):
        records = event(function)["Records"]
        assert len(records) == source["Properties"]["BatchSize"]
        assert records[0]["eventSourceARN"].endswith(f"-{source['Properties']['Queue']['Fn::GetAtt'][0]}")
    assert event("dashboard")["routeKey"] in {
        f"{events[name]['Properties']['Method']} {events[name]['Properties']['Path']}"
        for name in ("Runs", "Run", "Assets")
    }
    assert event("sweep")["detail-type"] == "Scheduled Event"
    rule = resources["PartitionCreationRule"]["Properties"]["Targets"][0]["InputTransformer"]["InputTemplate"]
    assert event("schedule") == json.loads(rule.replace("<time>", json.dumps(event("schedule")["time"])))
    sample = event("migrate")
    assert resources[sample["LogicalResourceId"]]["Type"] == sample["ResourceType"]
    assert sample["ResourceProperties"].keys() <= resources["Migrations"]["Properties"].keys()


def test_api(cloud):
    answer = load_function("api").handler(event("api"), CONTEXT)
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "ok")


def test_dashboard():
    answer = load_function("dashboard").handler(event("dashboard"), CONTEXT)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "text/html; charset=utf-8")


def test_worker(cloud, db, owner):
    message = event("worker")
    run = trigger(make_team(owner), db=db, settings=cloud)
    load_function("worker").handler(message, CONTEXT)  # of an unknown run: dropped
    assert run_row(owner, run["id"])["status"] == "pending"

    message["Records"][0]["body"] = json.dumps({"run_id": str(run["id"]), "slice": 0})
    load_function("worker").handler(message, CONTEXT)

    ended = run_row(owner, run["id"])
    assert ended["status"] == "failed"
    assert ended["error"].startswith("This project has no RevenueCat integration")


NO_MESSAGES = [
    "", "garbage", "[]", "null", '{"run_id": 5}', '{"run_id": "x", "slice": 0}', '{"outbox_id": null}',
    '{"run_id": "00000000-0000-4000-8000-000000000001", "slice": "0"}',
    '{"run_id": "00000000-0000-4000-8000-000000000001", "slice": 99999999999}',
    '{"run_id": "00000000-0000-4000-8000-000000000001", "slice": true}',
    '{"run_id": "urn:uuid:00000000-0000-4000-8000-000000000001", "slice": 0}',
    '{"outbox_id": "\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661'
    '\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661"}',
    "[" * 200_000,
]  # fmt: skip


@pytest.mark.parametrize("function", ["worker", "notify", "announce"])
def test_what_is_no_message_of_ours_is_dropped_and_not_delivered_for_ever(cloud, function):
    message = event(function)
    for message["Records"][0]["body"] in NO_MESSAGES:
        load_function(function).handler(message, CONTEXT)


def test_sweep(cloud, db):
    counts = load_function("sweep").handler(event("sweep"), CONTEXT)
    assert counts == dict.fromkeys(COUNTS, 0)


def test_schedule(cloud, db):
    """The sample's slot is long over, and its type is not scheduled in this database."""
    assert load_function("schedule").handler(event("schedule"), CONTEXT) == {"outcome": "inactive"}


def test_notify(cloud, owner):
    """The sample names a mail that is not in this outbox: the message is dropped, and SES is not called."""
    load_function("notify").handler(event("notify"), CONTEXT)
    assert owner.run_script("SELECT count(*) FROM job_outbox") == [[0]]


def test_announce(cloud, owner):
    """The sample names events that are not in this outbox: the messages are dropped, and no event is sent."""
    assert load_function("announce").handler(event("announce"), CONTEXT) == {"batchItemFailures": []}
    assert owner.run_script("SELECT count(*) FROM job_outbox") == [[0]]


class TestMigrate:
    @pytest.fixture(autouse=True)
    def as_owner(self, monkeypatch, cloud):
        monkeypatch.setenv("DATABASE_USER", "postgres")
        settings.cache_clear()

    @pytest.mark.parametrize("request_type", ["Create", "Update", "Delete"])
    def test_cloudformation_is_answered(self, cloudformation, request_type, owner):
        url, answers = cloudformation.url, cloudformation.answers
        owner.run_script("DELETE FROM nightshift_migrations WHERE name = 'jobs/0004_healing'")
        owner.run_script("DROP TABLE job_set_aside, job_sweep")
        load_function("migrate").handler(event("migrate") | {"ResponseURL": url, "RequestType": request_type}, CONTEXT)
        assert [answer["Status"] for answer in answers] == ["SUCCESS"]
        assert answers[0]["RequestId"] == event("migrate")["RequestId"]
        [[made]] = owner.run_script("SELECT to_regclass('job_sweep') IS NOT NULL")
        assert made is (request_type != "Delete")

    @pytest.fixture
    def failing(self, monkeypatch, tmp_path):
        """``failing(script)``: make it the only migration."""
        (tmp_path / "jobs").mkdir()
        (tmp_path / "queries").symlink_to(queries.sql_directory() / "queries")
        monkeypatch.setattr(migrations, "sql_directory", lambda: tmp_path)
        return (tmp_path / "jobs" / "0009_bad.sql").write_text

    def test_a_failed_migration_tells_cloudformation_why(self, cloudformation, failing):
        failing("SELECT 1/0")
        load_function("migrate").handler(event("migrate") | {"ResponseURL": cloudformation.url}, CONTEXT)
        assert cloudformation.answers[0]["Status"] == "FAILED"
        assert cloudformation.answers[0]["Reason"] == "Migration jobs/0009_bad failed: division by zero"

    def test_a_variable_that_the_template_lacks_fails_the_deployment(self, cloudformation, monkeypatch):
        monkeypatch.delenv("MIGRATION_FOLDERS")
        load_function("migrate").handler(event("migrate") | {"ResponseURL": cloudformation.url}, CONTEXT)
        assert cloudformation.answers[0]["Status"] == "FAILED"
        assert cloudformation.answers[0]["Reason"].startswith(
            "MigrateFunction cannot work without MIGRATION_FOLDERS: set "
        )

    def test_whatever_is_wrong_is_told_in_a_sentence(self, cloudformation, owner):
        owner.run_script("DROP TABLE job_schedules CASCADE")
        load_function("migrate").handler(event("migrate") | {"ResponseURL": cloudformation.url}, CONTEXT)
        assert cloudformation.answers[0]["Reason"] == (
            'A right that a job needs cannot be granted: relation "job_schedules" does not exist'
            " (GRANT SELECT, UPDATE ON job_schedules TO nightshift_sweep, as a migration declares)"
        )

    def test_a_long_reason_is_cut_to_what_cloudformation_takes(self, cloudformation, failing):
        failing(f"DO $$ BEGIN RAISE EXCEPTION '{'é' * 3000}'; END $$")
        load_function("migrate").handler(event("migrate") | {"ResponseURL": cloudformation.url}, CONTEXT)
        assert cloudformation.answers[0]["Reason"].startswith("Migration jobs/0009_bad failed: éé")

    def test_what_succeeded_is_never_reported_as_failed(self, cloudformation):
        """Lambda invokes a function again after an exception; then no migration is left to apply."""
        cloudformation.bucket.refusals = 1
        request = event("migrate") | {"ResponseURL": cloudformation.url}
        with pytest.raises(OSError, match="503"):
            load_function("migrate").handler(request, CONTEXT)
        load_function("migrate").handler(request, CONTEXT)
        assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS", "SUCCESS"]

    def test_by_hand_it_says_what_it_did(self, cloud):
        assert load_function("migrate").handler({}, CONTEXT) == {"applied": [], "partitions": []}

    def test_each_job_gets_its_schedule(self, cloud, monkeypatch, owner):
        monkeypatch.setenv("SCHEDULES", "db_pruning=cron(0 2 * * ? *); partition_creation=never")
        load_function("migrate").handler({}, CONTEXT)
        stored = owner.run_script("SELECT job_type, cron FROM job_schedules ORDER BY job_type")
        assert stored == [["db_pruning", "0 2 * * *"], ["soft_delete_cleanup", "0 3 * * *"]]

    def test_a_wrong_entry_for_a_schedule_fails_the_deployment(self, cloudformation, monkeypatch):
        monkeypatch.setenv("SCHEDULES", "db_pruning=cron(0 25 * * ? *)")
        load_function("migrate").handler(event("migrate") | {"ResponseURL": cloudformation.url}, CONTEXT)
        [answer] = cloudformation.answers
        assert answer["Status"] == "FAILED"
        assert answer["Reason"].startswith("The schedule of db_pruning cannot be used: The hour '25'")

    def test_partitions_are_made_for_as_many_months_as_the_settings_say(self, cloud, monkeypatch):
        monkeypatch.setenv("PARTITION_MONTHS_AHEAD", "5")
        made = load_function("migrate").handler({}, CONTEXT)["partitions"]
        assert len(made) == 2 * len(EVENT_TABLES)  # a test's database has three months ahead

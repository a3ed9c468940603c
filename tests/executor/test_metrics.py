"""The functions' output for CloudWatch: metrics in its embedded format, and lines that lead to a run."""

import io
import json
import time
import uuid

import pytest

from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.jobs import Progress
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.testing.rows import age, make_team
from tests.support.fixtures import load_function
from tests.support.world import system_run, trigger
from tests.template.test_functions import CONTEXT, event


@pytest.fixture(autouse=True)
def nothing_counted_before():
    metrics._counted.clear()


@pytest.fixture
def printed(capsys):
    """``printed()``: return the documents since the last call, as (dimensions, {metric: (unit, values)})."""

    def printed():
        documents = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
        return [_read(document) for document in documents]

    return printed


def _read(document):
    """Read metrics as CloudWatch does.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    [directive] = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Nightshift"
    assert abs(document["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    [names] = directive["Dimensions"]
    values = {metric["Name"]: (metric["Unit"], document[metric["Name"]]) for metric in directive["Metrics"]}
    return {name: document[name] for name in names}, values


@pytest.fixture
def job(monkeypatch):
    """``job(body)``: run this body as the registry's project job."""

    def job(body):
        made = JobType(name="revenuecat_sync", label="Sync", description="", scope="project")
        monkeypatch.setattr(JobType, "handler", lambda _: body)
        monkeypatch.setitem(JOB_TYPES, "revenuecat_sync", made)

    return job


def works(run, db):
    logger.info("At work", action="job_line")
    yield Progress(processed=1, total=1, message="One", cursor={"at": 1})
    return {"done": 1}


def breaks(run, db):
    raise ValueError("It broke")
    yield


def worker(run_id, number=0):
    message = event("worker")
    message["Records"][0]["body"] = json.dumps({"run_id": str(run_id), "slice": number})
    load_function("worker").handler(message, CONTEXT)


def one(unit="Count"):
    return (unit, [1])


SYNC = {"service": "nightshift", "job_type": "revenuecat_sync"}


class TestMetrics:
    @pytest.fixture
    def run_id(self, cloud, db, owner):
        return trigger(make_team(owner), db=db, settings=cloud)["id"]

    @pytest.mark.parametrize(("body", "ending"), [(works, "RunsCompleted"), (breaks, "RunsFailed")])
    def test_a_run_of_one_slice(self, run_id, owner, job, printed, body, ending):
        job(body)
        age(owner, run_id, 30)
        worker(run_id)
        [(dimensions, counted)] = printed()
        unit, [lag_s] = counted.pop("Lag")
        assert (unit, dimensions) == ("Seconds", SYNC)
        assert 30 <= lag_s < 90
        assert counted == {"RunsStarted": one(), "Slices": one(), ending: one()}

    def test_a_later_slice_starts_no_run(self, run_id, owner, job, printed):
        job(works)
        owner.run_script(f"UPDATE job_runs SET slice = 3, status = 'running', started_at = now() WHERE id = '{run_id}'")
        worker(run_id, 3)
        [(_, counted)] = printed()
        assert counted.keys() == {"Slices", "Lag", "RunsCompleted"}

    def test_a_message_that_nobody_waits_for_counts_nothing(self, cloud, db, printed):
        worker(uuid.uuid4())
        assert printed() == []

    def test_a_run_cancelled_while_it_works(self, run_id, owner, job, printed):
        def asked_to_stop(run, db):
            owner.run_script(f"UPDATE job_runs SET cancel_requested_at = now() WHERE id = '{run_id}'")
            yield Progress(processed=1, total=2, message="One", cursor={"at": 1})

        job(asked_to_stop)
        worker(run_id)
        [(dimensions, counted)] = printed()
        assert (dimensions, counted["RunsCancelled"]) == (SYNC, one())

    def test_a_run_cancelled_while_it_waits(self, dead_letter_queues, db, printed):
        system = run_row_of_new_system_run(db)
        load_function("operate").handler({"command": "cancel", "run_id": system}, CONTEXT)
        assert printed() == [({"service": "nightshift", "job_type": "db_pruning"}, {"RunsCancelled": one()})]

    def test_lost_slices_and_the_runs_they_end(self, cloud, db, owner, printed):
        leased = "status = 'running', started_at = now(), resend_at = NULL, lease_expires_at = now() - interval '1 s'"
        leased += ", request_id = 'r', slice_started_at = now()"
        for name, lost in (("db_pruning", 4), ("partition_creation", 0)):
            owner.run_script(
                f"UPDATE job_runs SET {leased}, lost_slices = {lost} WHERE id = '{system_run(owner, name)}'"
            )
        load_function("sweep").handler(event("sweep"), CONTEXT)
        assert sorted(printed(), key=lambda document: len(document[0])) == [
            ({"service": "nightshift"}, {"SlicesLost": ("Count", [2])}),
            ({"service": "nightshift", "job_type": "db_pruning"}, {"RunsFailed": one()}),
        ]
        load_function("sweep").handler(event("sweep"), CONTEXT)
        assert printed() == []

    def test_slots_that_never_fired(self, cloud, db, owner, printed):
        owner.run_script(
            "INSERT INTO job_schedules VALUES ('db_pruning', '0 0 * * *', now() - interval '9 days',"
            " date_trunc('day', now()) - interval '5 days')"
        )
        load_function("sweep").handler(event("sweep"), CONTEXT)
        [(dimensions, counted)] = printed()
        assert dimensions == {"service": "nightshift"}
        unit, [missed] = counted["SlotsMissed"]
        assert unit == "Count"
        assert missed in (5, 6)  # today's slot counts as missed only from a quarter past midnight

    def test_the_stacks_name_tells_its_metrics_apart(self, run_id, job, printed, monkeypatch):
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "nightshift-staging")
        job(works)
        worker(run_id)
        [(dimensions, _)] = printed()
        assert dimensions["service"] == "nightshift-staging"

    def test_what_was_counted_is_printed_when_the_handler_raises(self, printed):
        @metrics.published
        def dies():
            metrics.count("SlicesLost")
            raise OSError

        with pytest.raises(OSError):  # noqa: PT011
            dies()
        assert [counted for _, counted in printed()] == [{"SlicesLost": one()}]

    def test_ten_thousand_of_a_kind_are_one_value(self, printed):
        @metrics.published
        def counts():
            for _ in range(10_000):
                metrics.count("SlicesLost")

        counts()
        assert [counted for _, counted in printed()] == [{"SlicesLost": ("Count", [10_000])}]

    def test_nothing_is_counted_by_a_name_or_a_dimension_that_is_none(self):
        with pytest.raises(KeyError):
            metrics.count("SlicesLots")
        with pytest.raises(KeyError):
            metrics.count("SlicesLost", job_type="db_pruning")


def run_row_of_new_system_run(db):
    run_id = str(uuid.uuid4())
    db.query(
        "insert_system_run", id=run_id, job_type="db_pruning", triggered_by="system", params={}, resend_delay_s=120
    )
    return run_id


class TestLogs:
    @pytest.fixture
    def lines(self, monkeypatch):
        """``lines()``: return the functions' log lines."""
        written = io.StringIO()
        monkeypatch.setattr(logger.registered_handler, "stream", written)
        return lambda: [json.loads(line) for line in written.getvalue().splitlines()]

    def test_every_line_of_a_slice_leads_to_its_run(self, cloud, db, owner, job, lines):
        team = make_team(owner)
        run_id = trigger(team, db=db, settings=cloud)["id"]
        before = len(lines())
        job(works)
        worker(run_id)
        written = lines()[before:]
        assert [line["action"] for line in written] == ["slice_begun", "job_line", "run_completed"]
        for line in written:
            assert {name: line[name] for name in ("run_id", "slice", "job_type", "team_id", "function_request_id")} == {
                "run_id": str(run_id),
                "slice": 0,
                "job_type": "revenuecat_sync",
                "team_id": team.id,
                "function_request_id": "request-1",
            }

    def test_nothing_of_a_run_lingers_in_the_next_invocation(self, cloud, db, owner, job, lines):
        job(works)
        worker(trigger(make_team(owner), db=db, settings=cloud)["id"])
        worker(nobodys := uuid.uuid4())
        dropped = lines()[-1]
        assert (dropped["action"], dropped["run_id"]) == ("message_dropped", str(nobodys))
        assert "team_id" not in dropped
        assert "job_type" not in dropped

    def test_lambda_can_read_level_and_time(self, cloud, db, lines):
        """Lambda treats a line whose time is not RFC 3339 as one of level INFO."""
        worker(uuid.uuid4())
        [line] = lines()
        assert line["level"] == "INFO"
        assert line["timestamp"].endswith("+00:00")
        assert line["timestamp"][10] == "T"

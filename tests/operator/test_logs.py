"""The way from a run to its log lines: the link and the operator's command."""

import dataclasses
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

import pytest

from nightshift.aws import clients
from nightshift.database.run_row import RunRow, RunState
from nightshift.database.typed_rows import typed
from nightshift.runs.log_links import logs_url
from tests.support.operator_world import answer
from tests.support.world import system_run

RUN_ID = "0b8e2a52-6b0f-4a7e-9a53-0d3b1f0f5a11"
# The fields that a link depends on.
RUN = dict.fromkeys(RunRow._fields) | {
    "id": uuid.UUID(RUN_ID),
    "created_at": datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
    "completed_at": datetime(2026, 11, 23, 3, 4, 10, 31000, tzinfo=UTC),
}
STATE = typed(RunState, dict.fromkeys(RunState._fields) | RUN | {"now": datetime(2026, 11, 24, tzinfo=UTC)})


def jsurl(text):
    """Return the JSURL text that the console reads: https://github.com/Sage/jsurl."""

    def parse(at):
        if text.startswith("~'", at):
            end = re.compile(r"[~)]|$").search(text, at + 2).start()
            return re.sub(r"\*([0-9a-f]{2})", lambda hexed: chr(int(hexed[1], 16)), text[at + 2 : end]), end
        assert text.startswith("~(", at), text[at:]
        at, items, fields = at + 2, [], {}
        while text[at] != ")":
            if name := re.compile(r"~?(\w+)(?=~)").match(text, at):
                fields[name[1]], at = parse(name.end())
            else:
                value, at = parse(at)
                items.append(value)
        return fields or items, at + 1

    value, end = parse(0)
    assert end == len(text)
    return value


class TestLink:
    def test_leads_to_a_query_for_this_run_over_its_time_and_the_functions_groups(self, config, monkeypatch):
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        groups = ["prod-WorkerLogs-A1b2", "prod-ApiLogs-C3"]
        url = urlsplit(logs_url(STATE, settings=dataclasses.replace(config, log_groups=",".join(groups))))
        assert url.hostname == "eu-central-1.console.aws.amazon.com"
        assert (url.path, url.query) == ("/cloudwatch/home", "region=eu-central-1")
        assert re.fullmatch(r"[\w\-.!~*'():$]+", url.fragment)
        view, _, detail = unquote(url.fragment.replace("$", "%")).partition("?queryDetail=")
        assert view == "logsV2:logs-insights"
        asked = jsurl(detail)
        assert asked["source"] == groups
        assert (asked["start"], asked["end"]) == ("2026-11-23T02:55:00.000Z", "2026-11-23T03:09:10.031Z")
        assert f'| filter run_id = "{RUN_ID}"\n' in asked["editorString"]

    def test_a_place_of_the_owners_own(self, config):
        settings = dataclasses.replace(config, logs_url="https://logs.example/?q=run_id:{run_id}", log_groups="a")
        assert logs_url(STATE, settings=settings) == f"https://logs.example/?q=run_id:{RUN_ID}"

    def test_nowhere(self, config):
        assert logs_url(STATE, settings=config) is None


class TestCommand:
    @pytest.fixture
    def logged(self, cloud):
        """``logged(group, at, line)``: write a line into one of two log groups."""
        logs = clients.client("logs")
        for group in ("worker", "api"):
            logs.create_log_group(logGroupName=group)
            logs.create_log_stream(logGroupName=group, logStreamName="s")

        def write(group, at, line):
            event = {
                "timestamp": int(at.timestamp() * 1000),
                "message": line if isinstance(line, str) else json.dumps(line),
            }
            logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[event])

        return write

    def test_the_last_lines_about_it_from_every_group_in_order(self, cloud, db, owner, logged):
        run_id, other = system_run(owner, "db_pruning"), system_run(owner, "partition_creation")
        now = datetime.now(UTC)
        for second, group in ((1, "worker"), (2, "api"), (3, "worker")):
            line = {"level": "INFO", "message": f"line {second}", "run_id": run_id, "slice": second, "service": "n"}
            logged(group, now.replace(microsecond=second * 1000), line)
        logged("worker", now, {"level": "INFO", "message": "another run's", "run_id": other})
        settings = dataclasses.replace(cloud, log_groups="worker,api", logs_url="https://l.example/{run_id}")

        said = answer({"command": "logs", "run_id": run_id, "at_most": 2}, db=db, settings=settings)
        assert [(line["message"], line["fields"]) for line in said["lines"]] == [
            ("line 2", {"slice": 2}), ("line 3", {"slice": 3}),
        ]  # fmt: skip
        assert said["lines"][0]["level"] == "INFO"
        assert said["lines"][0]["at"].endswith(".002Z")
        assert said["complete"]
        assert said["url"] == f"https://l.example/{run_id}"

    def slice_of(self, owner, run_id, number, request_id, outcome="lost"):
        reason = "Its worker did not end it before the lease was over"
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome, reason) VALUES"
            f" ('{run_id}', {number}, '{request_id}', now(), '{outcome}', '{reason}')"
        )

    # In Lambda's formats: JSON if the function's LogFormat is JSON, otherwise text.
    # https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report
    LAST_WORDS = [
        (
            '{{"time":"2026-11-23T03:02:00.000Z","type":"platform.report","record":{{"requestId":"{id}","metrics":'
            '{{"durationMs":120000.0,"billedDurationMs":120000,"memorySizeMB":512,"maxMemoryUsedMB":91}},'
            '"status":"timeout"}}}}',
            "Lambda: timeout after 120.0 s, 91 of 512 MB used",
        ),
        (
            '{{"time":"2026-11-23T03:02:00.000Z","type":"platform.report","record":{{"requestId":"{id}","metrics":'
            '{{"durationMs":812.5,"memorySizeMB":512,"maxMemoryUsedMB":512}},"status":"error",'
            '"errorType":"Runtime.OutOfMemory"}}}}',
            "Lambda: error (Runtime.OutOfMemory) after 0.8 s, 512 of 512 MB used",
        ),
        ("2026-11-23T03:02:00.123Z {id} Task timed out after 120.00 seconds", "Task timed out after 120.00 seconds"),
        (
            "RequestId: {id} Error: Runtime exited with error: signal: killed",
            "Runtime exited with error: signal: killed",
        ),
    ]

    @pytest.mark.parametrize(("line", "says"), LAST_WORDS)
    def test_lambdas_own_lines_say_why_a_worker_was_lost(self, cloud, db, owner, logged, line, says):
        run_id, lost, other = system_run(owner, "db_pruning"), str(uuid.uuid4()), str(uuid.uuid4())
        self.slice_of(owner, run_id, 0, lost)
        self.slice_of(owner, run_id, 1, str(uuid.uuid4()), "retrying")
        now = datetime.now(UTC)
        then = now - timedelta(seconds=1)
        logged("worker", then - timedelta(seconds=1), {"level": "INFO", "message": "Slice began", "run_id": run_id})
        logged("worker", then, f'{{"type":"platform.start","record":{{"requestId":"{lost}"}}}}')
        logged("worker", now, line.format(id=other))
        logged("worker", now, line.format(id=lost))
        settings = dataclasses.replace(cloud, log_groups="worker,api")

        shown = answer({"command": "logs", "run_id": run_id}, db=db, settings=settings)
        assert shown["complete"]
        levels, said = zip(*[(each["level"], each["message"]) for each in shown["lines"]], strict=True)
        assert levels == ("INFO", "INFO", "ERROR")
        assert said[:2] == ("Slice began", "Lambda: start")
        assert says in said[2]
        assert other not in str(shown)

        first, second = answer({"command": "view", "run_id": run_id}, db=db, settings=settings)["timeline"]["timeline"]
        assert first["reason"].startswith("Its worker did not end it before the lease was over. ")
        assert says in first["reason"]
        assert second["reason"] == "Its worker did not end it before the lease was over"

    def test_of_many_invocations_those_that_were_lost_are_looked_for_first(self, cloud, db, owner, logged):
        run_id, lost = system_run(owner, "db_pruning"), str(uuid.uuid4())
        self.slice_of(owner, run_id, 0, lost)
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
            f" SELECT '{run_id}', n, gen_random_uuid(), now(), 'continued' FROM generate_series(1, 200) n"
        )
        logged("worker", datetime.now(UTC), f"{lost} Task timed out after 120.00 seconds")
        settings = dataclasses.replace(cloud, log_groups="worker")
        [line] = answer({"command": "logs", "run_id": run_id}, db=db, settings=settings)["lines"]
        assert "Task timed out" in line["message"]
        seen = answer({"command": "view", "run_id": run_id}, db=db, settings=settings)
        assert seen["slices"] == 201

    def test_a_pattern_is_as_long_as_cloudwatch_takes_it(self, cloud, db, owner, logged, monkeypatch):
        run_id = system_run(owner, "db_pruning")
        owner.run_script(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
            f" SELECT '{run_id}', n, gen_random_uuid(), now(), 'continued' FROM generate_series(0, 200) n"
        )
        patterns, logs = [], clients.client("logs")
        asked = logs.filter_log_events
        monkeypatch.setattr(
            logs, "filter_log_events", lambda **call: patterns.append(call["filterPattern"]) or asked(**call)
        )
        answer({"command": "logs", "run_id": run_id}, db=db, settings=dataclasses.replace(cloud, log_groups="worker"))
        assert [pattern.count("?") for pattern in patterns] == [0, 24, 24, 24]
        assert max(map(len, patterns)) <= 1024
        assert patterns[0] == f'"{run_id}"'

    def test_a_run_is_viewed_where_no_logs_can_be_read(self, cloud, db, owner):
        run_id = system_run(owner, "db_pruning")
        self.slice_of(owner, run_id, 0, str(uuid.uuid4()))
        settings = dataclasses.replace(cloud, log_groups="missing")
        [entry] = answer({"command": "view", "run_id": run_id}, db=db, settings=settings)["timeline"]["timeline"]
        assert entry["reason"] == "Its worker did not end it before the lease was over"

    def test_a_line_is_cut_and_an_answer_has_a_bound(self, cloud, db, owner, logged, monkeypatch):
        run_id = system_run(owner, "db_pruning")
        for number in range(3):
            text = str(number) * 9_000
            logged("worker", datetime.now(UTC), {"message": text, "run_id": run_id, "deep": [text], "n": number})
        settings = dataclasses.replace(cloud, log_groups="worker")
        said = answer({"command": "logs", "run_id": run_id}, db=db, settings=settings)
        assert (len(said["lines"]), said["complete"]) == (3, True)
        assert said["lines"][2]["message"] == "2" * 8_000 + "… (1,000 more characters)"
        assert said["lines"][2]["fields"]["deep"] == '["' + "2" * 7_998 + "… (1,004 more characters)"
        monkeypatch.setattr("nightshift.operator.log_lines.MOST_BYTES", 40_000)
        said = answer({"command": "logs", "run_id": run_id}, db=db, settings=settings)
        assert ([line["fields"]["n"] for line in said["lines"]], said["complete"]) == ([1, 2], False)

    def test_a_line_nested_without_end_is_text(self, cloud, db, owner, logged):
        run_id = system_run(owner, "db_pruning")
        logged("worker", datetime.now(UTC), f'{{"run_id": "{run_id}", "deep": {"[" * 20_000}{"]" * 20_000}}}')
        settings = dataclasses.replace(cloud, log_groups="worker")
        [line] = answer({"command": "logs", "run_id": run_id}, db=db, settings=settings)["lines"]
        assert line["message"].startswith('{"run_id"')

    @pytest.mark.parametrize("line", ['["{}"]', '"{}"', "{} with words", 'null "{}"'])
    def test_a_line_that_is_no_object_is_shown_as_it_is(self, cloud, db, owner, logged, line):
        run_id = system_run(owner, "db_pruning")
        logged("worker", datetime.now(UTC), line.format(run_id))
        settings = dataclasses.replace(cloud, log_groups="worker")
        [shown] = answer({"command": "logs", "run_id": run_id}, db=db, settings=settings)["lines"]
        assert (shown["level"], shown["message"], shown["fields"]) == (None, line.format(run_id), {})

    def test_a_run_that_is_none(self, cloud, db):
        said = answer({"command": "logs", "run_id": RUN_ID}, db=db, settings=cloud)
        assert said == {"error": f"Unknown run {RUN_ID}"}

"""Instance classes, connections and concurrency fit together, also while two releases run side by side."""

import json
import re
from pathlib import Path

from nightshift.database import session_pins
from nightshift.operator.account_checks import LEFT_AT_LEAST
from tests.template.reading import (
    CONCURRENCY,
    FUNCTIONS,
    MEMORY_GIB,
    SYSTEM_JOBS,
    TEMPLATE,
    TOPIC,
    concurrencies,
    default,
    translated_with_code,
)


def test_the_sessions_of_two_releases_leave_the_database_connections_for_others():
    """Each environment keeps a session until it is idle for minutes, and Lambda tells none that a release replaced it.

    A running system job has three sessions, of which its function keeps one, and only one run of each type is live.
    """
    maintenance = 2 * len(SYSTEM_JOBS)
    others = 3 + 2 + 2 + 1  # schedules at the same minute, two sweeps, an operator and doctor, a setup
    migration = 1
    for name, connections in CONNECTIONS.items():
        of_one_release = sum(concurrencies(name).values()) + others
        # Postgres and RDS reserve five, three for superusers and two for RDS.
        assert 2 * of_one_release + maintenance + migration <= connections["Most"] - 5, name
        assert of_one_release + maintenance + migration <= connections["Many"], name
        # A person with psql needs one, too.
        assert connections["Most"] - connections["Many"] >= 10, name


def test_an_idle_session_outlives_each_invocation_and_no_release_by_long():
    minutes = int(session_pins.PINS["idle_session_timeout"].removesuffix("min"))
    longest = max(function["Timeout"] for name, function in FUNCTIONS.items() if name not in OF_ITSELF)
    assert max(longest, TEMPLATE["Parameters"]["WorkerTimeout"]["MaxValue"]) < 60 * minutes <= 600


# The worker's time is a parameter, and the migrate function connects as the schema owner, who has no such limit.
OF_ITSELF = ("WorkerFunction", "MigrateFunction")


def test_the_concurrency_of_each_queue_is_a_parameter_with_the_limits_of_sqs():
    mappings = {
        name: event["Properties"]["ScalingConfig"]["MaximumConcurrency"]
        for name, function in FUNCTIONS.items()
        for event in function.get("Events", {}).values()
        if event["Type"] == "SQS"
    }
    assert mappings == {name: {"Ref": parameter} for name, parameter in CONCURRENCY.items()}
    for parameter in CONCURRENCY.values():
        limits = TEMPLATE["Parameters"][parameter]
        assert (limits["Type"], limits["MinValue"], limits["MaxValue"]) == ("Number", 2, 1000)


CONNECTIONS = TEMPLATE["Mappings"]["Connections"]


# A class's memory in GiB, and max_connections as RDS set it: memory / 9531392. That memory is less than the class's,
# because RDS reserves some; seen on db.t4g.micro, db.t4g.small and db.m7g.large. RDS reserves a smaller share of a
# larger class. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
SEEN = {1: 79, 2: 181, 8: 832}


def test_a_class_is_told_to_take_no_more_connections_than_its_memory_bears():
    assert list(CONNECTIONS) == TEMPLATE["Parameters"]["DatabaseClass"]["AllowedValues"] == list(MEMORY_GIB)
    for name, gib in MEMORY_GIB.items():
        assert CONNECTIONS[name]["Most"] <= max(seen * gib / of for of, seen in SEEN.items() if of <= gib), name


def test_server_and_alarm_have_the_same_number_of_connections_in_mind():
    settings = TEMPLATE["Resources"]["DatabaseParameters"]["Properties"]["Parameters"]
    assert settings["max_connections"] == {"Fn::FindInMap": ["Connections", {"Ref": "DatabaseClass"}, "Most"]}
    alarm = TEMPLATE["Resources"]["DatabaseConnectionsAlarm"]["Properties"]
    assert alarm["Threshold"] == {"Fn::FindInMap": ["Connections", {"Ref": "DatabaseClass"}, "Many"]}
    for name, connections in CONNECTIONS.items():
        assert connections["Many"] == int(0.8 * connections["Most"]), name


def test_the_api_takes_no_more_calls_at_once_than_it_has_connections():
    settings = TEMPLATE["Resources"]["HttpApi"]["Properties"]["RouteSettings"]["$default"]
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ApiConcurrency"}


def test_a_route_with_a_throttle_of_its_own_cannot_be_renamed():
    """API Gateway compares these keys with the live routes in both directions, before and after they change."""
    assert TEMPLATE["Resources"]["HttpApi"]["Properties"]["RouteSettings"].keys() == {"$default"}
    paths = translated_with_code("a")["HttpApi"]["Properties"]["Body"]["paths"]
    assert "ApiFunction" in json.dumps(paths.pop("$default"))
    # Requests to the other routes open no connection.
    assert "ApiFunction" not in json.dumps(paths)


def test_a_first_visit_finds_all_modules():
    files = sum(path.is_file() for path in Path("functions/dashboard/static").rglob("*"))
    settings = TEMPLATE["Resources"]["HttpApi"]["Properties"]["DefaultRouteSettings"]
    assert settings["ThrottlingBurstLimit"] >= 10 * files


def test_nothing_is_reserved_for_the_api_unless_the_parameter_says_so():
    """An account with ten concurrent executions refuses any reservation."""
    assert default("ApiReservedConcurrency") == 0
    assert FUNCTIONS["ApiFunction"]["ReservedConcurrentExecutions"] == {
        "Fn::If": ["ReserveForApi", {"Ref": "ApiReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
    }
    assert [name for name, each in FUNCTIONS.items() if "ReservedConcurrentExecutions" in each] == ["ApiFunction"]


def test_the_page_says_what_ten_concurrent_executions_are_enough_for():
    queues = sum(map(default, CONCURRENCY.values()))
    page = " ".join(Path("docs/deploy.md").read_text().split())
    assert f"The queues alone may use {queues} (" in page
    fewer = int(re.search(r"start with `WorkerConcurrency=(\d+)`", page)[1])
    used = queues - default("WorkerConcurrency") + fewer
    assert used + LEFT_AT_LEAST == 10
    assert f"the queues then use {used}, and {LEFT_AT_LEAST} are left" in page


def test_the_doctor_knows_how_much_the_queues_may_use():
    variables = FUNCTIONS["OperateFunction"]["Environment"]["Variables"]
    for parameter, variable in zip(
        CONCURRENCY.values(),
        ("WORKER_CONCURRENCY", "MAIL_CONCURRENCY", "EVENT_CONCURRENCY", "ALERT_CONCURRENCY"),
        strict=True,
    ):
        assert variables[variable] == {"Ref": parameter}
    assert variables["ALARM_TOPIC_ARN"] == TEMPLATE["Outputs"]["AlarmTopicArn"]["Value"] == TOPIC

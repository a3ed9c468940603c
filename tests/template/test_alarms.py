"""Alarms, logs and the CloudWatch dashboard: what goes wrong reaches a person, with what to do."""

import json
import re

import pytest

from nightshift.base import metrics
from nightshift.jobs.registry import JOB_TYPES
from operate.app import COMMANDS
from tests.template.reading import FUNCTIONS, SYSTEM_JOBS, TEMPLATE, TOPIC, default, word_of


def test_the_storage_alarm_is_silent_while_rds_adds_storage():
    """RDS does so when less than a tenth is free, and the volume has at least the parameter's least value."""
    smallest = TEMPLATE["Parameters"]["DatabaseStorageGb"]["MinValue"] * 2**30
    assert ALARMS["DatabaseStorageAlarm"]["Threshold"] < smallest / 10


def test_what_rds_says_reaches_the_topic_of_the_alarms():
    events = TEMPLATE["Resources"]["DatabaseEvents"]["Properties"]
    assert events["SnsTopicArn"] == TOPIC
    assert events["SourceIds"] == [{"Ref": "Database"}]
    assert {"failover", "failure", "low storage", "maintenance"} <= set(events["EventCategories"])
    allowed, _ = TEMPLATE["Resources"]["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "events.rds.amazonaws.com"]}
    # RDS tries the topic when the subscription is created.
    assert '"AlarmTopicPolicy"' in json.dumps(events["Tags"])


def test_a_dropped_call_of_a_function_that_eventbridge_calls_raises_an_alarm():
    called = {name for name, function in FUNCTIONS.items() if "EventInvokeConfig" in function}
    watched = {
        alarm["Dimensions"][0]["Value"]["Ref"]
        for alarm in ALARMS.values()
        if alarm["MetricName"] == "AsyncEventsDropped"
    }
    assert called == {"ScheduleFunction", "SweepFunction"}
    # A rotation of passwords may wait for the hours that Lambda's own limits allow.
    assert watched == called | {"MigrateFunction"}
    delivery = ALARMS["ScheduleUndeliveredAlarm"]
    assert delivery["MetricName"] == "DestinationDeliveryFailures"
    with_destination = {name for name in called if "DestinationConfig" in FUNCTIONS[name]["EventInvokeConfig"]}
    assert delivery["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": name}} for name in with_destination]


def test_every_log_forgets_when_the_parameter_says():
    """This matters most for the API's access log, which holds the callers' addresses."""
    groups = {
        name: resource["Properties"]
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::Logs::LogGroup"
    }
    assert "ApiAccessLog" in groups
    for name, properties in groups.items():
        assert properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name
    assert default("LogRetentionDays") in TEMPLATE["Parameters"]["LogRetentionDays"]["AllowedValues"]


ALARMS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}


WIDGETS = json.loads(TEMPLATE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])["widgets"]


STACK = {"Ref": "AWS::StackName"}


def words_of(alarm):
    description = ALARMS[alarm]["AlarmDescription"]
    return description if isinstance(description, str) else description["Fn::Sub"]


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_reaches_somebody_and_tells_what_to_do(alarm):
    assert ALARMS[alarm]["AlarmActions"] == ALARMS[alarm]["OKActions"] == [TOPIC]
    assert "TreatMissingData" in ALARMS[alarm]
    commands = re.findall(r"`([^`]+)`", words_of(alarm))
    assert commands, words_of(alarm)
    for command in commands:
        ours = re.match(r"nightshift system (\w+)", command)
        assert ours[1] in COMMANDS if ours else command.startswith("aws "), command
        # The mails of all stacks look alike, and without a name the command calls the local stack.
        assert not ours or command.endswith(" --stack ${AWS::StackName}"), command
    assert len(words_of(alarm)) < 1024


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_names_what_there_is(alarm):
    for reference in re.findall(r"\$\{([\w:]+)", words_of(alarm)):
        assert reference == "AWS::StackName" or reference in TEMPLATE["Resources"]
    watched = ALARMS[alarm]
    if watched["Namespace"] == metrics.NAMESPACE:
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in watched["Dimensions"]}
        expected = {"service", "job_type"} if watched["MetricName"] in metrics.OF_A_JOB_TYPE else {"service"}
        assert watched["MetricName"] in metrics.OF_A_JOB_TYPE | metrics.OF_THE_STACK
        assert dimensions.keys() == expected
        assert dimensions["service"] == STACK
        assert dimensions.get("job_type", "db_pruning") in JOB_TYPES


def test_two_stacks_have_metrics_of_their_own():
    assert TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == STACK


def test_somebody_hears_of_every_system_job_that_fails():
    heard_of = {
        dimension["Value"]
        for alarm in ALARMS.values()
        if alarm["MetricName"] == "RunsFailed"
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "job_type"
    }
    assert heard_of == {job_type.name for job_type in JOB_TYPES.values() if job_type.scope == "system"}


def test_a_sweep_comes_every_minute_and_is_not_repeated_beside_the_next():
    sweep = FUNCTIONS["SweepFunction"]
    assert sweep["Events"]["EveryMinute"]["Properties"] == {"Schedule": "rate(1 minute)"}
    assert sweep["Timeout"] < 60
    assert sweep["EventInvokeConfig"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}


def test_a_sweep_that_does_not_run_is_no_silence():
    assert ALARMS["SweepSilentAlarm"]["TreatMissingData"] == "breaching"
    assert ALARMS["SweepSilentAlarm"]["Period"] == 300


def test_the_dashboard_shows_every_alarm():
    [alarms] = [widget["properties"]["alarms"] for widget in WIDGETS if widget["type"] == "alarm"]
    # Fn::Sub has no conditions and no loops, so the dashboard omits conditional alarms and those of system jobs, which
    # send mails. It shows each job's failed runs beside the alarms.
    of_a_job = {f"{word_of(job)}FailedAlarm" for job in SYSTEM_JOBS}
    always = [alarm for alarm in ALARMS if "Condition" not in TEMPLATE["Resources"][alarm] and alarm not in of_a_job]
    assert sorted(alarms) == sorted(f"${{{alarm}.Arn}}" for alarm in always)
    [failed] = [widget["properties"] for widget in WIDGETS if widget["properties"].get("view") == "singleValue"]
    assert 'MetricName="RunsFailed"' in failed["metrics"][0][0]["expression"]


def test_the_dashboard_shows_what_the_code_counts():
    shown = [line for widget in WIDGETS for line in widget["properties"].get("metrics", [])]
    of_the_stack = {line[1] for line in shown if line[0] == metrics.NAMESPACE}
    searched = [line[0]["expression"] for line in shown if isinstance(line[0], dict)]
    of_a_job_type = {re.search(r'MetricName="(\w+)"', expression)[1] for expression in searched}
    assert all("{Nightshift,job_type,service}" in expression for expression in searched)
    assert of_the_stack <= metrics.OF_THE_STACK.keys()
    assert of_a_job_type <= metrics.OF_A_JOB_TYPE.keys()
    # The others have alarms, and RunsStarted equals the number of lags.
    counted = metrics.OF_A_JOB_TYPE.keys() | metrics.OF_THE_STACK.keys()
    assert counted - of_a_job_type - of_the_stack == {
        *("JobsOverdue", "SlotsMissed", "RowsSetAside", "TeamsFailing", "SystemFailures", "RunsStarted")
    }


def test_every_dead_letter_queue_raises_an_alarm():
    resources = TEMPLATE["Resources"]
    queues = {name for name, resource in resources.items() if name.endswith("DeadLetters")}
    for queue in queues:
        alarm = resources[f"{queue}Alarm"]["Properties"]
        assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
        assert alarm["AlarmActions"] == [TOPIC]

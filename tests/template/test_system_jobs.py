"""Each scheduled system job has its lines in the template, and its schedule reaches rule and ledger."""

import json
import re

import pytest

from nightshift.schedules.cron import from_five_fields
from nightshift.schedules.entries import with_usual_schedules
from nightshift.schedules.slots import GRACE
from tests.template.reading import FUNCTIONS, SYSTEM_JOBS, TEMPLATE, evaluated, expression, word_of

LINES = TEMPLATE["Mappings"]["SystemJobs"]


RULE = "AWS::Events::Rule"


def line_of(job):
    usual = from_five_fields(SYSTEM_JOBS[job].schedule).eventbridge
    return {"JobType": job, "Entry": f" {job}=cron(", "Fields": usual.removeprefix("cron(").removesuffix(")")}


def test_the_template_has_the_word_and_the_line_of_each_scheduled_job_and_no_other():
    rules = {name for name, each in TEMPLATE["Resources"].items() if each["Type"] == RULE}
    words = {name.removesuffix("Rule") for name in rules - {"MailEventsRule", "PasswordRotationRule"}}
    wanted = {word_of(job): line_of(job) for job in SYSTEM_JOBS}
    wrong = [f"add the word {word} to the list of Fn::ForEach::SystemJobs" for word in wanted if word not in words]
    for word, line in wanted.items():
        if LINES.get(word) != line:
            written = """{{ JobType: {JobType}, Entry: "{Entry}", Fields: "{Fields}" }}""".format(**line)
            wrong.append(f"Mappings.SystemJobs must have the line `{word}: {written}`")
    surplus = {*words, *LINES} - {*wanted}
    wrong += [f"remove {word}, because no job with a schedule has this name" for word in sorted(surplus)]
    assert not wrong, f"template.yaml differs from the registry: {'; '.join(wrong)}."


@pytest.mark.parametrize("job", SYSTEM_JOBS)
def test_each_system_job_has_its_rule(job):
    rule = TEMPLATE["Resources"][f"{word_of(job)}Rule"]["Properties"]
    assert rule["Description"] == f"Starts {job}"
    [target] = rule["Targets"]
    transformed = target["InputTransformer"]["InputTemplate"].replace("<time>", '"2026-11-23T04:00:00Z"')
    assert json.loads(transformed) == {"job_type": job, "time": "2026-11-23T04:00:00Z"}
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == GRACE.total_seconds()
    permission = TEMPLATE["Resources"][f"{word_of(job)}RulePermission"]["Properties"]
    assert permission["SourceArn"] == {"Fn::GetAtt": [f"{word_of(job)}Rule", "Arn"]}


def test_rule_and_ledger_get_the_same_parameter():
    assert FUNCTIONS["MigrateFunction"]["Environment"]["Variables"]["SCHEDULES"] == {"Ref": "Schedules"}
    # A change makes CloudFormation call the migrate function again.
    assert TEMPLATE["Resources"]["Migrations"]["Properties"]["Schedules"] == {"Ref": "Schedules"}


@pytest.mark.parametrize(
    ("schedules", "others"),
    [
        ("", {}),
        ("db_pruning=cron(0 2 * * ? *)", {"db_pruning": "cron(0 2 * * ? *)"}),
        ("db_pruning=cron(0 2 * * ? *);", {"db_pruning": "cron(0 2 * * ? *)"}),
        (
            "soft_delete_cleanup=cron(0/15 1-3 ? * MON-FRI *); db_pruning=cron(5,35 2 * * ? *)",
            {"soft_delete_cleanup": "cron(0/15 1-3 ? * MON-FRI *)", "db_pruning": "cron(5,35 2 * * ? *)"},
        ),
        ("partition_creation=never", {"partition_creation": ""}),
        ("retention_cleanup=cron(0 2 * * ? *)", {"retention_cleanup": "cron(0 2 * * ? *)"}),
        ("retention_cleanup=cron(30 1 * * ? *)", {"retention_cleanup": "cron(30 1 * * ? *)"}),
        (
            "partition_creation=never; db_pruning=cron(0 2 * * ? *); ",
            {"partition_creation": "", "db_pruning": "cron(0 2 * * ? *)"},
        ),
    ],
)
def test_an_entry_sets_the_time_of_its_job_in_rule_and_ledger(schedules, others):
    assert re.fullmatch(TEMPLATE["Parameters"]["Schedules"]["AllowedPattern"], schedules)
    usual = {job: from_five_fields(job_type.schedule).eventbridge for job, job_type in SYSTEM_JOBS.items()}
    off = {job: "" for job, job_type in SYSTEM_JOBS.items() if job_type.opt_in}
    assert with_usual_schedules(schedules) == usual | off | others
    for job in SYSTEM_JOBS:
        # A job that never starts keeps its usual rule; the schedule function knows that it has no schedule.
        assert evaluated(expression(job), {"Schedules": schedules}) == (others.get(job) or usual[job])


def test_an_entry_is_not_that_of_a_job_whose_name_it_ends_with():
    pruning = json.loads(json.dumps(expression("db_pruning")).replace("db_pruning", "pruning"))
    assert evaluated(pruning, {"Schedules": "db_pruning=cron(5 5 * * ? *)"}) == "cron(0 * * * ? *)"


@pytest.mark.parametrize(
    "schedules",
    [
        "db_pruning",
        "db_pruning=",
        "=never",
        "db_pruning = never",
        " db_pruning=never",
        "DbPruning=never",
        "db_pruning=0 2 * * *",
        "db_pruning=rate(1 hour)",
        "db_pruning=cron()",
        "db_pruning=cron(0 2 * * ? *",
        "db_pruning=cron(0 2 * * ? *);partition_creation=never",
        "db_pruning=cron(0 2 * * ? *), partition_creation=never",
        "db_pruning=cron(0 2 * * ? *) partition_creation=never",
        "db_pruning=cron(0 partition_creation=cron(0 2 * * ? *)",
        "db_pruning=never;; partition_creation=never",
        "db_pruning=never\n",
    ],
)
def test_cloudformation_refuses_an_entry_that_the_rules_would_not_find(schedules):
    assert not re.fullmatch(TEMPLATE["Parameters"]["Schedules"]["AllowedPattern"], schedules)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_writes_to_a_log_of_its_own(function):
    group = FUNCTIONS[function]["LoggingConfig"]["LogGroup"]["Ref"]
    assert group == f"{function.removesuffix('Function')}Logs"
    assert TEMPLATE["Resources"][group]["Type"] == "AWS::Logs::LogGroup"

"""template.yaml matches the registry, the settings and the shipped code."""

import ast
import json
import re
from dataclasses import fields
from pathlib import Path

import boto3
import pytest

from local.deployment.template import PATH, load, translate
from local.postgres import DEPLOYED_VERSION
from nightshift.base.settings import REQUIRED, Settings
from nightshift.database.connection import CONNECT_TIMEOUT_S
from nightshift.database.migrations import LOCK_TIMEOUT_S, TIME_LIMIT_S
from nightshift.jobs.registry import JOB_TYPES, PROVIDERS
from nightshift.notify.attempts import RETRY_DELAY_S
from nightshift.notify.events import MOST_ENTRIES
from tests.template.reading import FUNCTIONS, TEMPLATE, default, translated_with_code


def test_the_tests_run_the_version_of_postgres_that_is_deployed():
    version = TEMPLATE["Parameters"]["DatabaseVersion"]
    assert version["Default"] == str(DEPLOYED_VERSION)
    allowed = [major for major in range(14, 25) if re.fullmatch(version["AllowedPattern"], str(major))]
    assert allowed == [DEPLOYED_VERSION]
    assert re.fullmatch(version["AllowedPattern"], f"{DEPLOYED_VERSION}.11")


def test_every_function_of_the_tree_is_deployed_and_nothing_else():
    handlers = {f"{path.parent.name}.app.handler" for path in Path("functions").glob("*/app.py")}
    assert sorted(function["Handler"] for function in FUNCTIONS.values()) == sorted(handlers)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_environment_variables_are_settings(function):
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    known = {field.name.upper() for field in fields(Settings)}
    assert {*shared, *own} - known == {
        "AWS_ENDPOINT_URL", "AWS_USE_DUALSTACK_ENDPOINT", "POWERTOOLS_SERVICE_NAME",
    }  # fmt: skip


def folder_of(function):
    return FUNCTIONS[function]["Handler"].partition(".")[0]


def variables_of(function):
    own = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    return TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | own


def test_required_variables_are_those_of_the_template():
    """A variable that names a resource is never empty, so the function requires it."""
    # The dashboard has no settings.
    assert {folder_of(function) for function in FUNCTIONS} - {"dashboard"} == REQUIRED.keys()
    for function in FUNCTIONS.keys() - {"DashboardFunction"}:
        required = set(REQUIRED[folder_of(function)])
        assert required <= variables_of(function).keys(), function
        references = {name: value for name, value in variables_of(function).items() if isinstance(value, dict)}
        made = {name for name, value in references.items() if value.get("Ref") in TEMPLATE["Resources"]}
        assert made <= required, function


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_gets_only_settings_that_its_code_reads(function):
    modules = imported_by(f"{folder_of(function)}.app")
    if function == "WorkerFunction":  # the registry imports a job when a run needs it
        modules |= {name for job in JOB_TYPES for name in imported_by(f"nightshift_jobs.{job}.job")}
    if function == "ApiFunction":  # it imports a provider's test of a key when one is stored
        modules |= {name for each in PROVIDERS.values() for name in imported_by(each.check.partition(":")[0])}
    code = "".join(path_of(name).read_text() for name in modules - {"nightshift.base.settings"})
    own = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    assert {name for name in own if not re.search(rf"\.{name.lower()}\b", code)} == set()


def imported_by(module):
    """Return the names of our modules that a module imports, directly or not, and its own."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in found or path_of(name) is None:
            continue
        found.add(name)
        for node in ast.walk(ast.parse(path_of(name).read_text())):
            match node:
                case ast.Import(names=names):
                    waiting += [each.name for each in names]
                case ast.ImportFrom(module=package, names=names):
                    waiting += [package, *(f"{package}.{each.name}" for each in names)]
    return found


def path_of(module):
    path = Path("functions", *module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def test_traffic_waits_for_the_migrations():
    for name, resource in TEMPLATE["Resources"].items():
        if name in FUNCTIONS and name != "MigrateFunction":
            assert resource["DependsOn"] == "Migrations", name


def test_another_database_is_brought_up_to_date_too():
    """For example, a database that was restored from a time before the last migrations."""
    own = FUNCTIONS["MigrateFunction"]["Environment"]["Variables"]
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert TEMPLATE["Resources"]["Migrations"]["Properties"]["Database"] == [
        own["DATABASE_HOST"],
        own["DATABASE_PORT"],
        shared["DATABASE_NAME"],
        own["MIGRATION_FOLDERS"],
    ]


def test_only_a_function_that_feeds_its_own_queue_may_go_round():
    """Lambda stops other chains after 16 invocations, and a run has as many slices as it needs."""
    feeds_itself = {
        name
        for name, function in FUNCTIONS.items()
        for event in function.get("Events", {}).values()
        for policy in function.get("Policies", [])
        for statement in policy["Statement"]
        if statement["Action"] == "sqs:SendMessage" and statement["Resource"] == event["Properties"].get("Queue")
    }
    assert feeds_itself == {"WorkerFunction"}
    assert {name for name, function in FUNCTIONS.items() if function.get("RecursiveLoop") == "Allow"} == feeds_itself


def test_the_page_says_how_often_sam_asks_for_a_route_without_authentication():
    """sam asks for each event of an API in which it finds no authorizer."""
    asks = {
        name: sum(event["Type"] == "HttpApi" for event in function.get("Events", {}).values())
        for name, function in FUNCTIONS.items()
    }
    assert {name: times for name, times in asks.items() if times} == {"ApiFunction": 1, "DashboardFunction": 7}
    page = " ".join(Path("docs/deploy.md").read_text().split())
    assert "*ApiFunction has no authentication. Is this okay?*" in page
    assert ", and the same seven times for *DashboardFunction*" in page
    assert "Answer **y** eight times" in page


def test_the_access_log_needs_no_room_in_the_accounts_policy():
    name = TEMPLATE["Resources"]["ApiAccessLog"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert name.startswith("/aws/vendedlogs/${AWS::StackName}/")


def test_a_slice_at_work_is_not_delivered_again():
    queue = TEMPLATE["Resources"]["RunQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * default("WorkerTimeout")
    # Throttled receives count, too.
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert FUNCTIONS["WorkerFunction"]["Events"]["Slices"]["Properties"]["BatchSize"] == 1


@pytest.mark.parametrize(("kind", "source", "batch"), [("Notify", "Mails", 1), ("Announce", "Notices", MOST_ENTRIES)])
def test_a_notice_on_its_way_is_not_attempted_again(kind, source, batch):
    queue, function = TEMPLATE["Resources"][f"{kind}Queue"]["Properties"], FUNCTIONS[f"{kind}Function"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    mapping = function["Events"][source]["Properties"]
    assert mapping["Queue"] == {"Fn::GetAtt": [f"{kind}Queue", "Arn"]}
    assert mapping["BatchSize"] == batch
    # Without this, Lambda would take the handler's answer as the success of the whole batch.
    assert mapping.get("FunctionResponseTypes") == (["ReportBatchItemFailures"] if batch > 1 else None)
    # A claim has expired when the sweep sends again.
    assert function["Timeout"] + Settings(database_host="", database_user="").lease_margin_s < RETRY_DELAY_S


@pytest.mark.parametrize("kind", ["Notify", "Announce"])
def test_whoever_ends_runs_can_send_their_mails_and_events(kind):
    for name in ("ApiFunction", "WorkerFunction", "SweepFunction"):
        assert FUNCTIONS[name]["Environment"]["Variables"][f"{kind.upper()}_QUEUE_URL"] == {"Ref": f"{kind}Queue"}
        resources = [statement["Resource"] for statement in FUNCTIONS[name]["Policies"][0]["Statement"]]
        assert {"Fn::GetAtt": [f"{kind}Queue", "Arn"]} in resources


def test_mails_come_from_one_address():
    statement, of_codes = FUNCTIONS["NotifyFunction"]["Policies"][0]["Statement"]
    assert statement["Action"] == "ses:SendEmail"
    # The codes for signing in follow from this secret; that of the tokens is not for the function that writes mails.
    assert of_codes["Resource"] == {"Fn::GetAtt": ["SignInSecret", "Id"]}
    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}


def test_events_go_to_the_bus_of_the_parameter_alone():
    [statement] = FUNCTIONS["AnnounceFunction"]["Policies"][0]["Statement"]
    assert statement["Action"] == "events:PutEvents"
    assert statement["Resource"]["Fn::Sub"].endswith(":${AWS::AccountId}:event-bus/${EventBusName}")
    for name in ("AnnounceFunction", "MigrateFunction"):
        assert FUNCTIONS[name]["Environment"]["Variables"]["EVENT_BUS_NAME"] == {"Ref": "EventBusName"}
    # A change makes endings start or stop to leave events.
    assert TEMPLATE["Resources"]["Migrations"]["Properties"]["Events"] == {"Ref": "EventBusName"}


def test_the_times_of_a_slice_fit_into_each_other():
    assert default("SliceBudget") + default("SliceReserve") <= default("WorkerTimeout")
    assert default("LeaseMargin") > 0
    assert default("ResendDelay") > default("LeaseMargin")
    # The API answers before API Gateway gives up after 30 seconds.
    assert FUNCTIONS["ApiFunction"]["Timeout"] < 30


@pytest.mark.parametrize("function", [function for function in FUNCTIONS if function != "DashboardFunction"])
def test_a_silent_database_is_given_up_before_lambda_gives_up(function):
    properties = FUNCTIONS[function]
    timeout_s = default("WorkerTimeout") if function == "WorkerFunction" else properties["Timeout"]
    tries = 1 if function == "MigrateFunction" else 2  # a kept connection that died unnoticed, and the one after it
    assert tries * driver_timeout_s(function) + CONNECT_TIMEOUT_S < timeout_s


def test_the_server_ends_a_workers_statement_before_the_driver_gives_up():
    [server_s] = re.findall(r"SET statement_timeout = ''(\d+)s''", Path("sql/jobs/0007_roles.sql").read_text())
    assert int(server_s) < driver_timeout_s("WorkerFunction")


def driver_timeout_s(function):
    own = FUNCTIONS[function]["Environment"]["Variables"]
    return float(own.get("DATABASE_TIMEOUT_S", Settings(database_host="", database_user="").database_timeout_s))


def test_a_migration_is_ended_by_the_server_before_the_function_is():
    assert TIME_LIMIT_S + LOCK_TIMEOUT_S < driver_timeout_s("MigrateFunction") < FUNCTIONS["MigrateFunction"]["Timeout"]
    assert TEMPLATE["Resources"]["Migrations"]["Properties"]["ServiceTimeout"] > FUNCTIONS["MigrateFunction"]["Timeout"]


def test_no_alias_stands_before_a_function():
    """With an alias, a parameter's new value would not reach callers, and no deployment would report that.

    SAM publishes a version when the text of the template changes. If SAM compares values one day, an alias could remove
    the moment in which CloudFormation has updated a function's code but not its layer.
    https://github.com/aws/serverless-application-model/issues/3820
    """
    assert versions_with_an_alias(SliceBudget=90) == versions_with_an_alias(SliceBudget=60)
    for name, function in (FUNCTIONS | {"Globals": TEMPLATE["Globals"]["Function"]}).items():
        assert "AutoPublishAlias" not in function or name == "MigrateFunction", name


def test_the_migrations_know_by_a_version_that_the_code_has_changed_and_run_the_code_as_it_is():
    """SAM publishes a version when the code has another key in S3; CloudFormation calls the code as it is now."""
    migrations = TEMPLATE["Resources"]["Migrations"]["Properties"]
    assert migrations["Code"] == {"Ref": "MigrateFunction.Version"}
    assert migrations["ServiceToken"] == {"Fn::GetAtt": ["MigrateFunction", "Arn"]}
    first, again, other = (translated_with_code(key)["Migrations"]["Properties"]["Code"] for key in ("a", "a", "b"))
    assert first == again != other


def versions_with_an_alias(**defaults):
    """Return the logical ids of the versions that SAM would publish. A new id is a new version."""
    template = load(PATH)
    template["Globals"]["Function"] |= {"AutoPublishAlias": "live", "AutoPublishAliasAllProperties": True}
    for parameter, value in defaults.items():
        template["Parameters"][parameter]["Default"] = value
    translated = translate(
        template,
        package=lambda logical_id, folder: {"Bucket": "artifacts", "Key": folder},
        session=boto3.Session(region_name="us-east-1"),
    )
    versions = {
        name for name, resource in translated["Resources"].items() if resource["Type"] == "AWS::Lambda::Version"
    }
    assert len(versions) == len(FUNCTIONS)
    return versions


def test_variables_are_text():
    """AWS converts numbers to text; local AWS and readers of the template should not need to."""
    for name, function in FUNCTIONS.items():
        for variable, value in function.get("Environment", {}).get("Variables", {}).items():
            assert not isinstance(value, int), f"{name}: {variable}"


def test_a_deployment_makes_partitions_for_as_many_months_as_the_nightly_job():
    wanted = {"Ref": "PartitionMonthsAhead"}
    for function in ("MigrateFunction", "WorkerFunction"):
        assert FUNCTIONS[function]["Environment"]["Variables"]["PARTITION_MONTHS_AHEAD"] == wanted
    assert TEMPLATE["Resources"]["Migrations"]["Properties"]["Months"] == wanted


def test_a_subnet_waits_for_the_block_that_it_reads():
    """A new VPC has no IPv6 block yet: `Fn::Select cannot select nonexistent value at index 0`."""
    for name, resource in TEMPLATE["Resources"].items():
        if "Ipv6CidrBlock" in resource.get("Properties", {}) and resource["Type"] == "AWS::EC2::Subnet":
            tags = json.dumps(resource["Properties"]["Tags"])
            assert json.dumps({"Key": "Ipv6", "Value": {"Ref": "VpcIpv6"}}) in tags, name


def test_the_console_asks_for_every_parameter_in_a_group():
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    asked = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(asked) == sorted(TEMPLATE["Parameters"])

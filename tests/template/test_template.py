"""template.yaml matches the registry, the settings and the shipped code."""

import ast
import json
import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import boto3
import pytest

from local import roles
from local.deployment.deploy import WITHOUT_TLS
from local.deployment.template import PATH, load, translate
from local.postgres import DEPLOYED_VERSION
from local.stack import PARAMETERS
from nightshift.base import metrics
from nightshift.base.settings import REQUIRED, Settings
from nightshift.database import session_pins
from nightshift.database.connection import CONNECT_TIMEOUT_S
from nightshift.database.migrations import LOCK_TIMEOUT_S, TIME_LIMIT_S
from nightshift.database.session_pins import ROLES
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify.attempts import RETRY_DELAY_S
from nightshift.notify.events import MOST_ENTRIES
from nightshift.operator.account_checks import LEFT_AT_LEAST
from nightshift.schedules.cron import from_five_fields
from nightshift.schedules.entries import with_usual_schedules
from nightshift.schedules.slots import GRACE
from nightshift.tenants.integrations import _context
from nightshift.tenants.tokens import trouble_with
from operate.app import COMMANDS
from tools import rds_roots
from tools.policies import policies

TEMPLATE = load(PATH)
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}


# Actions without resource-level permissions; each only reads.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsimpleemailservicev2.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
WITHOUT_RESOURCE = {"ses:GetAccount", "lambda:GetAccountSettings"}


def default(parameter):
    return TEMPLATE["Parameters"][parameter]["Default"]


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
    assert {name: times for name, times in asks.items() if times} == {"ApiFunction": 1, "DashboardFunction": 3}
    page = " ".join(Path("docs/deploy.md").read_text().split())
    assert (
        "*ApiFunction has no authentication. Is this okay?*, and the same three times for *DashboardFunction*" in page
    )
    assert "Answer **y** four times" in page


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
    [statement] = FUNCTIONS["NotifyFunction"]["Policies"][0]["Statement"]
    assert statement["Action"] == "ses:SendEmail"
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


SMALLEST = "db.t4g.micro"


def concurrencies(name):
    """Return the parameters of how many functions and requests may be at work, for a database of this class."""
    usual = {parameter: default(parameter) for parameter in (*CONCURRENCY.values(), "ApiConcurrency")}
    return usual | ({"WorkerConcurrency": 4, "ApiConcurrency": 14} if name == SMALLEST else {})


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


# How many of these functions work at the same time, and so how many connections they have.
CONCURRENCY = {
    "WorkerFunction": "WorkerConcurrency",
    "NotifyFunction": "MailConcurrency",
    "AnnounceFunction": "EventConcurrency",
}


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
MEMORY_GIB = {
    "db.t4g.micro": 1, "db.t4g.small": 2, "db.t4g.medium": 4, "db.t4g.large": 8, "db.m8g.large": 8,
    "db.m8g.xlarge": 16, "db.r8g.large": 16,
}  # fmt: skip


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
    assert watched == called == {"ScheduleFunction", "SweepFunction"}
    delivery = ALARMS["ScheduleUndeliveredAlarm"]
    assert delivery["MetricName"] == "DestinationDeliveryFailures"
    with_destination = {name for name in called if "DestinationConfig" in FUNCTIONS[name]["EventInvokeConfig"]}
    assert delivery["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": name}} for name in with_destination]


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
        CONCURRENCY.values(), ("WORKER_CONCURRENCY", "MAIL_CONCURRENCY", "EVENT_CONCURRENCY"), strict=True
    ):
        assert variables[variable] == {"Ref": parameter}
    assert variables["ALARM_TOPIC_ARN"] == TEMPLATE["Outputs"]["AlarmTopicArn"]["Value"] == TOPIC


def test_what_the_data_depend_on_outlives_the_stack():
    for name in ("IntegrationsKey", "JwtSecret"):
        assert TEMPLATE["Resources"][name]["DeletionPolicy"] == "Retain"


def test_no_resource_has_a_name_of_its_own():
    """Two stacks can then exist side by side, and a resource can be replaced."""
    for name, resource in TEMPLATE["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Permission":
            continue  # the function that it belongs to
        named = {
            "FunctionName",
            "QueueName",
            "RoleName",
            "LayerName",
            "TableName",
            "Name",
            "LogGroupName",
            "AlarmName",
            "DashboardName",
            "TopicName",
        }
        # The access log's name has to begin in a certain way, and a function finds its role's secret by its name. The
        # stack's name is a part of both.
        allowed = {"LogGroupName"} if name == "ApiAccessLog" else {"Name"} if name.endswith("DatabaseSecret") else set()
        own = named & set(resource.get("Properties", {}))
        assert own == allowed, name
        assert all("${AWS::StackName}" in resource["Properties"][each]["Fn::Sub"] for each in own), name


def test_queues_and_topics_are_reached_by_tls_alone():
    """A queue and a topic have one policy each: a second one would replace the first."""
    refused = [
        (kind, name["Ref"])
        for resource in TEMPLATE["Resources"].values()
        for kind in ("Queues", "Topics")
        for name in resource.get("Properties", {}).get(kind, [])
        if denied_without_tls(resource["Properties"], name["Ref"])
    ]
    made = {
        "Queues": {name for name, each in TEMPLATE["Resources"].items() if each["Type"] == "AWS::SQS::Queue"},
        "Topics": {name for name, each in TEMPLATE["Resources"].items() if each["Type"] == "AWS::SNS::Topic"},
    }
    assert sorted(refused) == sorted((kind, name) for kind, names in made.items() for name in names)


def denied_without_tls(properties, name):
    statements = properties["PolicyDocument"]["Statement"]
    [denied] = [statement for statement in statements if statement["Effect"] == "Deny"]
    assert denied["Principal"] == "*"
    assert denied["Condition"] == WITHOUT_TLS
    return denied["Resource"] in ({"Fn::GetAtt": [name, "Arn"]}, {"Ref": name})


def test_a_queue_takes_dead_letters_only_if_a_queue_of_ours_sends_them():
    """A queue's own name of its sources would make a circle, so CloudFormation cannot name them."""
    queues = {name: each["Properties"] for name, each in TEMPLATE["Resources"].items() if name.endswith("DeadLetters")}
    targets = {
        each["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for each in TEMPLATE["Resources"].values()
        if "RedrivePolicy" in each.get("Properties", {})
    }
    for name, properties in queues.items():
        wanted = "allowAll" if name in targets else "denyAll"
        assert properties["RedriveAllowPolicy"] == {"redrivePermission": wanted}, name


def test_a_secret_is_encrypted_and_decrypted_only_with_its_project():
    bound = {
        statement["Action"]: statement["Condition"]
        for function in FUNCTIONS.values()
        for policy in function.get("Policies", [])
        for statement in policy["Statement"]
        if statement["Action"] in ("kms:Decrypt", "kms:Encrypt")
    }
    [name] = _context("a project")
    condition = {"StringLike": {f"kms:EncryptionContext:{name}": "?*"}}
    assert bound == {"kms:Decrypt": condition, "kms:Encrypt": condition}


def test_the_dashboard_may_write_its_log_and_nothing_else():
    """SAM lets each function that has a VpcConfig manage network interfaces, even if its value is AWS::NoValue."""
    role = translated_with_code("a")["DashboardFunctionRole"]["Properties"]
    assert [arn.rpartition("/")[2] for arn in role["ManagedPolicyArns"]] == ["AWSLambdaBasicExecutionRole"]
    assert "Policies" not in role


def test_s3_is_reached_for_the_answers_of_custom_resources_alone():
    """Nothing else of ours is in S3: the functions have neither a permission for it nor a setting with a bucket."""
    [statement] = TEMPLATE["Resources"]["S3Endpoint"]["Properties"]["PolicyDocument"]["Statement"]
    text, values = statement["Resource"]["Fn::Sub"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "s3:PutObject")
    assert text == "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${Region}/*"
    assert values == {"Region": {"Fn::Join": ["", {"Fn::Split": ["-", {"Ref": "AWS::Region"}]}]}}
    actions = json.dumps([function.get("Policies", []) for function in FUNCTIONS.values()])
    assert '"s3:' not in actions


URLS = [name for name in TEMPLATE["Parameters"] if name.endswith("Url")]


@pytest.mark.parametrize("parameter", URLS)
def test_addresses_begin_with_https_except_on_this_machine(parameter):
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, default(parameter))
    assert re.fullmatch(pattern, "https://example.com/{run_id}")
    for refused in ("http://example.com/", "example.com", "http://127.0.0.1.example.com/", "https://", "ftp://a/"):
        assert not re.fullmatch(pattern, refused), refused


def test_each_policy_is_linted_with_arns_in_place_of_references():
    resources = translated_with_code("a")
    written = dict(policies({"Resources": resources}))
    kinds = {"AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::IAM::ManagedPolicy", "AWS::KMS::Key"}
    for name, resource in resources.items():
        own = len(resource["Properties"].get("Policies", [])) if resource["Type"] == "AWS::IAM::Role" else 0
        own += resource["Type"] in kinds or name == "S3Endpoint"
        assert len([each for each in written if each.partition("-")[0] == name]) == own, name
    for name, policy in written.items():
        for statement in policy["Statement"]:
            resource = statement["Resource"]
            for arn in resource if isinstance(resource, list) else [resource]:
                assert re.match(r"arn:aws:[a-z0-9-]+:", arn) or arn == "*", (name, arn)
    # Both branches of a choice are linted.
    assert {each["Action"] for each in written["ApiSignIn"]["Statement"]} == {
        *("rds-db:connect", "secretsmanager:GetSecretValue")
    }


def test_queues_are_encrypted():
    for name, resource in TEMPLATE["Resources"].items():
        if resource["Type"] == "AWS::SQS::Queue":
            assert resource["Properties"]["SqsManagedSseEnabled"] is True, name


def test_whatever_a_check_passes_over_has_its_reason():
    for name, resource in TEMPLATE["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"].split()) > 3, f"{name}: {skip['id']}"
    skips = ((".checkov.yaml", r" *- CKV"), ("template.yaml", " *ignore_checks:"), (".parliament.yaml", "[A-Z_]+:"))
    for path, skipped in skips:
        lines = Path(path).read_text().splitlines()
        for above, line in pairwise(lines):
            assert not re.match(skipped, line) or above.lstrip().startswith("# "), f"{path}: {line}"


def test_policies_name_one_action_and_one_resource():
    for name, function in FUNCTIONS.items():
        for policy in function.get("Policies", []):
            # !If [condition, policy, nothing]
            for statement in policy.get("Fn::If", [None, policy])[1]["Statement"]:
                assert isinstance(statement["Action"], str), name
                assert "*" not in statement["Action"], name
                assert statement["Resource"] != "*" or statement["Action"] in WITHOUT_RESOURCE, name


@pytest.mark.parametrize("function", ["OperateFunction", "SetupFunction"])
def test_the_owners_commands_are_reached_by_nobody_but_iam(function):
    assert "Events" not in FUNCTIONS[function]
    assert "FunctionUrlConfig" not in FUNCTIONS[function]
    for name, resource in TEMPLATE["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Permission":
            assert resource["Properties"]["FunctionName"] != {"Ref": function}, name


def test_who_connects_as_the_owner_of_the_tables_may_sign_in_as_that():
    [signing_in] = [
        {role["Ref"] for role in resource["Properties"]["Roles"]}
        for name, resource in TEMPLATE["Resources"].items()
        if name == "OwnerSignIn"
    ]
    assert signing_in == {"MigrateFunctionRole"}
    for name, function in FUNCTIONS.items():
        own = function.get("Environment", {}).get("Variables", {})
        for variable in ("DATABASE_HOST", "DATABASE_AUTH", "DATABASE_SECRET_ID"):
            assert (variable in own) == (name == "MigrateFunction"), name
    # Before the migrations, which CloudFormation would otherwise start as soon as the function exists.
    assert "OwnerSignIn" in str(TEMPLATE["Resources"]["Migrations"]["Properties"]["After"])


def of_role(statement):
    """Return the text of the statement's resource, with its role."""
    text = statement["Resource"]["Fn::Sub"]
    return text if isinstance(text, str) else text[0].replace("${Role}", text[1].get("Role", ""))


def test_functions_that_sign_in_with_a_password_read_that_of_their_role_alone():
    """As with tokens: the same functions, the same roles."""
    named = roles.OF_FUNCTION | {"maintenance": "nightshift_maintenance"}
    assert TEMPLATE["Mappings"]["DatabaseRoles"] == {
        function.capitalize(): {"Role": role} for function, role in named.items()
    }
    for function in roles.OF_FUNCTION:
        user = FUNCTIONS[f"{function.capitalize()}Function"]["Environment"]["Variables"]["DATABASE_USER"]
        assert user == roles.OF_FUNCTION[function]
    signs_in = {f"{function.capitalize()}SignIn": role for function, role in roles.OF_FUNCTION.items()}
    policies = {name for name in TEMPLATE["Resources"] if name.endswith("SignIn")}
    assert policies == {*signs_in, "MaintenanceSignIn", "OwnerSignIn"}
    for name, role in (signs_in | {"MaintenanceSignIn": "nightshift_maintenance"}).items():
        [choice] = TEMPLATE["Resources"][name]["Properties"]["PolicyDocument"]["Statement"]
        condition, token, password = choice["Fn::If"]
        assert (condition, token["Action"], password["Action"]) == (
            "SignInWithIam",
            "rds-db:connect",
            "secretsmanager:GetSecretValue",
        )
        assert of_role(token).endswith(f"dbuser:${{Id}}/{role}")
        assert of_role(password).endswith(f":secret:${{AWS::StackName}}/database/{role}-??????")
        assert "Condition" not in TEMPLATE["Resources"][name]


def test_each_role_that_signs_in_with_a_password_has_a_secret_before_the_migrations_set_it():
    made = {name: each for name, each in TEMPLATE["Resources"].items() if name.endswith("DatabaseSecret")}
    prefix = "${AWS::StackName}/database/"
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["DATABASE_ROLE_SECRETS"] == {"Fn::If": ["SignInWithPassword", {"Fn::Sub": prefix}, ""]}
    for name, secret in made.items():
        role = f"nightshift_{name.removesuffix('DatabaseSecret').lower()}"
        generated = secret["Properties"]["GenerateSecretString"]
        assert secret["Condition"] == "SignInWithPassword"
        assert secret["Properties"]["Name"] == {"Fn::Sub": f"{prefix}{role}"}
        # What RDS Proxy asks of a secret, and what our code reads.
        assert json.loads(generated["SecretStringTemplate"]) == {"username": role}
        assert generated["GenerateStringKey"] == "password"
    assert {secret["Properties"]["Name"]["Fn::Sub"].removeprefix(prefix) for secret in made.values()} == {*ROLES}
    # A change of DatabaseSignIn changes this property, so CloudFormation calls the function that changes the roles.
    before = {"Fn::If": ["SignInWithPassword", [{"Ref": name} for name in made], []]}
    assert TEMPLATE["Resources"]["Migrations"]["Properties"]["Secrets"] == before


@pytest.mark.parametrize(
    ("given", "functions", "owner"),
    [
        ({}, "iam", "either"),
        ({"DatabaseSignIn": "password"}, "secret", "either"),
        ({"Shape": "existing", "DatabaseResourceId": "db-A"}, "iam", "iam"),
        ({"Shape": "existing", "DatabaseResourceId": "db-A", "DatabaseOwnerSecret": "rds!db"}, "iam", "either"),
        ({"Shape": "existing", "DatabaseSignIn": "password", "DatabaseOwnerSecret": "neon"}, "secret", "secret"),
        ({"Shape": "existing", "DatabaseSignIn": "password", "DatabaseResourceId": "db-A"}, "secret", "iam"),
    ],
)
def test_functions_and_owner_sign_in_as_the_parameters_say(given, functions, owner):
    parameters, _ = refusals(given)
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS["MigrateFunction"]["Environment"]["Variables"]
    assert evaluated(shared["DATABASE_AUTH"], parameters) == evaluated(own["ROLES_AUTH"], parameters) == functions
    assert evaluated(own["DATABASE_AUTH"], parameters) == owner
    # Its policy allows no more, and no less: the password of its secret, a token, and the passwords of the roles.
    statements = TEMPLATE["Resources"]["OwnerSignIn"]["Properties"]["PolicyDocument"]["Statement"]
    met = [evaluated({"Condition": each["Fn::If"][0]}, parameters) for each in statements]
    assert met == [owner in ("secret", "either"), owner in ("iam", "either"), functions == "secret"]


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, {"MigrateFunction": "the new one", "WorkerFunction": ""}),
        ({"DatabaseProxy": "true"}, {"MigrateFunction": "the new one", "WorkerFunction": "the new one"}),
        (
            {"Shape": "existing", "DatabaseHost": "db", "DatabasePort": 5432},
            {"MigrateFunction": "db", "WorkerFunction": ""},
        ),
        (
            {"Shape": "existing", "DatabaseHost": "pooler", "DatabasePort": 6432, "DatabaseDirectHost": "db"},
            {"MigrateFunction": "db", "WorkerFunction": "db"},
        ),
    ],
)
def test_migrations_and_system_jobs_pass_by_a_pooler(given, hosts):
    parameters, _ = refusals(given)
    parameters["Database.Endpoint.Address"] = "the new one"
    for function, variable in (("MigrateFunction", "DATABASE_HOST"), ("WorkerFunction", "DATABASE_DIRECT_HOST")):
        own = FUNCTIONS[function]["Environment"]["Variables"]
        assert evaluated(own[variable], parameters) == hosts[function], function
    assert int(evaluated(FUNCTIONS["MigrateFunction"]["Environment"]["Variables"]["DATABASE_PORT"], parameters)) == 5432
    assert FUNCTIONS["WorkerFunction"]["Environment"]["Variables"]["DATABASE_DIRECT_PORT"] == {
        "Ref": "DatabaseDirectPort"
    }
    without_pooler = {"Shape": "existing", "DatabaseHost": "db", "DatabasePort": 6543}
    own = FUNCTIONS["MigrateFunction"]["Environment"]["Variables"]
    assert evaluated(own["DATABASE_PORT"], refusals(without_pooler)[0]) == 6543


def test_a_name_for_the_pooler_is_not_that_of_the_server_behind_it():
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["DATABASE_SERVER_NAME"]
    own = FUNCTIONS["MigrateFunction"]["Environment"]["Variables"]["DATABASE_SERVER_NAME"]
    given = {"Shape": "existing", "DatabaseHost": "alias", "DatabaseServerName": "name"}
    for direct, name in (("", "name"), ("db", "")):
        parameters, _ = refusals(given | {"DatabaseDirectHost": direct})
        assert (evaluated(shared, parameters), evaluated(own, parameters)) == ("name", name)


@pytest.mark.parametrize(
    ("given", "owner_id"),
    [
        ({"DatabaseResourceId": "db-A"}, "db-A"),
        ({"DatabaseResourceId": "prx-A", "DatabaseDirectHost": "h", "DatabaseDirectResourceId": "db-B"}, "db-B"),
    ],
)
def test_a_token_for_the_server_behind_a_pooler_is_of_that_server(given, owner_id):
    parameters, _ = refusals({"Shape": "existing", "DatabaseHost": "h"} | given)
    for policy, place in (("MaintenanceSignIn", 0), ("OwnerSignIn", 1), ("ApiSignIn", 0)):
        statement = TEMPLATE["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"][place]["Fn::If"][1]
        found = evaluated(statement["Resource"]["Fn::Sub"][1]["Id"], parameters)
        assert found == (parameters["DatabaseResourceId"] if policy == "ApiSignIn" else owner_id), policy


def test_the_log_of_refused_tokens_is_kept_where_there_are_tokens():
    logs = TEMPLATE["Resources"]["Database"]["Properties"]["EnableCloudwatchLogsExports"]
    assert logs == [
        "postgresql",
        "upgrade",
        {"Fn::If": ["SignInWithIam", "iam-db-auth-error", {"Ref": "AWS::NoValue"}]},
    ]


def test_a_change_to_passwords_does_not_lock_the_owner_out():
    """Until the migrations have run, the owner is a member of rds_iam through the roles, and needs a token."""
    assert TEMPLATE["Resources"]["Database"]["Properties"]["EnableIAMDatabaseAuthentication"] is True


def test_a_class_is_short_of_memory_before_tokens_fail():
    """AWS asks for 300 MiB and more beside what the server needs; a micro never has them."""
    assert default("DatabaseClass") == "db.t4g.small"
    least = TEMPLATE["Mappings"]["FreeMemory"]
    assert list(least) == list(MEMORY_GIB)
    for name, gib in MEMORY_GIB.items():
        tenth = gib * 1024**3 // 10
        assert least[name]["Least"] == (tenth if gib == 1 else max(tenth, 300 * 1024**2)), name
    alarm = TEMPLATE["Resources"]["DatabaseMemoryAlarm"]["Properties"]
    assert alarm["Threshold"] == {"Fn::FindInMap": ["FreeMemory", {"Ref": "DatabaseClass"}, "Least"]}
    assert alarm["ComparisonOperator"] == "LessThanThreshold"


def test_credits_are_watched_where_a_class_has_any():
    assert TEMPLATE["Resources"]["DatabaseCreditsAlarm"]["Condition"] == "NewBurstable"
    for name in MEMORY_GIB:
        parameters, _ = refusals({"DatabaseClass": name})
        assert evaluated({"Condition": "NewBurstable"}, parameters) == name.startswith("db.t"), name
    parameters, _ = refusals({"Shape": "existing"})
    assert not evaluated({"Condition": "NewBurstable"}, parameters)


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


def translated_with_code(key):
    template = load(PATH)
    session = boto3.Session(region_name="us-east-1")
    return translate(template, package=lambda name, folder: {"Bucket": "b", "Key": key}, session=session)["Resources"]


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


SYSTEM_JOBS = {job_type.name: job_type for job_type in JOB_TYPES.values() if job_type.schedule}
LINES = TEMPLATE["Mappings"]["SystemJobs"]
RULE = "AWS::Events::Rule"


def word_of(job):
    return "".join(part.capitalize() for part in job.split("_"))


def line_of(job):
    usual = from_five_fields(SYSTEM_JOBS[job].schedule).eventbridge
    return {"JobType": job, "Entry": f" {job}=cron(", "Fields": usual.removeprefix("cron(").removesuffix(")")}


def test_the_template_has_the_word_and_the_line_of_each_scheduled_job_and_no_other():
    rules = {name for name, each in TEMPLATE["Resources"].items() if each["Type"] == RULE}
    words = {name.removesuffix("Rule") for name in rules - {"MailEventsRule"}}
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
        (
            "partition_creation=never; db_pruning=cron(0 2 * * ? *); ",
            {"partition_creation": "", "db_pruning": "cron(0 2 * * ? *)"},
        ),
    ],
)
def test_an_entry_sets_the_time_of_its_job_in_rule_and_ledger(schedules, others):
    assert re.fullmatch(TEMPLATE["Parameters"]["Schedules"]["AllowedPattern"], schedules)
    usual = {job: from_five_fields(job_type.schedule).eventbridge for job, job_type in SYSTEM_JOBS.items()}
    assert with_usual_schedules(schedules) == usual | others
    for job in SYSTEM_JOBS:
        # A job that never starts keeps its usual rule; the schedule function knows that it has no schedule.
        assert evaluated(expression(job), {"Schedules": schedules}) == (others.get(job) or usual[job])


def test_an_entry_is_not_that_of_a_job_whose_name_it_ends_with():
    pruning = json.loads(json.dumps(expression("db_pruning")).replace("db_pruning", "pruning"))
    assert evaluated(pruning, {"Schedules": "db_pruning=cron(5 5 * * ? *)"}) == "cron(0 * * * ? *)"


def expression(job):
    return TEMPLATE["Resources"][f"{word_of(job)}Rule"]["Properties"]["ScheduleExpression"]


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
TOPIC = {"Fn::If": ["MakeAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}


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


def evaluated(node, parameters):
    """Evaluate a condition or a text of CloudFormation with these values of the template's parameters."""
    if not isinstance(node, dict):
        return node
    [(function, of)] = node.items()
    match function:
        case "Ref":
            return parameters[of]
        case "Fn::Not":
            return not evaluated(of[0], parameters)
        case "Fn::And":
            return all(evaluated(each, parameters) for each in of)
        case "Fn::Or":
            return any(evaluated(each, parameters) for each in of)
        case "Condition":
            return evaluated(TEMPLATE["Conditions"][of], parameters)
        case "Fn::If":
            condition, met, otherwise = of
            return evaluated(met if evaluated({"Condition": condition}, parameters) else otherwise, parameters)
        case "Fn::GetAtt":
            return parameters[".".join(of)]
        case "Fn::Equals":
            left, right = (evaluated(side, parameters) for side in of)
            return left == right
        case "Fn::Contains":
            return str(evaluated(of[1], parameters)) in of[0]
        case "Fn::Select":
            return evaluated(of[1], parameters)[of[0]]
        case "Fn::Split":
            delimiter, text = of
            return evaluated(text, parameters).split(delimiter)
        case "Fn::Sub":
            text, values = (of, {}) if isinstance(of, str) else of
            known = parameters | {name: evaluated(value, parameters) for name, value in values.items()}
            return re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], text)
    raise AssertionError(function)


def refusals(given, *, region="us-east-1"):
    """Return the values of all parameters, some of them ``given``, and the sentences with which rules refuse them."""
    parameters = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()} | given
    known = parameters | {"AWS::Region": region}
    return parameters, [
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        if evaluated(rule["RuleCondition"], known)
        for assertion in rule["Assertions"]
        if not evaluated(assertion["Assert"], known)
    ]


def test_the_smallest_database_is_refused_more_connections_than_it_accepts():
    fits = concurrencies(SMALLEST) | {"DatabaseClass": SMALLEST}
    assert refusals(fits)[1] == []
    for parameter in ("WorkerConcurrency", "ApiConcurrency"):
        [sentence] = refusals(fits | {parameter: fits[parameter] + 1})[1]
        assert sentence == (
            f"DatabaseClass={SMALLEST} needs {parameter}={fits[parameter]} or less, because it accepts few connections"
        )
        assert refusals(RDS | {"DatabaseClass": SMALLEST})[1] == []


def test_a_region_is_refused_exactly_if_its_roots_are_missing():
    bundle = rds_roots.ROOTS.read_text()
    session = boto3.Session()
    of_rds = {
        region for kind in session.get_available_partitions() for region in session.get_available_regions("rds", kind)
    }
    refused = {region for region in of_rds if refusals({}, region=region)[1]}
    assert of_rds - refused == rds_roots.regions(bundle)
    assert refused & set(session.get_available_regions("rds")) == {"ap-east-2", "ap-southeast-6"}
    assert {"us-gov-west-1", "us-gov-east-1", "cn-north-1", "cn-northwest-1"} <= refused
    for region in refused:
        [sentence] = refusals({}, region=region)[1]
        assert sentence.startswith("rds.pem lacks the root certificates of RDS in this region.")
        assert refusals({"DatabaseCaFile": "/var/task/nightshift/database/region.pem"}, region=region)[1] == []


RDS = {"Shape": "existing", "DatabaseHost": "db.rds.amazonaws.com", "DatabaseResourceId": "db-A"}
OTHER = {"Shape": "existing", "DatabaseHost": "db.example.com", "DatabaseSignIn": "password"}
OTHER_CA = OTHER | {"DatabaseOwnerSecret": "s", "DatabaseCaFile": "/var/task/nightshift/database/own.pem"}
DIRECT = {"DatabaseDirectHost": "direct", "DatabaseDirectResourceId": "db-B"}
FOR_EXISTING = "is for an existing database"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, []),
        ({"DatabaseSignIn": "password"}, []),
        ({"DatabaseProxy": "true"}, []),
        (RDS, []),
        (RDS | {"MigrationFolders": "jobs"}, []),
        (RDS | {"DatabaseServerName": "db-of-rds"}, []),
        (RDS | DIRECT, []),
        (RDS | {"DatabaseSignIn": "password", "DatabaseOwnerSecret": "s"}, []),
        (RDS | {"DatabaseSignIn": "password"}, []),
        (RDS | {"DatabaseCaFile": "/var/task/nightshift/database/region.pem"}, []),
        (OTHER_CA, []),
        (OTHER_CA | {"DatabaseDirectHost": "direct"}, []),
        (OTHER_CA | {"DatabaseHost": "127.0.0.1", "DatabaseCaFile": ""}, []),
        ({"DatabaseHost": "db"}, ["DatabaseHost is the address of an existing database"]),
        ({"DatabaseServerName": "db"}, [f"DatabaseServerName {FOR_EXISTING}"]),
        ({"DatabaseResourceId": "db-A"}, [f"DatabaseResourceId {FOR_EXISTING}"]),
        ({"DatabaseDirectHost": "db"}, [f"DatabaseDirectHost {FOR_EXISTING}"]),
        ({"DatabaseOwnerSecret": "s"}, [f"DatabaseOwnerSecret {FOR_EXISTING}"]),
        ({"MigrationFolders": "jobs"}, ["MigrationFolders=jobs is for a database that has the platform's tables"]),
        (RDS | {"DatabaseHost": ""}, ["Shape=existing needs DatabaseHost"]),
        (RDS | {"DatabaseProxy": "true"}, ["DatabaseProxy=true makes a proxy for a new database"]),
        (RDS | {"DatabaseResourceId": ""}, ["DatabaseSignIn=iam needs DatabaseResourceId"]),
        (RDS | {"DatabaseDirectHost": "h"}, ["With DatabaseSignIn=iam, DatabaseDirectHost needs DatabaseDirectRes"]),
        (RDS | {"DatabaseDirectResourceId": "db-B"}, ["DatabaseDirectResourceId needs DatabaseDirectHost"]),
        (RDS | {"DatabaseCaFile": "/var/task/own.pem"}, ["With DatabaseSignIn=iam, the server is one of RDS"]),
        (OTHER, ["DatabaseSignIn=password needs DatabaseOwnerSecret"]),
        ({"DatabaseProxy": "true", "DatabaseSignIn": "password"}, ["DatabaseProxy=true needs DatabaseSignIn=iam"]),
        (OTHER_CA | {"DatabaseCaFile": ""}, ["DatabaseCaFile is empty, so the server's certificate would not"]),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused_before_anything_is_made(given, refused):
    parameters, said = refusals(given)
    for name, value in parameters.items():
        allowed = TEMPLATE["Parameters"][name]
        assert value in allowed.get("AllowedValues", [value])
        assert re.fullmatch(allowed.get("AllowedPattern", ".*"), str(value)), name
    assert len(said) == len(refused), said
    for sentence, beginning in zip(said, refused, strict=True):
        assert sentence.startswith(beginning)


@pytest.mark.parametrize("name", ["DatabaseHost", "DatabaseDirectHost", "DatabaseServerName"])
def test_a_host_is_neither_a_url_nor_has_a_port(name):
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    for wrong in ("postgres://db", "db:5432", "db/platform", "db "):
        assert not re.fullmatch(pattern, wrong), wrong
    assert re.fullmatch(pattern, "db.abc.eu-central-1.rds.amazonaws.com")


def test_the_local_stack_is_an_existing_database_that_the_rules_accept():
    assert refusals(PARAMETERS)[1] == []


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, []),
        ({"JwtIssuer": "i"}, []),
        ({"JwksUrl": "https://i/k"}, ["JwksUrl needs JwtIssuer", "JwksUrl needs JwtAudience"]),
        ({"JwksUrl": "https://i/k", "JwtIssuer": "i"}, ["JwksUrl needs JwtAudience"]),
        ({"JwksUrl": "https://i/k", "JwtIssuer": "i", "JwtAudience": "a"}, []),
        ({"JwtUserClaim": "email"}, ["JwtUserClaim=email needs JwtIssuer"]),
        ({"JwtUserClaim": "email", "JwtIssuer": "i"}, []),
    ],
)
def test_tokens_of_others_are_refused_by_the_rules_as_by_the_api(given, refused):
    parameters, said = refusals(given)
    assert [sentence.partition(",")[0] for sentence in said] == refused
    settings = Settings(
        database_host="",
        database_user="",
        jwks_url=parameters["JwksUrl"],
        jwt_issuer=parameters["JwtIssuer"],
        jwt_audience=parameters["JwtAudience"],
        jwt_user_claim=parameters["JwtUserClaim"],
    )
    assert bool(trouble_with(settings)) == bool(refused)

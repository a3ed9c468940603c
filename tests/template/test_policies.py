"""Each policy allows and refuses what it should, and what holds data outlives the stack."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from local import roles
from local.deployment.deploy import WITHOUT_TLS
from nightshift.alerts import webhook_secrets
from nightshift.tenants import integrations
from tests.template.reading import FUNCTIONS, TEMPLATE, WITHOUT_RESOURCE, default, translated_with_code
from tools.policies import policies

QUEUE_URLS = ("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL", "DELIVER_QUEUE_URL")


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
    [denied] = [statement for statement in statements if statement.get("Effect") == "Deny"]
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


def test_a_secret_is_encrypted_and_decrypted_only_with_its_project_or_team():
    bound = [
        (function, statement["Action"], *statement["Condition"]["StringLike"].items())
        for function, properties in FUNCTIONS.items()
        for policy in properties.get("Policies", [])
        for statement in policy["Statement"]
        if statement["Action"] in ("kms:Decrypt", "kms:Encrypt")
    ]
    [project], [team] = integrations._context("a project"), webhook_secrets._context("a team")
    assert project != team
    of_a_project, of_a_team = ((f"kms:EncryptionContext:{name}", "?*") for name in (project, team))
    assert sorted(bound) == [
        ("ApiFunction", "kms:Encrypt", of_a_team),
        ("ApiFunction", "kms:Encrypt", of_a_project),
        ("DeliverFunction", "kms:Decrypt", of_a_team),
        ("SetupFunction", "kms:Encrypt", of_a_project),
        ("WorkerFunction", "kms:Decrypt", of_a_project),
    ]


def test_the_api_reaches_the_providers_that_the_worker_reaches():
    """A key is tested by the API, which therefore has the network of the worker and the providers' addresses."""
    api, worker = FUNCTIONS["ApiFunction"], FUNCTIONS["WorkerFunction"]
    assert "VpcConfig" not in api.keys() | worker.keys()
    addresses = {name for name in worker["Environment"]["Variables"] if name.endswith("_URL")} - {*QUEUE_URLS}
    assert addresses == {"REVENUECAT_URL"}
    for name in addresses:
        assert api["Environment"]["Variables"][name] == worker["Environment"]["Variables"][name]


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

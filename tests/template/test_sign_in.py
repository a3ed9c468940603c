"""The functions and the schema owner sign in to the database as the parameters say."""

import json

import pytest

from nightshift.database.session_pins import ROLES
from tests.template.reading import FUNCTIONS, MEMORY_GIB, TEMPLATE, default, evaluated, refusals


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


def test_a_rule_rotates_the_passwords_if_there_are_any():
    rule, permission = (TEMPLATE["Resources"][f"PasswordRotation{part}"] for part in ("Rule", "Permission"))
    assert rule["Condition"] == permission["Condition"] == "SignInWithPassword"
    [target] = rule["Properties"]["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["MigrateFunction", "Arn"]}
    assert json.loads(target["Input"]) == {"rotate_passwords": True}
    assert permission["Properties"]["FunctionName"] == {"Ref": "MigrateFunction"}
    assert permission["Properties"]["SourceArn"] == {"Fn::GetAtt": ["PasswordRotationRule", "Arn"]}


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
    # Its policy allows no more, and no less: the password of its secret, a token, and to read and to change the roles'
    # passwords.
    statements = TEMPLATE["Resources"]["OwnerSignIn"]["Properties"]["PolicyDocument"]["Statement"]
    met = [evaluated({"Condition": each["Fn::If"][0]}, parameters) for each in statements]
    assert met == [owner in ("secret", "either"), owner in ("iam", "either"), *[functions == "secret"] * 2]


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

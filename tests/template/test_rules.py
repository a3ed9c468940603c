"""Rules refuse parameters that do not fit together, before CloudFormation makes anything."""

import re

import boto3
import pytest

from local.stack import PARAMETERS
from nightshift.base.settings import Settings
from nightshift.tenants.tokens import trouble_with
from tests.template.reading import SMALLEST, TEMPLATE, concurrencies, evaluated, refusals
from tools import rds_roots


def test_the_smallest_database_is_refused_more_connections_than_it_accepts():
    fits = concurrencies(SMALLEST) | {"DatabaseClass": SMALLEST}
    assert refusals(fits)[1] == []
    for parameter in ("WorkerConcurrency", "ApiConcurrency"):
        [sentence] = refusals(fits | {parameter: fits[parameter] + 1})[1]
        assert sentence == (
            f"DatabaseClass={SMALLEST} needs {parameter}={fits[parameter]} or less, because it accepts few connections"
        )
        assert refusals(RDS | {"DatabaseClass": SMALLEST})[1] == []


# A class that RDS has in ca-west-1, too.
EVERYWHERE = {"DatabaseClass": "db.m8g.large"}


def test_what_a_region_lacks_is_refused_there():
    burstable = "RDS has no db.t4g classes in ca-west-1. Set DatabaseClass=db.m8g.large"
    assert refusals({}, region="ca-west-1")[1] == [burstable]
    assert refusals(EVERYWHERE, region="ca-west-1")[1] == refusals(RDS, region="ca-west-1")[1] == []
    proxy = {"DatabaseProxy": "true", "DatabaseCaFile": "/var/task/nightshift/database/region.pem"}
    assert refusals(proxy, region="ap-east-2")[1] == [
        "CloudFormation makes no RDS Proxy in ap-east-2. Set DatabaseProxy=false"
    ]
    assert not refusals(proxy, region="ap-southeast-6")[1]


def test_a_region_without_configuration_sets_has_none():
    given, _ = refusals({})
    told = {name for name, kind in TEMPLATE["Resources"].items() if kind.get("Condition") == "TellsOfBounces"}
    assert told == {"MailEvents", "MailEventsDestination", "MailEventsRule"}
    for region, tells in (("eu-central-1", True), ("eu-south-2", False), ("ap-east-1", False)):
        assert evaluated({"Condition": "TellsOfBounces"}, given | {"AWS::Region": region}) is tells


def test_a_region_is_refused_exactly_if_its_roots_are_missing():
    bundle = rds_roots.ROOTS.read_text()
    session = boto3.Session()
    of_rds = {
        region for kind in session.get_available_partitions() for region in session.get_available_regions("rds", kind)
    }
    refused = {region for region in of_rds if refusals(EVERYWHERE, region=region)[1]}
    assert of_rds - refused == rds_roots.regions(bundle)
    assert refused & set(session.get_available_regions("rds")) == {"ap-east-2", "ap-southeast-6"}
    assert {"us-gov-west-1", "us-gov-east-1", "cn-north-1", "cn-northwest-1"} <= refused
    for region in refused:
        [sentence] = refusals(EVERYWHERE, region=region)[1]
        assert sentence.startswith("rds.pem lacks the root certificates of RDS in this region.")
        own = {"DatabaseCaFile": "/var/task/nightshift/database/region.pem"}
        assert refusals(EVERYWHERE | own, region=region)[1] == []


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
        ({"SubnetIds": "subnet-1"}, ["SubnetIds is for an existing network"]),
        ({"FunctionsSecurityGroupIds": "sg-1"}, ["FunctionsSecurityGroupIds is for an existing network"]),
        (RDS | {"SubnetIds": "subnet-1,subnet-0a2"}, ["SubnetIds needs FunctionsSecurityGroupIds"]),
        (RDS | {"FunctionsSecurityGroupIds": "sg-1"}, ["FunctionsSecurityGroupIds needs SubnetIds"]),
        (RDS | {"SubnetIds": "subnet-1", "FunctionsSecurityGroupIds": "sg-1,sg-2"}, []),
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


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("SubnetIds", "sg-1"), ("SubnetIds", "subnet-1, subnet-2"), ("FunctionsSecurityGroupIds", "sg-1,")],
)
def test_ids_are_refused_where_they_are_not_a_list_of_their_kind(name, wrong):
    assert not re.fullmatch(TEMPLATE["Parameters"][name]["AllowedPattern"], wrong)


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

"""The template as CloudFormation gets it stays within AWS's limits, with room for the next change."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.deployment.template import PATH, load, translate

TEMPLATE = load(PATH)
TRANSLATED = translate(
    load(PATH), package=lambda *_: {"Bucket": "b", "Key": "k"}, session=boto3.Session(region_name="us-east-1")
)
RESOURCES: dict[str, Any] = TRANSLATED["Resources"]

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
LIMITS = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}
MOST_BYTES = 1_000_000
MOST_CHARACTERS_OF_A_DESCRIPTION = 4_000
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES_OF_AN_ENVIRONMENT = 4 * 1024
# As long as any ARN or URL of ours: what an intrinsic function may become.
LONGEST_VALUE, LONGEST_TEXT, LONGEST_NAME = 140, 100, 90
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
LONGEST_QUEUE_NAME = 80
# Inline policies of a role, without white space. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_CHARACTERS_OF_A_ROLE = 10_240
MOST_MANAGED_POLICIES = 10


def test_the_loops_are_expanded():
    assert not [name for name in RESOURCES if name.startswith("Fn::")]
    assert len(RESOURCES) > len(TEMPLATE["Resources"])


@pytest.mark.parametrize("section", LIMITS)
def test_sections_have_room_for_half_as_many_again(section):
    assert 0 < len(TRANSLATED.get(section, {})) * 1.5 <= LIMITS[section]


def test_the_template_itself_is_small_enough():
    assert len(json.dumps(TRANSLATED).encode()) <= MOST_BYTES / 2
    assert len(Path(PATH).read_bytes()) <= MOST_BYTES / 2


def test_descriptions_are_not_refused():
    texts = {name: parameter["Description"] for name, parameter in TRANSLATED["Parameters"].items()}
    assert max(map(len, texts.values())) <= MOST_CHARACTERS_OF_A_DESCRIPTION
    assert len(TRANSLATED["Description"].encode()) <= 1024


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


def size_of(value: Any) -> int:
    """Return the bytes that a value may take. Numbers and choices are short; ARNs, URLs and texts may be long."""
    match value:
        case {"Fn::If": [_, yes, no]}:
            return max(size_of(yes), size_of(no))
        case {"Fn::Join": [separator, parts]}:
            return sum(len(separator) + size_of(part) for part in parts)
        case {"Ref": "AWS::NoValue"}:
            return 0
        case {"Ref": name} if name in TRANSLATED["Parameters"]:
            parameter = TRANSLATED["Parameters"][name]
            choices = parameter.get("AllowedValues", ["9" * 12] if parameter["Type"] == "Number" else [])
            return max((len(str(choice)) for choice in choices), default=int(parameter.get("MaxLength", LONGEST_TEXT)))
        case {"Ref": name} if RESOURCES.get(name, {}).get("Type") == "AWS::Logs::LogGroup":
            return LONGEST_NAME
        case {"Fn::GetAtt": [_, "QueueName"]}:
            return LONGEST_QUEUE_NAME
        case dict():
            return LONGEST_VALUE
    return len(str(value).encode())


@pytest.mark.parametrize("function", of_type("AWS::Lambda::Function"))
def test_an_environment_fits_whatever_its_values_become(function):
    variables = of_type("AWS::Lambda::Function")[function].get("Environment", {}).get("Variables", {})
    assert sum(len(name) + size_of(value) for name, value in variables.items()) <= MOST_BYTES_OF_AN_ENVIRONMENT


@pytest.mark.parametrize("role", of_type("AWS::IAM::Role"))
def test_a_roles_policies_fit(role):
    properties = of_type("AWS::IAM::Role")[role]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    inline = sum(len(json.dumps(document, separators=(",", ":"))) for document in documents)
    assert inline <= MOST_CHARACTERS_OF_A_ROLE / 1.5
    assert len(properties.get("ManagedPolicyArns", [])) <= MOST_MANAGED_POLICIES


def test_access_logs_do_not_fill_the_accounts_log_policy():
    """CloudWatch has one policy of 5,120 characters for all API logs of a region, unless the name begins like this."""
    [group] = [each for name, each in of_type("AWS::Logs::LogGroup").items() if "AccessLog" in name]
    assert "/aws/vendedlogs/" in json.dumps(group["LogGroupName"])

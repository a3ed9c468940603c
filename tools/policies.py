"""Write each policy of the translated template into a folder, for `make template`, which lints them with parliament.

    python -m tools.policies .local/translated.json .local/policies

Parliament compares actions, resources and condition keys with those of IAM, and does not know CloudFormation's
functions. So each resource has an ARN of its kind, and both branches of a choice are in the policy.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KNOWN = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}

# The ARN of a resource of each kind. A resource of another kind that a policy names must be added.
ARNS = {
    "AWS::KMS::Key": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:123456789012:name",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:name-AbCdEf",
    "AWS::RDS::DBInstance": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-name-AbCdEf",
    "AWS::Events::Rule": "arn:aws:events:us-east-1:123456789012:rule/name",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:123456789012:name",
}
# The ARNs of parameters that policies name.
PARAMETERS = {"IntegrationsKeyArn": ARNS["AWS::KMS::Key"], "JwtSecretId": ARNS["AWS::SecretsManager::Secret"]}


def policies(template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each policy of the template with the name of its resource, except those that say who may assume a role."""
    resources = template["Resources"]
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        for policy in properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            yield f"{name}-{policy['PolicyName']}", _plain(policy["PolicyDocument"], resources)
        for property_name in ("PolicyDocument", "KeyPolicy"):
            if property_name in properties:
                yield name, _plain(properties[property_name], resources)


def _plain(node: Any, resources: Mapping[str, Any]) -> Any:
    """Return the node with a value in the place of each function."""
    match node:
        case list():
            return [each for item in node for each in _choices(item, resources)]
        case {"Fn::If": _}:
            return _choices(node, resources)[0]
        case {"Ref": str(name)}:
            return KNOWN.get(name) or PARAMETERS.get(name) or _arn(name, resources)
        case {"Fn::GetAtt": [str(name), "Arn" | "Id" | "TopicArn" | "MasterUserSecret.SecretArn"]}:
            return _arn(name, resources)
        case {"Fn::Sub": [str(text), dict(values)]}:
            return _filled(text, {name: _plain(value, resources) for name, value in values.items()})
        case {"Fn::Sub": str(text)}:
            return _filled(text, {})
        case dict() if not any(name.startswith("Fn::") for name in node):
            return {name: _plain(value, resources) for name, value in node.items()}
        case dict():
            return "name"
    return node


def _choices(item: Any, resources: Mapping[str, Any]) -> list[Any]:
    if isinstance(item, dict) and "Fn::If" in item:
        return [each for branch in item["Fn::If"][1:] for each in _choices(branch, resources)]
    return [] if item == {"Ref": "AWS::NoValue"} else [_plain(item, resources)]


def _filled(text: str, values: Mapping[str, Any]) -> str:
    known = KNOWN | dict(values)
    return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(known.get(found[1], "name")), text)


def _arn(name: str, resources: Mapping[str, Any]) -> str:
    kind = resources[name]["Type"] if name in resources else None
    # A parameter that is no ARN, such as an address.
    return "name" if kind is None else ARNS[kind]


def main(translated: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, policy in policies(json.loads(translated.read_text())):
        (folder / f"{name}.json").write_text(json.dumps(policy, indent=2))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

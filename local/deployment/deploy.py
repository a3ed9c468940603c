"""Deploy template.yaml to local AWS: translate it from SAM to CloudFormation, package the code, deploy a stack.

Local AWS differs from AWS in five ways, for which this module compensates:
- It ignores the OpenAPI ``Body`` of an HTTP API, so the body becomes Route and Integration resources.
- It does not merge layers into /opt, and it unpacks every layer for every Lambda process. So ``variables`` tell the
  functions where to find their packages of 75 MB (PYTHONPATH).
- It keeps a parameter as text when the property is a number, and then compares it with a number.
- It checks the functions' calls against their policies, but names some actions differently: an SQS batch is an action
  of its own, SES's SendEmail has neither a resource nor a sender, and KMS has no encryption context.
- It is reached without TLS, which the policies of queues and topics refuse.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from local.aws import LocalAws
from local.deployment.loops import Template
from local.deployment.packages import zipped
from local.deployment.template import load, translate
from local.gate import API, API_PATH

STACK = "nightshift"
BUCKET = "nightshift-artifacts"

# The properties that the template sets from parameters and that local AWS uses as numbers.
NUMBERS = ("Timeout", "MaximumConcurrency", "ThrottlingBurstLimit", "ThrottlingRateLimit")

# In IAM, the action for a single message covers its batch as well.
BATCHES = {
    f"sqs:{action}": [f"sqs:{action}", f"sqs:{action}Batch"]
    for action in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")
}

# When the policies of queues and topics refuse a call.
WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}

# CloudFormation's error for an unknown stack. ``deploy`` then creates the stack instead of updating it.
NO_STACK = "does not exist"

# CloudFormation refuses an update that changes no resource. ``deploy`` does not treat that as a failure.
NO_CHANGE = "No updates are to be performed"


class DeployFailed(RuntimeError):
    """The template could not be deployed"""


def deploy(
    template: Path, *, local_aws: LocalAws, parameters: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    """Create or update the stack, as ``sam deploy`` does, and return its outputs.

    ``variables`` are set in every function's environment. Raise DeployFailed with the reason of each resource that
    failed, after CloudFormation has rolled everything back.
    """
    cloudformation = local_aws.client("cloudformation")
    body = _translated(template, local_aws=local_aws, variables=variables)
    known = {name: parameter.get("Default") for name, parameter in body["Parameters"].items()} | dict(parameters)
    _set_numbers(body["Resources"], known)
    verb = "update" if _is_there(cloudformation) else "create"
    token = str(uuid.uuid4())
    try:
        getattr(cloudformation, f"{verb}_stack")(
            StackName=STACK,
            TemplateURL=_upload(json.dumps(body).encode(), suffix="json", local_aws=local_aws),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
            ClientRequestToken=token,
        )
        _wait(cloudformation, f"stack_{verb}_complete")
    except WaiterError as exc:
        raise DeployFailed(" / ".join(_reasons(cloudformation, token)) or str(exc)) from exc
    except ClientError as exc:
        if NO_CHANGE not in exc.response["Error"]["Message"]:
            raise DeployFailed(exc.response["Error"]["Message"]) from exc
    [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def update_code(folder: Path, *, local_aws: LocalAws) -> None:
    """Give all functions the code in ``folder``, as ``sam sync --code`` does. Raise DeployFailed if one refuses it."""
    content = zipped(folder)
    client = local_aws.client("lambda")
    try:
        _upload(content, suffix="zip", local_aws=local_aws)
        for name in functions(local_aws=local_aws).values():
            client.update_function_code(FunctionName=name, S3Bucket=BUCKET, S3Key=_key(content, "zip"))
    except (BotoCoreError, ClientError) as exc:
        raise DeployFailed(str(exc)) from exc


def remove(*, local_aws: LocalAws) -> None:
    """Delete the stack, as ``sam delete`` does. Resources that the template retains stay.

    Raise DeployFailed with the reason of each resource that could not be deleted.
    """
    cloudformation = local_aws.client("cloudformation")
    token = str(uuid.uuid4())
    # Wait by id, because a deleted stack has no name.
    [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    try:
        cloudformation.delete_stack(StackName=STACK, ClientRequestToken=token)
        _wait(cloudformation, "stack_delete_complete", stack=stack["StackId"])
    except WaiterError as exc:
        raise DeployFailed(" / ".join(_reasons(cloudformation, token)) or str(exc)) from exc


def api_url(local_aws: LocalAws) -> str:
    """Return the API's URL. Local AWS serves an API below its id, and takes the id from a tag."""
    return local_aws.url + API_PATH.rstrip("/")


def dashboard_url(local_aws: LocalAws) -> str:
    """Return the dashboard's URL, with the trailing slash that local AWS needs to recognise the API's path."""
    return f"{api_url(local_aws)}/"


def function_name(logical_id: str, *, local_aws: LocalAws) -> str:
    """Return the name that local AWS gave to a function of the template."""
    answer = local_aws.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
    name: str = answer["StackResourceDetail"]["PhysicalResourceId"]
    return name


def functions(*, local_aws: LocalAws) -> dict[str, str]:
    """Return the name of each function of the template by its logical id."""
    resources = local_aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }


def _translated(path: Path, *, local_aws: LocalAws, variables: Mapping[str, str]) -> Template:
    template = load(path)
    template["Globals"]["Function"]["Environment"]["Variables"] |= variables
    local_aws.client("s3").create_bucket(Bucket=BUCKET)

    def package(logical_id: str, folder: str) -> dict[str, str]:
        # sam puts the files of a Python layer that it builds below python/.
        method = template["Resources"].get(logical_id, {}).get("Metadata", {}).get("BuildMethod", "")
        content = zipped(path.parent / folder, prefix="python/" if method.startswith("python") else "")
        _upload(content, suffix="zip", local_aws=local_aws)
        return {"Bucket": BUCKET, "Key": _key(content, "zip")}

    translated = translate(template, package=package, session=local_aws.session)
    _serve_api_bodies(translated["Resources"])
    for name, resource in list(translated["Resources"].items()):
        if resource["Type"] == "AWS::IAM::Role":
            _name_actions_as_local_aws_does(resource["Properties"].get("Policies", []))
        elif resource["Type"] in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [each for each in document["Statement"] if each.get("Condition") != WITHOUT_TLS]
            if not document["Statement"]:
                del translated["Resources"][name]
    return translated


def _upload(content: bytes, *, suffix: str, local_aws: LocalAws) -> str:
    key = _key(content, suffix)
    local_aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
    return f"{local_aws.url}/{BUCKET}/{key}"


def _key(content: bytes, suffix: str) -> str:
    return f"{hashlib.sha256(content).hexdigest()}.{suffix}"


def _serve_api_bodies(resources: Template) -> None:
    for api_name, api in [item for item in resources.items() if item[1]["Type"] == "AWS::ApiGatewayV2::Api"]:
        body = api["Properties"].pop("Body")
        # A Body contains the name and the protocol; without a Body they are required properties.
        api["Properties"] |= {"Name": STACK, "ProtocolType": "HTTP", "Tags": {"ms-custom-id": API}}
        for number, (route_key, integration) in enumerate(_routes(body)):
            resources[f"{api_name}Integration{number}"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api_name},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            resources[f"{api_name}Route{number}"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api_name},
                    "RouteKey": route_key,
                    "Target": {"Fn::Sub": f"integrations/${{{api_name}Integration{number}}}"},
                },
            }


def _name_actions_as_local_aws_does(node: Any) -> None:
    """Rename actions in policy statements, which may be nested in an ``Fn::If``."""
    if isinstance(node, list):
        for item in node:
            _name_actions_as_local_aws_does(item)
    elif isinstance(node, dict) and "Action" in node:
        if node["Action"] in ("ses:SendEmail", "kms:Encrypt", "kms:Decrypt"):
            node.pop("Condition", None)
        if node["Action"] == "ses:SendEmail":
            node["Resource"] = "*"
        node["Action"] = BATCHES.get(node["Action"], node["Action"])
    elif isinstance(node, dict):
        for item in node.values():
            _name_actions_as_local_aws_does(item)


def _routes(body: Template) -> Iterator[tuple[str, Template]]:
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            yield path if path == "$default" else f"{verb} {path}", operation["x-amazon-apigateway-integration"]


def _set_numbers(node: Any, parameters: Mapping[str, Any]) -> None:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if name in NUMBERS and isinstance(value, dict):
            node[name] = int(parameters[value["Ref"]])
        else:
            _set_numbers(value, parameters)


def _is_there(cloudformation: Any) -> bool:
    try:
        cloudformation.describe_stacks(StackName=STACK)
    except ClientError as exc:
        if NO_STACK in exc.response["Error"]["Message"]:
            return False
        raise
    return True


def _wait(cloudformation: Any, until: str, *, stack: str = STACK) -> None:
    cloudformation.get_waiter(until).wait(StackName=stack, WaiterConfig={"Delay": 0.2, "MaxAttempts": 1000})


def _reasons(cloudformation: Any, token: str) -> list[str]:
    """Return why resources failed in the operation that was started with ``token``."""
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    return [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in reversed(events)
        if event.get("ClientRequestToken") == token
        and event["ResourceStatus"].endswith("FAILED")
        and event.get("ResourceStatusReason")
    ]

"""The operator's commands. They invoke the stack's functions with the caller's AWS credentials; no API does this."""

import getpass
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from nightshift_cli.base import exact
from nightshift_cli.base.failures import Misconfigured, RequestRefused, Throttled, Unreachable
from nightshift_cli.remote.loopback import without_account
from nightshift_cli.remote.stackfile import Note, find_stack

Heard = Callable[[str | None], None]

OPERATE, SETUP = "OperateFunction", "SetupFunction"
# Commands that change nothing. With all others goes the caller, whom the audit names.
READING = {
    *(
        "overview",
        "runs",
        "view",
        "logs",
        "schedules",
        "health",
        "deadletters",
        "doctor",
        "mail",
        "mail_stops",
        "audit",
    ),
    *("teams", "keys"),
}
# The stack name and region that `make run` deploys to, and the keys in its file that boto3 needs.
LOCAL_STACK = "nightshift"
LOCAL_REGION = "us-east-1"
LOCAL_KEYS = ("aws_access_key_id", "aws_secret_access_key")
# The function times out after a minute.
READ_TIMEOUT_S = 65

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
NOT_KNOWN = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException")
THROTTLED = ("Throttling", "ThrottlingException", "TooManyRequestsException", "EC2ThrottledException")


class StackFunctions:
    """Client of a stack's operate and setup functions.

    ``name`` is the CloudFormation stack's; ``options`` go to boto3's clients. ``heard`` receives the ``Date`` header of
    each response. Every call raises RequestRefused with the function's message, Throttled or Unreachable; Misconfigured
    if the credentials or the stack are unusable.
    """

    def __init__(self, name: str, *, view: tuple[str, ...], options: dict[str, str], heard: Heard):
        self.name = name
        self.view = view
        self._options = options
        self._heard = heard
        self._names: dict[str, str] = {}

    def operate(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer of the operate function. Arguments that are None are left out."""
        return self._invoke(OPERATE, command, arguments)

    def set_up(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer of the setup function, which creates teams and keys."""
        return self._invoke(SETUP, command, arguments)

    def _invoke(self, function: str, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        event = {"command": command} | {name: value for name, value in arguments.items() if value is not None}
        if command not in READING:
            event["caller"] = self.arn
        try:
            answer = self._lambda.invoke(FunctionName=self._name_of(function), Payload=exact.write(event))
            payload = exact.read(answer["Payload"].read())
        except ClientError as exc:
            raise self._trouble(exc.response["Error"]) from exc
        except BotoCoreError as exc:
            raise _no_connection(exc) from exc
        except ValueError as exc:
            raise Unreachable(f"{function} of stack {self.name} did not return JSON.") from exc
        self._heard(answer["ResponseMetadata"]["HTTPHeaders"].get("date"))
        if answer.get("FunctionError"):
            said = payload.get("errorMessage") if isinstance(payload, dict) else payload
            raise Unreachable(f"{function} of stack {self.name} failed: {said}. See its log.")
        if not isinstance(payload, dict):
            raise Unreachable(
                f"{function} of stack {self.name} did not return a JSON object. Deploy this release again."
            )
        if "error" in payload:
            refused = RequestRefused(str(payload["error"]), body=payload)
            refused.view = self.view
            raise refused
        return payload

    def run(self, run_id: str, *, attempts: int = 1) -> dict[str, Any]:
        """Return the run. ``attempts`` is ignored: a caller that watches a run asks again anyway."""
        run: dict[str, Any] = self.operate("view", run_id=run_id)["job_run"]
        return run

    def timeline(self, run_id: str, *, attempts: int = 1) -> dict[str, Any]:
        timeline: dict[str, Any] = self.operate("view", run_id=run_id)["timeline"]
        return timeline

    @cached_property
    def caller(self) -> str:
        """The caller's name: the last part of their AWS ARN, or the user of this machine for a local stack."""
        return getpass.getuser() if self._is_local else self.arn.rpartition("/")[2]

    @cached_property
    def arn(self) -> str:
        """The caller's AWS ARN, which the audit keeps; for a local stack, a name for the user of this machine.

        It is a claim, so a command does not fail because STS cannot be reached.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if self._is_local:
            return f"{getpass.getuser()} on the local stack"
        try:
            arn: str = self._client("sts").get_caller_identity()["Arn"]
        except (BotoCoreError, ClientError):
            return f"{getpass.getuser()}, whose ARN STS did not tell"
        return arn

    @property
    def _is_local(self) -> bool:
        return "endpoint_url" in self._options

    def _name_of(self, function: str) -> str:
        """Return the physical name that CloudFormation gave the function."""
        if function not in self._names:
            cloudformation = self._client("cloudformation")
            found = cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=function)
            self._names[function] = found["StackResourceDetail"]["PhysicalResourceId"]
        return self._names[function]

    @cached_property
    def _lambda(self) -> Any:
        return self._client("lambda")

    @cached_property
    def _session(self) -> Any:
        import boto3  # takes a quarter of a second, which other commands should not pay

        # Every other AWS tool reads AWS_REGION; boto3 reads only AWS_DEFAULT_REGION.
        return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        # No retries: a command that succeeded must not run again because its response was lost.
        config = Config(connect_timeout=5, read_timeout=READ_TIMEOUT_S, retries={"total_max_attempts": 1})
        with without_account() if self._is_local else nullcontext():
            return self._session.client(service, config=config, **self._options)

    def _trouble(self, error: dict[str, str]) -> Exception:
        code, said = error.get("Code", ""), error.get("Message", "")
        if code in DENIED:
            return RequestRefused(
                f"Your AWS credentials do not allow this: {said} They need cloudformation:DescribeStackResource and "
                "lambda:InvokeFunction."
            )
        if code in NOT_KNOWN:
            return Misconfigured(f"AWS does not accept your credentials: {said} Sign in again.")
        if code in THROTTLED:
            return Throttled(f"AWS throttled the request: {said or code}. Try again in a moment.")
        if code == "ValidationError" and "Stack" in said:
            return Misconfigured(
                f"No stack {self.name!r} with an {OPERATE} in this account and region: {said}. Check --stack, "
                "AWS_PROFILE and AWS_DEFAULT_REGION. If the stack is of an older release, deploy it again."
            )
        return Unreachable(f"AWS responded with {code}: {said}")


def find_stack_functions(
    stack: str | None, *, folder: Path, note: Note, heard: Heard = lambda date: None
) -> StackFunctions:
    """Return the client of the deployed ``stack``, or of the local stack at or above ``folder``."""
    if stack:
        return StackFunctions(stack, view=("system", "--stack", stack, "view"), options={}, heard=heard)
    local = find_stack(folder, note=note)
    if not local:
        raise Misconfigured(
            "No stack found. Pass --stack NAME (or set NIGHTSHIFT_STACK), or start the local stack with `make run` and "
            "run nightshift from inside its folder."
        )
    if not local.keys() >= {"aws_endpoint_url", *LOCAL_KEYS}:
        raise Misconfigured(
            f"{local['file']} was written by an earlier release. Start the local stack again with `make run`."
        )
    options = {name: local[name] for name in LOCAL_KEYS}
    options |= {"region_name": LOCAL_REGION, "endpoint_url": local["aws_endpoint_url"]}
    return StackFunctions(LOCAL_STACK, view=("system", "view"), options=options, heard=heard)


def _no_connection(exc: Exception) -> Exception:
    from botocore.exceptions import ConnectionError, HTTPClientError, NoRegionError

    if isinstance(exc, NoRegionError):
        return Misconfigured("No AWS region is set. Set AWS_DEFAULT_REGION, or AWS_PROFILE to a profile with a region.")
    if isinstance(exc, ConnectionError | HTTPClientError):
        return Unreachable(f"Cannot reach AWS: {exc}")
    # Missing or partial credentials, an unknown profile, an expired sign-in: botocore's message says which.
    return Misconfigured(f"Cannot call AWS: {exc}. Sign in, or set AWS_PROFILE.")

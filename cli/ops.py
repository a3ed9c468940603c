"""The owner's commands as calls of the stack's functions, with the caller's AWS credentials: no API leads there."""

import getpass
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from cli import exact
from cli.errors import Misconfigured, Refused, Throttled, Unreachable
from cli.loopback import without_account
from cli.stackfile import Note, find_stack

Heard = Callable[[str | None], None]

OPS, SETUP = "OpsFunction", "SetupFunction"
# The name under which `make run` deploys, where, and what its file keeps for boto3.
LOCAL_STACK = "nightshift"
LOCAL_REGION = "us-east-1"
LOCAL_KEYS = ("aws_access_key_id", "aws_secret_access_key")
# The function has a minute.
READ_TIMEOUT_S = 65

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
NOT_KNOWN = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException")
THROTTLED = ("Throttling", "ThrottlingException", "TooManyRequestsException", "EC2ThrottledException")


class Ops:
    """``stack`` is a CloudFormation stack; ``options`` go to boto3's clients. ``heard`` takes the ``Date`` of answers.

    Every call raises Refused with the function's sentence, Throttled, or Unreachable; Misconfigured where the caller
    or the stack is not what it takes.
    """

    def __init__(self, stack: str, *, view: tuple[str, ...], options: dict[str, str], heard: Heard):
        self.stack = stack
        self.view = view
        self._options = options
        self._heard = heard
        self._names: dict[str, str] = {}

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the ops function. Arguments that are None are left out."""
        return self._invoke(OPS, command, arguments)

    def set_up(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the setup function, which acts as the owner of the tables."""
        return self._invoke(SETUP, command, arguments)

    def _invoke(self, function: str, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        event = {"command": command} | {name: value for name, value in arguments.items() if value is not None}
        try:
            answer = self._lambda.invoke(FunctionName=self._name_of(function), Payload=exact.write(event))
            payload = exact.read(answer["Payload"].read())
        except ClientError as exc:
            raise self._trouble(exc.response["Error"]) from exc
        except BotoCoreError as exc:
            raise _no_connection(exc) from exc
        except ValueError as exc:
            raise Unreachable(f"{function} of {self.stack} answered something that is not JSON.") from exc
        self._heard(answer["ResponseMetadata"]["HTTPHeaders"].get("date"))
        if answer.get("FunctionError"):
            said = payload.get("errorMessage") if isinstance(payload, dict) else payload
            raise Unreachable(f"{function} of {self.stack} failed: {said}. Its log says more.")
        if not isinstance(payload, dict):
            raise Unreachable(f"{function} of {self.stack} did not answer with an object. Deploy this release again.")
        if "error" in payload:
            refused = Refused(str(payload["error"]), body=payload)
            refused.view = self.view
            raise refused
        return payload

    def run(self, run_id: str, *, attempts: int = 1) -> dict[str, Any]:
        """The run; asked once, whatever ``attempts``: who watches asks again."""
        run: dict[str, Any] = self.ask("view", run_id=run_id)["job_run"]
        return run

    def timeline(self, run_id: str, *, attempts: int = 1) -> dict[str, Any]:
        timeline: dict[str, Any] = self.ask("view", run_id=run_id)["timeline"]
        return timeline

    @cached_property
    def caller(self) -> str:
        """Who asks: the last part of what AWS knows them by; where the stack is on this machine, its user."""
        from botocore.exceptions import BotoCoreError, ClientError

        if "endpoint_url" in self._options:
            return getpass.getuser()
        try:
            arn: str = self._client("sts").get_caller_identity()["Arn"]
        except ClientError as exc:
            raise self._trouble(exc.response["Error"]) from exc
        except BotoCoreError as exc:
            raise _no_connection(exc) from exc
        return arn.rpartition("/")[2]

    def _name_of(self, function: str) -> str:
        """What CloudFormation has named it."""
        if function not in self._names:
            cloudformation = self._client("cloudformation")
            found = cloudformation.describe_stack_resource(StackName=self.stack, LogicalResourceId=function)
            self._names[function] = found["StackResourceDetail"]["PhysicalResourceId"]
        return self._names[function]

    @cached_property
    def _lambda(self) -> Any:
        return self._client("lambda")

    def _client(self, service: str) -> Any:
        import boto3  # a quarter of a second that other commands need not pay
        from botocore.config import Config

        # Asked once: a command that went through must not be repeated because its answer was lost.
        config = Config(connect_timeout=5, read_timeout=READ_TIMEOUT_S, retries={"total_max_attempts": 1})
        with without_account() if "endpoint_url" in self._options else nullcontext():
            # Every other tool of AWS reads AWS_REGION; boto3 knows AWS_DEFAULT_REGION alone.
            session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
            return session.client(service, config=config, **self._options)

    def _trouble(self, error: dict[str, str]) -> Exception:
        code, said = error.get("Code", ""), error.get("Message", "")
        if code in DENIED:
            return Refused(
                f"Your AWS credentials may not do this: {said} They need cloudformation:DescribeStackResource and "
                "lambda:InvokeFunction."
            )
        if code in NOT_KNOWN:
            return Misconfigured(f"AWS does not take your credentials: {said} Sign in again.")
        if code in THROTTLED:
            return Throttled(f"AWS throttles: {said or code}. Try again in a moment.")
        if code == "ValidationError" and "Stack" in said:
            return Misconfigured(
                f"There is no stack {self.stack!r} with an {OPS} in this account and region: {said}. "
                "Check --stack, AWS_PROFILE and AWS_DEFAULT_REGION; an older release has to be deployed again."
            )
        return Unreachable(f"AWS answered {code}: {said}")


def find_ops(stack: str | None, *, folder: Path, note: Note, heard: Heard = lambda date: None) -> Ops:
    """The ops function of the deployed ``stack``, or of the local one at or above ``folder``."""
    if stack:
        return Ops(stack, view=("system", "--stack", stack, "view"), options={}, heard=heard)
    local = find_stack(folder, note=note)
    if not local:
        raise Misconfigured(
            "No stack to ask. Give --stack NAME (or NIGHTSHIFT_STACK), or start the local one with `make run` and call "
            "nightshift from inside its folder."
        )
    if not local.keys() >= {"aws_endpoint_url", *LOCAL_KEYS}:
        raise Misconfigured(f"{local['file']} is of an earlier release. Start the local stack again with `make run`.")
    options = {name: local[name] for name in LOCAL_KEYS}
    options |= {"region_name": LOCAL_REGION, "endpoint_url": local["aws_endpoint_url"]}
    return Ops(LOCAL_STACK, view=("system", "view"), options=options, heard=heard)


def _no_connection(exc: Exception) -> Exception:
    from botocore.exceptions import ConnectionError, HTTPClientError, NoRegionError

    if isinstance(exc, NoRegionError):
        return Misconfigured("No AWS region is set. Set AWS_DEFAULT_REGION, or AWS_PROFILE to a profile with a region.")
    if isinstance(exc, ConnectionError | HTTPClientError):
        return Unreachable(f"Cannot reach AWS: {exc}")
    # No credentials, half of them, a profile that is not there, a sign-in that is over: each says which.
    return Misconfigured(f"AWS cannot be asked: {exc}. Sign in, or set AWS_PROFILE.")

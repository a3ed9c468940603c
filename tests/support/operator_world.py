"""Lambda and CloudFormation for the operator's commands: they record requests and call the operate function."""

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.operator import dead_letters, dispatch
from operate.app import COMMANDS
from tests.support import http_server, moto_server
from tests.support.fixtures import CONTEXT, load_function

# The operate function without its environment: ``answer(event, db=…, settings=…)``.
answer = partial(dispatch.answer, commands=COMMANDS, request_id="request-1")

STACK = "prod-jobs"
FUNCTIONS = {"OperateFunction": "operate", "SetupFunction": "setup"}
FOUND = """<DescribeStackResourceResponse><DescribeStackResourceResult><StackResourceDetail>
<LogicalResourceId>{}</LogicalResourceId><PhysicalResourceId>{}-1</PhysicalResourceId>
<ResourceType>AWS::Lambda::Function</ResourceType><LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp>
<ResourceStatus>CREATE_COMPLETE</ResourceStatus></StackResourceDetail></DescribeStackResourceResult>
</DescribeStackResourceResponse>"""
IDENTITY = """<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/ada</Arn>
<UserId>A</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""
REFUSED = "<ErrorResponse><Error><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"


Answer = tuple[int, dict[str, str], bytes]


class Aws:
    """Answers to DescribeStackResource and Invoke. The function is ours, unless ``answers`` overrides it."""

    def __init__(self) -> None:
        self.stacks = {STACK}
        self.answers: dict[str, Answer] = {}
        self.asked: list[dict[str, Any]] = []
        self.signed: list[str] = []
        self.url = ""
        self.date = ""
        """AWS's date, if it differs from this machine's."""

    def describe(self, body: bytes) -> Answer:
        form = parse_qs(body.decode())
        if form["Action"] == ["GetCallerIdentity"]:
            return 200, {"Content-Type": "text/xml"}, IDENTITY.encode()
        [function] = form["LogicalResourceId"]
        if form["StackName"] not in ([name] for name in self.stacks) or function not in FUNCTIONS:
            return 400, {}, REFUSED.format("ValidationError", f"Stack '{form['StackName'][0]}' does not exist").encode()
        return 200, {"Content-Type": "text/xml"}, FOUND.format(function, FUNCTIONS[function]).encode()

    def invoke(self, body: bytes, *, function: str = "operate") -> Answer:
        self.asked.append(json.loads(body))
        # On AWS the function's metrics go to its own log, not into the command's output.
        with contextlib.redirect_stdout(io.StringIO()):
            answer = load_function(function).handler(self.asked[-1], CONTEXT)
        return 200, {}, json.dumps(answer).encode()


@pytest.fixture
def amazon() -> Iterator[Aws]:
    aws = Aws()

    def answer(request: http_server.Request) -> http_server.Reply:
        aws.signed.append(request.headers["Authorization"])
        invoked = re.fullmatch(r"/2015-03-31/functions/(\w+)-1/invocations", request.path)
        prepared = aws.answers.get("invoke" if invoked else "describe")
        ours = partial(aws.invoke, function=invoked[1]) if invoked else aws.describe
        status, headers, body = prepared or ours(request.body)
        return http_server.Reply(status, body, headers | ({"Date": aws.date} if aws.date else {}))

    with http_server.serve(answer) as aws.url:
        yield aws


@pytest.fixture
def bare(
    bare_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, amazon: Aws, moto_endpoint: str
) -> None:
    """Set this test's credentials and endpoints, independent of the developer's."""
    for function in FUNCTIONS.values():
        load_function(function)  # loads a path that is relative to the repository
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        # Only these two services: the function in the same process uses moto for its queues.
        "AWS_ENDPOINT_URL": moto_endpoint,
        "AWS_ENDPOINT_URL_LAMBDA": amazon.url,
        "AWS_ENDPOINT_URL_CLOUDFORMATION": amazon.url,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def dead_letter_queues(cloud: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Create the dead-letter queues, empty, and set the environment of the operate function."""
    monkeypatch.setattr(dead_letters, "RECEIVE_WAIT_S", 0)
    monkeypatch.setenv("DEAD_LETTERS", moto_server.dead_letters())
    settings_module.settings.cache_clear()
    return settings_module.settings()


def end_all(owner: Database, status: str = "completed", error: str = "NULL") -> Callable[[float], None]:
    def sleep(_: float) -> None:
        owner.run_script(
            f"UPDATE job_runs SET status = '{status}', error = {error}, started_at = clock_timestamp(),"
            " completed_at = clock_timestamp(), resend_at = NULL WHERE status IN ('pending', 'running')"
        )

    return sleep

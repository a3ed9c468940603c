"""The machine's other users, and pages in its browsers, get nothing from a running stack."""

import hashlib
import json
import os
import socket
import stat
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import boto3
import pg8000.native
import psutil
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from local import roles
from local.gate import NAMES
from local.processes import left_behind
from local.stack import Stack
from tests.support.stack_world import function_processes

pytestmark = pytest.mark.stack

VISIT = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}


def answered(method: str, url: str, **given: Any) -> int:
    """Return the status of a request with a connection of its own: a server closes those that it has refused."""
    with urllib3.PoolManager() as pool:
        return pool.request(method, url, retries=False, redirect=False, **given).status


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/_ministack/health", {}, ""),
        ("POST", "/_ministack/reset", {}, ""),
        ("POST", "/_ministack/config", {}, '{"lambda_svc.LAMBDA_EXECUTOR": "docker"}'),
        ("GET", "/_ministack/ses/messages", {}, ""),
        ("GET", "/_ministack/0123456789abcdef0123456789abcdef/ses/messages", {}, ""),
        ("POST", "/_ministack/cfn-response/token", {}, "{}"),
        ("POST", "/", {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}, "{}"),
        ("POST", "/", {"Content-Type": "text/plain"}, "Action=ListUsers&Version=2010-05-08"),
        ("GET", "/?Action=ListUsers&Version=2010-05-08", {}, ""),
        ("GET", "/nightshift-artifacts", {}, ""),
        ("GET", "/2015-03-31/functions", {}, ""),
        ("POST", "/2015-03-31/functions", {}, "{}"),
        ("OPTIONS", "/", {"Access-Control-Request-Method": "POST"}, ""),
        # Besides the API: ministack sends paths that are not the API's to the service that the headers name.
        ("POST", "/_aws/execute-api/nightshift", {"X-Amz-Target": "AmazonSQS.ListQueues"}, "{}"),
        ("POST", "/_aws/execute-api/another/v1", {"X-Amz-Target": "AmazonSQS.ListQueues"}, "{}"),
        ("GET", "/", {"Authorization": "AWS test:signature"}, ""),
        ("GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/s3/aws4_request", {}, ""),
    ],
)
def test_the_local_aws_takes_nothing_that_is_not_signed(
    here: dict[str, Any], method: str, path: str, headers: dict[str, str], body: str
) -> None:
    assert answered(method, here["aws_endpoint_url"] + path, headers=headers, body=body) == 403


CALLS = {
    "sts": "get_caller_identity", "s3": "list_buckets", "lambda": "list_functions", "sqs": "list_queues",
    "cloudformation": "describe_stacks", "sesv2": "get_account", "iam": "list_users", "events": "list_rules",
}  # fmt: skip


def call_all(here: dict[str, Any], **keys: str) -> dict[str, str]:
    """Return the error code of each of ``CALLS``, as the service's own client parses it; empty without an error."""
    codes = {}
    for service, operation in CALLS.items():
        config = Config(retries={"total_max_attempts": 1})
        url = here["aws_endpoint_url"]
        client = boto3.client(service, endpoint_url=url, region_name="us-east-1", config=config, **keys)
        try:
            getattr(client, operation)()
            codes[service] = ""
        except ClientError as exc:
            codes[service] = exc.response["Error"]["Code"]
    return codes


def test_only_the_keys_in_its_file_open_the_local_aws(here: dict[str, Any]) -> None:
    key, secret = here["aws_access_key_id"], here["aws_secret_access_key"]
    assert set(call_all(here, aws_access_key_id=key, aws_secret_access_key=secret).values()) == {""}
    for other in (
        {"aws_access_key_id": key, "aws_secret_access_key": "test"},
        {"aws_access_key_id": "test", "aws_secret_access_key": "test"},
        {"aws_access_key_id": "000000000000", "aws_secret_access_key": "test"},
        {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": "token"},
    ):
        assert set(call_all(here, **other).values()) == {"UnrecognizedClientException"}, other


def test_a_functions_keys_do_not_follow_from_its_name(stack: Stack, here: dict[str, Any]) -> None:
    """ministack's own keys do, and the names follow from the template."""
    for function in stack.local_aws.client("lambda").list_functions()["Functions"]:
        name = f"{function['FunctionArn']}:{function['Role']}"
        drawn = hashlib.sha256(name.encode()).hexdigest()
        keys = {
            "aws_access_key_id": f"ASIA{drawn[:16].upper()}",
            "aws_secret_access_key": hashlib.sha256(f"secret:{drawn}".encode()).hexdigest(),
            "aws_session_token": hashlib.sha256(f"token:{drawn}".encode()).hexdigest(),
        }
        assert set(call_all(here, **keys).values()) == {"UnrecognizedClientException"}, function["FunctionName"]


def test_an_old_signature_is_refused(stack: Stack, here: dict[str, Any]) -> None:
    """A signature that an attacker has kept."""
    sent: list[Any] = []
    client = stack.local_aws.client("sqs")
    client.meta.events.register("before-send.sqs", lambda request, **_: sent.append(request))
    client.list_queues()
    [request] = sent
    headers = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
        if name != "Content-Length"
    }
    again = {"headers": headers, "body": request.body}
    assert answered(request.method, request.url, **again) == 200
    # The signature covers every part: the request, the service and the caller.
    assert answered(request.method, request.url, headers=headers, body=b'{"MaxResults": 1}') == 403
    assert answered("PUT", request.url, **again) == 403
    assert answered(request.method, f"{request.url}?a=b", **again) == 403
    yesterday = headers | {"X-Amz-Date": "20200101T000000Z"}
    assert answered(request.method, request.url, headers=yesterday, body=request.body) == 403


@pytest.mark.parametrize("place", ["api_url", "aws_endpoint_url", "mailbox_url", "mailbox_page_url", "revenuecat_url"])
def test_no_page_of_another_site_reaches_any_of_its_servers(here: dict[str, Any], place: str) -> None:
    key = {"Authorization": f"Bearer {here['agent_key']}"}
    url = here[place] + ("/v1/auth/whoami" if place == "api_url" else "")
    for headers in (
        {"Origin": "http://evil.test"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        VISIT | {"Sec-Fetch-Dest": "iframe"},
        {"Host": f"evil.test:{urlsplit(url).port}"},
    ):
        for method in ("GET", "POST"):
            assert answered(method, url, headers=headers | key) == 403, (method, headers)


def test_links_lead_to_the_dashboard_and_the_mailbox(here: dict[str, Any]) -> None:
    for place in ("dashboard_url", "mailbox_page_url"):
        assert answered("GET", here[place], headers=VISIT) == 200
    for name in NAMES:
        headers = {"Host": f"{name}:{urlsplit(here['api_url']).port}"}
        assert answered("GET", f"{here['api_url']}/v1/health", headers=headers) == 200


def test_it_speaks_no_websocket(here: dict[str, Any]) -> None:
    url = urlsplit(here["api_url"])
    wish = (
        f"GET {url.path}/ HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(wish.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_many_requests_share_a_connection(here: dict[str, Any]) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", urlsplit(here["api_url"]).port, retries=False) as pool:
        for path in ("/_ministack/health", urlsplit(here["api_url"]).path + "/v1/health"):
            for _ in range(3):
                pool.request("GET", path)
        assert pool.num_connections == 1


def password_of(role: str, stack: Stack) -> str:
    secret = stack.local_aws.client("secretsmanager").get_secret_value(SecretId=f"nightshift/database/{role}")
    password: str = json.loads(secret["SecretString"])["password"]
    return password


@pytest.mark.parametrize("role", ["postgres", *roles.FUNCTIONS])
def test_nobody_signs_in_to_the_database_without_a_password(stack: Stack, here: dict[str, Any], role: str) -> None:
    place = {"host": "127.0.0.1", "port": stack.ports.postgres, "database": "nightshift"}
    for password in ("", "postgres", role):
        with pytest.raises(pg8000.native.DatabaseError, match="28P01"):
            pg8000.native.Connection(role, password=password, **place)
    password = stack.postgres.password if role == "postgres" else password_of(role, stack)
    pg8000.native.Connection(role, password=password, **place).close()
    if role == "postgres":
        assert here["database_url"] == f"postgresql://postgres:{password}@127.0.0.1:{stack.ports.postgres}/nightshift"


def test_the_server_asks_for_scram_and_nothing_less(stack_owner: Any) -> None:
    rules = stack_owner.run("SELECT type, auth_method FROM pg_hba_file_rules")
    assert rules == [["host", "scram-sha-256"]]
    kept = stack_owner.run("SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword NOT LIKE 'SCRAM-SHA-256$%'")
    assert kept == []


def test_its_files_are_closed_to_others(stack: Stack) -> None:
    for path in [stack.folder, *stack.folder.rglob("*")]:
        try:
            state = path.lstat()
        except FileNotFoundError:
            continue  # a server's file that was deleted in between
        # Run by root, Postgres is another user and has to pass through the folder.
        passes = 0o010 if path == stack.folder and os.geteuid() == 0 else 0
        assert stat.S_ISLNK(state.st_mode) or state.st_mode & 0o077 & ~passes == 0, f"{path}: {state.st_mode:o}"


def test_no_secret_is_on_a_command_line(stack: Stack, here: dict[str, Any]) -> None:
    """Every user can read command lines."""
    secrets = [here[name] for name in ("aws_secret_access_key", "agent_key", "admin_token")]
    secrets += [stack.local_aws.mail_key, stack.postgres.password]
    secrets += [password_of(role, stack) for role in roles.FUNCTIONS]
    commands = []
    for process in left_behind(stack.folder):
        with suppress(psutil.Error):  # it has ended since it was listed
            commands.append([process.name(), *process.cmdline()])
    assert "postgres" in {name for name, *_ in commands}
    for command in commands:
        assert not [secret for secret in secrets if secret in " ".join(command)], command


def test_the_functions_hold_no_key_but_their_own(stack: Stack, here: dict[str, Any]) -> None:
    functions = function_processes(stack.folder)
    assert functions
    kept = {here["aws_secret_access_key"], stack.local_aws.mail_key}
    for _, environment in functions:
        assert not kept & set(environment.values())

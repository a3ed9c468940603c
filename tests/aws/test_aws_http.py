"""Calls to AWS without a client send the same bytes as a botocore client."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from moto.core.botocore_stubber import MockRawResponse

from local.ports import free_port
from nightshift.aws import aws_http, queue, secret, sigv4, sqs
from nightshift.aws.aws_http import AwsRefused, AwsUnreachable, endpoint_of, post, regional_host
from nightshift.aws.queue import Message
from nightshift.base.errors import ConfigurationError
from nightshift.base.settings import Settings
from nightshift.notify import delivery
from nightshift.notify.mail import Mail
from nightshift.tenants import integrations
from tests.support import http_server
from tests.support.world import received

QUEUE = "https://sqs.eu-central-1.amazonaws.com/000000000000/runs"
REFUSED = {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."}
THROTTLED = {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "Rate exceeded"}
HANG_UP = (0, "")
OK = (200, '{"MessageId": "m", "SecretString": "s", "Plaintext": "c2VjcmV0"}')


@dataclass
class Wire:
    """A fake server: received requests, and the answers, of which the last one repeats."""

    url: str = ""
    answers: list[tuple[int, str]] = field(default_factory=lambda: [OK])
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """Path, headers in lower case, and body."""


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set Lambda's environment variables, independent of the developer's."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws_http, "PAUSE_S", 0)
    sigv4._session.cache_clear()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire()

    def answer(request: http_server.Request) -> http_server.Reply | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        wire.asked.append((request.path, headers, json.loads(request.body)))
        status, text = wire.answers[min(len(wire.asked), len(wire.answers)) - 1]
        return http_server.Reply(status, text.encode()) if status else None

    with http_server.serve(answer, keep_alive=True) as wire.url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        yield wire
        aws_http._connections(wire.url).close()
        aws_http._connections.cache_clear()


ENTRY = {"MessageBody": '{"run_id": "é"}', "MessageGroupId": "team", "DelaySeconds": 30}
MAIL = Mail("Subject é", "text", "<p>html")
SIMPLE = {
    "Subject": {"Data": "Subject é", "Charset": "UTF-8"},
    "Body": {"Text": {"Data": "text", "Charset": "UTF-8"}, "Html": {"Data": "<p>html", "Charset": "UTF-8"}},
    "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
}
SAME = {
    "send": (
        lambda: sqs.send_message(QUEUE, ENTRY),
        lambda: boto3.client("sqs").send_message(QueueUrl=QUEUE, **ENTRY),
    ),
    "batch": (
        lambda: sqs.send_message_batch(QUEUE, [{"Id": "0", **ENTRY}]),
        lambda: boto3.client("sqs").send_message_batch(QueueUrl=QUEUE, Entries=[{"Id": "0", **ENTRY}]),
    ),
    "mail": (
        lambda: delivery._send(MAIL, sender="a@example.com", recipient="b@example.com", configuration_set="mails"),
        lambda: boto3.client("sesv2").send_email(
            FromEmailAddress="Nightshift <a@example.com>",
            Destination={"ToAddresses": ["b@example.com"]},
            Content={"Simple": SIMPLE},
            ConfigurationSetName="mails",
        ),
    ),
    "secret": (
        lambda: secret.secret_text("jwt"),
        lambda: boto3.client("secretsmanager").get_secret_value(SecretId="jwt", VersionStage="AWSCURRENT"),
    ),
    "decrypt": (
        lambda: integrations.decrypt_secret(b"\x00cipher\xff", project_id="p"),
        lambda: boto3.client("kms").decrypt(CiphertextBlob=b"\x00cipher\xff", EncryptionContext={"project_id": "p"}),
    ),
}


@pytest.mark.parametrize("call", SAME)
def test_what_is_sent_is_what_a_client_sends(wire: Wire, call: str) -> None:
    for send in SAME[call]:
        send()
    ours, theirs = wire.asked
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    for header in ("x-amz-target", "content-type", "host", "x-amz-security-token"):
        assert ours[1].get(header) == theirs[1].get(header), header
    # Credential=<key>/<day>/<region>/<service>/aws4_request
    assert _scope(ours[1]) == _scope(theirs[1])
    assert ours[1]["x-amz-security-token"] == "token"


def _scope(headers: dict[str, str]) -> list[str]:
    credential = headers["authorization"].removeprefix("AWS4-HMAC-SHA256 Credential=").split(",")[0].split("/")
    return [credential[0], *credential[2:]]


@pytest.mark.parametrize("dual_stack", [False, True])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1"])
@pytest.mark.parametrize(
    ("service", "prefix", "service_id"),
    [
        ("sqs", "sqs", "SQS"),
        ("sesv2", "email", "SESV2"),
        ("kms", "kms", "KMS"),
        ("secretsmanager", "secretsmanager", "SECRETS_MANAGER"),
    ],
)
def test_the_endpoint_is_the_one_a_client_finds(
    monkeypatch: pytest.MonkeyPatch, service: str, prefix: str, service_id: str, region: str, dual_stack: bool
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", str(dual_stack).lower())
    theirs = boto3.client(service, region_name=region, config=Config(use_dualstack_endpoint=dual_stack))
    called: list[str] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        called.append(request.url)
        return AWSResponse(request.url, 200, {}, MockRawResponse(b"{}"))

    # The client changes the endpoint_url that it reports before it sends.
    theirs.meta.events.register("before-send", answer)
    {
        "sqs": lambda: theirs.send_message(QueueUrl=QUEUE, MessageBody="x"),
        "sesv2": lambda: theirs.send_email(Content={}),
        "kms": lambda: theirs.decrypt(CiphertextBlob=b"x"),
        "secretsmanager": lambda: theirs.get_secret_value(SecretId="x"),
    }[service]()
    [url] = called
    assert url.startswith(endpoint_of(service_id, host=regional_host(prefix)) + "/")


def test_the_services_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://every")
    assert endpoint_of("SQS", host="sqs") == "http://every"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://queues")
    assert endpoint_of("SQS", host="sqs") == "http://queues"


def test_a_body_does_not_wait_until_its_headers_are_acknowledged(wire: Wire) -> None:
    secret.secret_text("jwt")
    pool = aws_http._connections(wire.url)._manager.connection_from_url(wire.url)
    with closing(pool._get_conn()) as connection:
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class TestTrouble:
    @pytest.mark.parametrize(
        "passing", [(500, ""), (503, "<html>"), (429, "{}"), (400, json.dumps(THROTTLED)), HANG_UP]
    )
    def test_that_passes_is_tried_again(self, wire: Wire, passing: tuple[int, str]) -> None:
        wire.answers = [passing, OK]
        sqs.send_message(QUEUE, ENTRY)
        assert len(wire.asked) == 2

    @pytest.mark.parametrize("text", ["", "<html>", "[]", "null", '"x"', "\\x00"])
    def test_an_answer_that_is_no_object_is_none(self, wire: Wire, text: str) -> None:
        wire.answers = [(200, text)]
        with pytest.raises(AwsUnreachable, match="sqs did not answer with a JSON object"):
            sqs.send_message(QUEUE, ENTRY)
        assert len(wire.asked) == 2

    @pytest.mark.parametrize("text", ["[]", '"x"', "null", '{"__type": 5, "message": ["x\\u0000"]}'])
    def test_an_error_that_is_not_as_aws_writes_them_is_one(self, wire: Wire, text: str) -> None:
        wire.answers = [(403, text)]
        with pytest.raises(AwsRefused, match="sqs refused: ") as refused:
            sqs.send_message(QUEUE, ENTRY)
        assert type(refused.value.code) is type(refused.value.said) is str
        assert "\x00" not in refused.value.said

    def test_that_stays_is_tried_twice(self, wire: Wire) -> None:
        wire.answers = [(503, "<html>")]
        with pytest.raises(AwsRefused, match="sqs refused: HTTP 503: no message"):
            sqs.send_message(QUEUE, ENTRY)
        assert len(wire.asked) == 2

    def test_what_is_refused_is_asked_once(self, wire: Wire) -> None:
        wire.answers = [(400, json.dumps(REFUSED))]
        with pytest.raises(AwsRefused) as refused:
            sqs.send_message(QUEUE, ENTRY)
        assert str(refused.value) == "sqs refused: QueueDoesNotExist: The specified queue does not exist."
        assert len(wire.asked) == 1

    def test_expired_credentials_are_named(self, wire: Wire) -> None:
        said = {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"}
        wire.answers = [(403, json.dumps(said))]
        with pytest.raises(AwsRefused, match="ExpiredTokenException: The security token included in the request is"):
            sqs.send_message(QUEUE, ENTRY)

    @pytest.mark.parametrize("answer", [HANG_UP, (500, "")])
    def test_a_mail_is_sent_once_whatever_comes_back(self, wire: Wire, answer: tuple[int, str]) -> None:
        wire.answers = [answer]
        with pytest.raises((AwsUnreachable, AwsRefused)):
            delivery._send(MAIL, sender="a@example.com", recipient="b@example.com", configuration_set="mails")
        assert len(wire.asked) == 1

    def test_nobody_there(self) -> None:
        with pytest.raises(AwsUnreachable, match="EndpointConnectionError: Could not connect"):
            post("sqs", {}, endpoint=f"http://127.0.0.1:{free_port()}")

    def test_a_batch_counts_what_was_refused(self, wire: Wire) -> None:
        partly = {"Successful": [], "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}]}
        wire.answers = [(200, json.dumps(partly)), (400, json.dumps(REFUSED)), (200, "{}")]
        assert queue.send_batches(QUEUE, [ENTRY] * 23) == 1 + 10
        assert [len(body["Entries"]) for _, _, body in wire.asked] == [10, 10, 3]

    def test_where_no_answer_comes_one_batch_is_tried_and_the_rest_left(self, wire: Wire) -> None:
        wire.answers = [HANG_UP]
        assert queue.send_batches(QUEUE, [ENTRY] * 200) == 200
        assert len(wire.asked) == 2


def test_on_a_queue_messages_keep_group_and_delay(cloud: Settings) -> None:
    queue.send(Message("run", 3, "team"))
    queue.send(Message("late", 0, "team", delay_s=60))
    assert queue.send_all([Message("batch", number, "other") for number in range(11)]) == 0
    assert sorted((each["run_id"], each["group"]) for each in received(cloud)) == [
        *[("batch", "other")] * 11,
        ("run", "team"),
    ]


class TestWhoSigns:
    @pytest.fixture
    def bare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)

    def test_a_profile_where_the_environment_names_nobody(self, bare: None, tmp_path: Path) -> None:
        (tmp_path / "credentials").write_text("[default]\naws_access_key_id = K\naws_secret_access_key = S\n")
        (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n")
        assert (sigv4.credentials(), sigv4.region()) == (("K", "S", None), "eu-west-3")

    def test_nobody(self, bare: None) -> None:
        with pytest.raises(ConfigurationError, match="No AWS credentials"):
            sigv4.credentials()
        with pytest.raises(ConfigurationError, match="No AWS region"):
            sigv4.region()

    def test_rotated_credentials_are_used_at_once(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        sqs.send_message(QUEUE, ENTRY)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
        monkeypatch.delenv("AWS_SESSION_TOKEN")
        sqs.send_message(QUEUE, ENTRY)
        assert [_scope(headers)[0] for _, headers, _ in wire.asked] == ["AKIDEXAMPLE", "AKIDOTHER"]
        assert "x-amz-security-token" not in wire.asked[1][1]

"""A function's first call imports only the modules that its path uses. bench/coldstart.py measures the saved time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import coldstart, eager
from bench.first_calls import Answer, Events, call, environment, serve_aws
from nightshift.base.settings import Settings
from nightshift.database.queries import Database

# Modules that are slow to import, and the only reason to import each.
HEAVY = {
    "boto3": "a client, for what only an owner asks",
    "botocore.session": "a client, or credentials that are not in the environment",
    "botocore.client": "a client",
    "botocore.auth": "a signature: something is sent to AWS",
    "urllib3": "a request to AWS or to a provider",
    "pydantic": "a body or arguments to validate",
    "api.schemas": "the API's own document",
    "croniter": "the slots of a schedule",
    "jwt": "a caller with a token",
    "aws_xray_sdk": "never",
    "nightshift.notify.mail": "a mail to render",
    "nightshift.runs.executor": "a slice to work",
    "nightshift.healing.sweep": "the sweep",
    "aws_lambda_powertools.event_handler": "the API",
}
SIGNED = {"botocore.auth", "urllib3"}
API = {"aws_lambda_powertools.event_handler"}

# Each path: the slow modules that it may import, and the calls to AWS that prove that it ran completely.
WAYS = {
    "api_health": (API, []),
    "api_list": (API, []),
    "api_trigger": (API | SIGNED | {"pydantic"}, ["AmazonSQS.SendMessage"]),
    "api_user": (API | SIGNED | {"jwt"}, ["secretsmanager.GetSecretValue"]),
    "dashboard": (set(), []),
    "worker": (SIGNED | {"nightshift.runs.executor"}, ["AmazonSQS.SendMessageBatch"]),
    "worker_dropped": ({"nightshift.runs.executor"}, []),
    "schedule": (SIGNED | {"croniter"}, ["AmazonSQS.SendMessageBatch"]),
    "notify": (SIGNED | {"nightshift.notify.mail"}, ["/v2/email/outbound-emails"]),
    "announce": (SIGNED, ["AWSEvents.PutEvents"]),
    "deliver": (SIGNED, ["TrentService.Decrypt"]),
    "sweep": ({"nightshift.healing.sweep"}, []),
    "operate": (
        {"boto3", "botocore.session", "botocore.client", "pydantic", "croniter"} | SIGNED,
        ["AmazonSQS.GetQueueAttributes"] * 5,
    ),
    "setup": ({"pydantic"}, []),
    "migrate": ({"croniter"}, []),
}


@pytest.fixture
def aws() -> Iterator[tuple[str, list[str]]]:
    with serve_aws() as served:
        yield served


@pytest.mark.parametrize("way", WAYS)
def test_a_path_imports_nothing_that_it_does_not_use(way: str, config: Settings, owner: Database, aws) -> None:
    url, asked = aws
    function = way.split("_")[0]
    variables = environment(function, port=config.database_port, database=config.database_name, aws_url=url)
    answered = call(Events(owner).of(way), function=function, path=[Path("functions")], environment=variables)
    allowed, calls = WAYS[way]
    assert asked == calls
    assert HEAVY.keys() & set(answered.modules) == allowed
    assert went_well(way, answered), answered.answer


def went_well(way: str, answered: Answer) -> bool:
    if way.startswith(("api", "dashboard")):
        return answered.answer["statusCode"] in (200, 201)
    return way != "schedule" or answered.answer == {"outcome": "started"}


def test_every_function_has_its_way() -> None:
    functions = {path.parent.name for path in Path("functions").glob("*/app.py")}
    assert {way.split("_")[0] for way in WAYS} == functions
    # The dashboard imports nothing to compare.
    assert {way.split("_")[0] for way in coldstart.LIMITS} == functions - {"dashboard"} == eager.LAZY.keys()

"""What local AWS does as AWS does, beyond ministack. It runs in the interpreter that ministack is installed in."""

import json
import subprocess
from pathlib import Path

import pytest

from local.aws import PYTHON

HAND_OVER = """
import json, sys
from ministack.services import lambda_svc
lambda_svc._execute_function_with_config_scope = lambda function, event: {"body": function["answer"] or event}
from local import aws_process
aws_process._hand_over_as_aws_does()
given = json.load(sys.stdin)
function = {"answer": given["answer"] * given["times"]}
print(json.dumps(lambda_svc._execute_function_with_config_scope(function, given["event"])))
"""
THROTTLE = """
import asyncio, json, sys
from ministack.services import apigateway

async def handle(*arguments):
    return 200, {}, b"{}"

apigateway._handle_execute_in_scope = handle
from local import throttle
given = json.load(sys.stdin)
times = iter(given["times"])
throttle.throttle_the_api(lambda: next(times))
api = json.loads(apigateway._create_api({"name": "n", "protocolType": "HTTP"})[2])["apiId"]
for key in ("$default", "GET /assets"):
    apigateway._create_route(api, {"routeKey": key})
apigateway._create_stage(api, {"stageName": "$default"} | given["settings"])
for path in given["paths"]:
    status, headers, body = asyncio.run(
        apigateway.handle_execute(api, "$default", path, "GET", {}, b"", {}, raw_query_string="")
    )
    print(json.dumps([status, json.loads(body)]))
"""
EVENT = {"version": "2.0", "requestContext": {}, "headers": {"accept": "*/*"}}


@pytest.fixture
def handed_over():
    """``handed_over(event)``: what a function gets, or the result of one that answers ``answer`` so many times."""
    return lambda event, answer="", times=1: printed(HAND_OVER, event=event, answer=answer, times=times)[-1]


def printed(program, **given):
    done = subprocess.run(
        [PYTHON, "-c", program],
        input=json.dumps(given),
        env={"PYTHONPATH": str(Path.cwd()), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


def test_cookies_come_beside_the_headers(handed_over):
    got = handed_over(EVENT | {"headers": {"accept": "*/*", "cookie": "a=1; b=x=y"}})["body"]
    assert (got["cookies"], got["headers"]) == (["a=1", "b=x=y"], {"accept": "*/*"})
    assert handed_over(EVENT)["body"] == EVENT


def test_what_is_too_large_for_lambda_is_an_error(handed_over):
    most = 6 * 1024 * 1024 - 2  # JSON's quotes
    assert handed_over(EVENT, "x", most)["body"] == "x" * most
    refused = handed_over(EVENT, "x", most + 1)
    assert refused["error"]
    assert (refused["body"]["statusCode"], json.loads(refused["body"]["body"])["message"]) == (
        500,
        "Internal Server Error",
    )
    assert handed_over({}, "x", most + 1)["body"] == {"errorType": "Function.ResponseSizeTooLarge"}


ADMITTED, REFUSED = [200, {}], [429, {"message": "Too Many Requests"}]


def by_cloudformation(burst, rate):
    return {"ThrottlingBurstLimit": burst, "ThrottlingRateLimit": rate}


@pytest.mark.parametrize(
    "settings",
    [
        {"routeSettings": {"$default": by_cloudformation(2, 4)}, "defaultRouteSettings": by_cloudformation(9, 9)},
        {"routeSettings": {"$default": {"throttlingBurstLimit": 2, "throttlingRateLimit": 4}}},
        {"defaultRouteSettings": by_cloudformation(2, 4) | {"DetailedMetricsEnabled": True}},
    ],
    ids=["of the template", "by the API's own call", "of all routes"],
)
def test_a_route_admits_its_burst_and_then_its_rate(settings):
    # Two at once, one for each quarter of a second, and no more than two after a long time.
    times = [0, 0, 0, 0.2, 0.25, 0.25, 60, 60, 60]
    answers = printed(THROTTLE, settings=settings, times=times, paths=["/v1/jobs"] * len(times))
    taken = [ADMITTED, ADMITTED, REFUSED, REFUSED, ADMITTED, REFUSED, ADMITTED, ADMITTED, REFUSED]
    assert answers == taken


def test_each_route_has_a_bucket_of_its_own():
    one = {"defaultRouteSettings": by_cloudformation(1, 1)}
    answers = printed(THROTTLE, settings=one, times=[0] * 4, paths=["/v1/jobs", "//assets", "/assets", "/v1/teams"])
    assert answers == [ADMITTED, ADMITTED, REFUSED, REFUSED]


def test_a_stage_without_limits_admits_every_request():
    assert printed(THROTTLE, settings={}, times=[], paths=["/"] * 3) == [ADMITTED] * 3

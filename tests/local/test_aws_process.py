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
UNPACK = """
import json, os, sys, tempfile, zipfile
from pathlib import Path
from ministack.core import lambda_runtime
from local import unpacked

tempfile.tempdir = tempfile.mkdtemp(dir=os.environ["FOLDER"])
unpacked.unpack_once()

def unpack(release, process):
    place = Path(os.environ["FOLDER"], f"{release}-{process}")
    place.mkdir()
    with zipfile.ZipFile(f"{place}.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py"), f"release = {release}")
    with lambda_runtime.zipfile.ZipFile(f"{place}.zip") as archive:
        archive.extractall(place)
    return place

given = json.load(sys.stdin)
places = [unpack(*each) for each in given["unpacked"]]
codes = [place / "app.py" for place in places]
print(json.dumps([[code.read_text() if code.exists() else "", str(code.resolve())] for code in codes]))
"""
CALLS = """
import io, json, sys, zipfile
from local import aws_process, function_processes
from ministack.core import lambda_runtime

function_processes.call_as_aws_does()
given, code = json.load(sys.stdin), io.BytesIO()
with zipfile.ZipFile(code, "w") as archive:
    archive.writestr("app.py", given["code"])
arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
config = {"FunctionName": "f", "FunctionArn": arn, "Runtime": "python3.13", "Handler": "app.handler"}
worker = lambda_runtime.Worker("f", config, code.getvalue())
for event in given["events"]:
    answer = worker.invoke(event, "1")
    print(json.dumps([answer.get("result") or answer.get("error"), answer["log"]]))
worker.kill()
"""
LOGGER = """
import sys

def handler(event, context):
    print(end=event["log"])
    if event.get("closes"):
        sys.stderr.close()
    if event.get("fails"):
        raise ValueError("refused")
    return {"has_imported": [name for name in ("boto3", "botocore") if name in sys.modules]}
"""
EVENT = {"version": "2.0", "requestContext": {}, "headers": {"accept": "*/*"}}


@pytest.fixture
def handed_over():
    """``handed_over(event)``: what a function gets, or the result of one that answers ``answer`` so many times."""
    return lambda event, answer="", times=1: printed(HAND_OVER, event=event, answer=answer, times=times)[-1]


def printed(program, folder="", **given):
    done = subprocess.run(
        [PYTHON, "-c", program],
        input=json.dumps(given),
        env={"PYTHONPATH": str(Path.cwd()), "PATH": "", "FOLDER": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


def test_cookies_come_beside_the_headers(handed_over):
    got = handed_over(EVENT | {"headers": {"accept": "*/*", "cookie": "a=1; b=x=y"}})["body"]
    assert (got["cookies"], got["headers"]) == (["a=1", "b=x=y"], {"accept": "*/*"})
    assert handed_over(EVENT)["body"] == EVENT


def test_a_function_imports_what_its_code_imports_and_each_call_has_its_own_log():
    long = "x" * 99 + "\n"
    logs = ["one\ntwo\n", "", long * 5000, "\n"]
    events = [{"log": log} for log in logs] + [{"log": "three\n", "fails": True}, {"log": "four\n", "closes": True}]
    *answered, failed, closed = printed(CALLS, code=LOGGER, events=events)
    assert answered == [[{"has_imported": []}, log.removesuffix("\n")] for log in logs]
    assert failed == ["refused", "three"]
    assert closed == [{"has_imported": []}, "four"]


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


def test_each_release_is_unpacked_once_and_the_last_ten_are_kept(tmp_path):
    releases = [(1, "api"), (1, "worker"), *((number, "api") for number in range(2, 11)), (1, "sweep"), (11, "api")]
    [found] = printed(UNPACK, tmp_path, unpacked=releases)
    texts, files = zip(*found, strict=True)
    # The second release was used least recently, so the eleventh took its place.
    assert list(texts) == ["" if number == 2 else f"release = {number}" for number, _ in releases]
    assert files[0] == files[1] == files[-2]
    assert len(set(files)) == 11

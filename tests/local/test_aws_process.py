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
EVENT = {"version": "2.0", "requestContext": {}, "headers": {"accept": "*/*"}}


@pytest.fixture
def handed_over():
    """``handed_over(event)``: what a function gets, or the result of one that answers ``answer`` so many times."""

    def handed_over(event, answer="", times=1):
        done = subprocess.run(
            [PYTHON, "-c", HAND_OVER],
            input=json.dumps({"event": event, "answer": answer, "times": times}),
            env={"PYTHONPATH": str(Path.cwd()), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    return handed_over


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

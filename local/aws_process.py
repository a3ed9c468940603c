"""``python -m local.aws_process``: run ministack behind a gate, in the interpreter that ministack is installed in.

ministack checks signatures, but treats an unsigned request as one of the account's root, and needs no signature for
its own pages (``/_ministack/…``). The gate requires a signature by a key of this stack on every request, with two
exceptions: the HTTP API, which checks tokens itself, and URLs that contain a secret (CloudFormation's URL for the
answer of a custom resource, and the URL of the mails).
"""

import hmac
import json
import os
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, quote

from ministack import app as ministack
from ministack.core import lambda_runtime
from ministack.core.iam_evaluator import ResolvedCredential, resolve_credential
from ministack.core.responses import _account_from_sts_session, get_account_id
from ministack.core.sigv4 import (
    decode_header_value,
    header_signature_failure,
    parse_header_signature,
    request_time_failure,
)
from ministack.services import lambda_svc

from local.function_processes import call_as_aws_does
from local.gate import API_PATH, refusal
from local.throttle import throttle_the_api
from local.unpacked import unpack_once

# CloudFormation passes this URL, with a random token at its end, to the function that it waits for.
ANSWERS = "/_ministack/cfn-response/"
MAILS = "/_ministack/ses/messages"

UNSIGNED = "UnrecognizedClientException"
ADVICE = (
    "The request is not signed with a key of this stack. Sign it with aws_access_key_id and aws_secret_access_key from "
    ".local/stack.json; they change with every start."
)

# What a function may return, in bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 6 * 1024 * 1024
INTERNAL = {"message": "Internal Server Error"}


class Gate:
    """An ASGI application around ministack's. The mails are at ``/_ministack/<mail_key>/ses/messages``."""

    def __init__(self, app: Any, *, mail_key: str):
        self._app = app
        self._mails = f"/_ministack/{mail_key}/ses/messages"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            # The API uses no WebSockets, and browsers do not restrict a page's WebSocket to its origin.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            headers = [(name.decode("latin-1"), decode_header_value(value)) for name, value in scope["headers"]]
            method, path = scope["method"], scope["path"]
            if sentence := refusal(method, headers, is_page=path.startswith(API_PATH)):
                await _refuse(send, "AccessDeniedException", sentence, headers=dict(headers))
                return
            if method == "GET" and hmac.compare_digest(path.encode(), self._mails.encode()):
                scope = {**scope, "path": MAILS, "raw_path": MAILS.encode()}
            elif not (path.startswith(API_PATH) or (method == "PUT" and path.startswith(ANSWERS))):
                messages = await _whole(receive)
                if not _is_signed(scope, _joined(headers), body=b"".join(part.get("body", b"") for part in messages)):
                    await _refuse(send, UNSIGNED, ADVICE, headers=dict(headers))
                    return
                receive = _again(messages, then=receive)
        await self._app(scope, receive, send)


async def _whole(receive: Any) -> list[Any]:
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _again(messages: list[Any], *, then: Any) -> Any:
    left = iter(messages)

    async def receive() -> Any:
        return next(left, None) or await then()

    return receive


def _joined(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Join repeated headers into one value for each name, as signatures require.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    """
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name.lower()] = f"{joined[name.lower()]},{value}" if name.lower() in joined else value
    return joined


def _is_signed(scope: Any, headers: dict[str, str], *, body: bytes) -> bool:
    """Return whether the Authorization header has a current signature by a valid key of this stack."""
    signature = parse_header_signature(headers)
    if isinstance(signature, tuple) or request_time_failure(signature) is not None:
        return False
    key = signature.access_key_id
    token = headers.get("x-amz-security-token", "")
    credential = resolve_credential(key, _account_from_sts_session(key) or get_account_id(), token)
    if not isinstance(credential, ResolvedCredential):
        return False
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    failure = header_signature_failure(
        signature, credential.secret_access_key, scope["method"], path, query, headers, body
    )
    return failure is None


async def _refuse(send: Any, code: str, sentence: str, *, headers: dict[str, str]) -> None:
    """Send an error that the caller's client can parse: XML for the query protocol and S3, JSON otherwise."""
    kind = headers.get("content-type", "")
    if kind.startswith("application/x-www-form-urlencoded") or "x-amz-content-sha256" in headers:
        kind = "text/xml"
        content = f"<ErrorResponse><Error><Code>{code}</Code><Message>{sentence}</Message></Error></ErrorResponse>"
    else:
        kind, content = "application/json", json.dumps({"__type": code, "message": sentence})
    fields = {"content-type": kind, "content-length": str(len(content.encode())), "x-amzn-errortype": code}
    pairs = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": 403, "headers": pairs})
    await send({"type": "http.response.body", "body": content.encode()})


def _draw_the_functions_keys_at_random() -> None:
    """Replace the functions' keys. ministack derives them from names in the template, so they are not secret."""
    derived, drawn = lambda_runtime.execution_credentials, secrets.token_hex()

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        keys: dict[str, str] = derived({**config, "Role": f"{drawn}/{config.get('Role', '').rpartition('/')[2]}"})
        return keys

    lambda_runtime.execution_credentials = execution_credentials


def _let_invocations_end() -> None:
    """Keep a process of an updated function until its invocation ends, as Lambda does. ministack ends it at once."""
    invalidate, release = lambda_svc.invalidate_worker, lambda_svc.release_worker
    retired: set[Any] = set()

    def invalidate_worker(function: str, *arguments: Any, **options: Any) -> None:
        with lambda_runtime._lock:
            for key, workers in lambda_runtime._workers.items():
                if key.split(":")[2] == function:
                    retired.update(worker for worker in workers if worker.in_use)
                    workers[:] = [worker for worker in workers if not worker.in_use]
        invalidate(function, *arguments, **options)

    def release_worker(worker: Any) -> None:
        release(worker)
        if worker in retired:
            retired.discard(worker)
            worker.kill()

    lambda_svc.invalidate_worker, lambda_svc.release_worker = invalidate_worker, release_worker


def _hand_over_as_aws_does() -> None:
    """Give functions their cookies as the HTTP API does, and refuse answers that are too large for Lambda."""
    execute = lambda_svc._execute_function_with_config_scope

    def execute_as_aws_does(function: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        is_of_the_api = event.get("version") == "2.0" and "requestContext" in event
        if is_of_the_api and (cookies := event["headers"].pop("cookie", None)) is not None:
            event["cookies"] = cookies.split("; ")
        result: dict[str, Any] = execute(function, event)
        if len(json.dumps(result.get("body")).encode()) <= MOST_BYTES:
            return result
        # The HTTP API answers like this when Lambda refuses what a function returned.
        said = {"statusCode": 500, "headers": {"Content-Type": "application/json"}, "body": json.dumps(INTERNAL)}
        return {"error": True, "body": said if is_of_the_api else {"errorType": "Function.ResponseSizeTooLarge"}}

    lambda_svc._execute_function_with_config_scope = execute_as_aws_does


def main() -> None:
    # Only this interpreter needs it, and the functions inherit the environment.
    del os.environ["PYTHONPATH"]
    _draw_the_functions_keys_at_random()
    call_as_aws_does()
    _let_invocations_end()
    _hand_over_as_aws_does()
    throttle_the_api(time.monotonic)
    unpack_once()
    ministack.app = Gate(ministack.app, mail_key=os.environ.pop("NIGHTSHIFT_MAIL_KEY"))
    ministack.main()


if __name__ == "__main__":
    main()

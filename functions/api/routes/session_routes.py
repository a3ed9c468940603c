"""Operations on signing in with a code or a link, and on sessions."""

import re
from typing import Any

from aws_lambda_powertools.event_handler import Response

from api import signins
from api.browsers import cookie_of
from api.operations import operation
from api.request import Request
from api.responses import json_response
from nightshift.base.errors import Forbidden, NotFound, Refused, Unavailable
from nightshift.base.settings import settings
from nightshift.base.validation import is_mail_address, parse_uuid, validate
from nightshift.database.queries import database
from nightshift.tenants import sessions, sign_ins
from nightshift.tenants.auth import Principal
from nightshift.tenants.sign_in_codes import DIGITS, LASTS_S
from nightshift.tenants.sign_ins import Given, SignedIn

CODES = "/v1/auth/codes"
SESSIONS = "/v1/auth/sessions"
# The longest address that a mail server accepts (RFC 5321, 4.5.3.1.3).
MAX_ADDRESS = 254


@operation(
    "GET",
    CODES,
    summary="Whether people can sign in with a code",
    answer="CodesOffered",
    errors=(404,),
    needs_token=False,
)
def offer_codes(request: Request) -> dict[str, Any]:
    _require_codes()
    return {"digits": DIGITS, "expires_in_s": LASTS_S}


@operation(
    "POST",
    CODES,
    summary="Mail a code to an address; the answer is the same for every address",
    answer="CodeAsked",
    status=202,
    body="CodeBody",
    errors=(400, 404),
    needs_token=False,
    is_limited=True,
)
def ask_for_code(request: Request) -> dict[str, Any]:
    from api.bodies import CodeBody

    _require_codes()
    asked = validate(CodeBody, request.secret_body(), quoting=False)
    email = asked.email.strip()
    if len(email) > MAX_ADDRESS or not is_mail_address(email):
        raise Refused("email must be a mail address like ada@example.com", field="email")
    sign_in = sign_ins.ask(email, replaces=asked.replaces, client=request.client(), db=database(), settings=settings())
    return {"sign_in": sign_in, "digits": DIGITS, "expires_in_s": LASTS_S}


@operation(
    "POST",
    SESSIONS,
    summary="Sign in with a code or a link: a page gets a cookie, another program a token",
    answer="SignedIn",
    body="AnyEntry",
    errors=(400, 403, 404),
    needs_token=False,
)
def sign_in(request: Request) -> Response[str]:
    _require_codes()
    client = request.client()
    if client.is_browser:
        request.require_own_page()
    body = request.secret_body()
    try:
        session, token = _entered(request, body)
    except Unavailable:
        raise  # nothing was compared
    except Refused:
        signins.count_refused("A code or a link does not fit")
        raise
    answer = {"session": session.as_json(current_id=str(session.id))}
    if client.is_browser:
        return json_response(200, answer, cookies=[cookie_of(token)])
    return json_response(200, answer | {"token": token})


@operation("GET", SESSIONS, summary="The caller's sessions, the last used first", answer="Sessions", errors=(401, 403))
def list_sessions(request: Request) -> dict[str, Any]:
    who = _person(request)
    return {"sessions": sessions.list_of(who.id, current_id=who.session_id, db=database())}


@operation("DELETE", SESSIONS, summary="End all of the caller's sessions", answer="SessionsEnded", errors=(401, 403))
def end_sessions(request: Request) -> Response[str]:
    who = _person(request)
    count = sessions.end(who.id, session_id=None, author=request.author(who), db=database())
    return _without_cookie(request, {"ended": count})


@operation(
    "DELETE",
    f"{SESSIONS}/{{session_id}}",
    summary="End one of the caller's sessions; current for the one that sends the request",
    answer="SessionsEnded",
    errors=(400, 401, 403, 404),
)
def end_session(request: Request, session_id: str) -> Response[str] | dict[str, Any]:
    who = _person(request)
    if session_id == "current":
        if who.session_id is None:
            raise Refused("This request has no session to end: it is signed in with a token of an identity provider")
        session_id = who.session_id
    session_id = parse_uuid("session_id", session_id)
    count = sessions.end(who.id, session_id=session_id, author=request.author(who), db=database())
    answer = {"ended": count}
    return _without_cookie(request, answer) if session_id == who.session_id else answer


def _require_codes() -> None:
    """Raise NotFound if the stack offers neither codes nor links."""
    if not settings().sign_in_codes_per_hour:
        raise NotFound(
            "This server offers no sign-in by code. Sign in with a token of your identity provider or with an agent key"
        )


def _entered(request: Request, body: dict[str, Any]) -> SignedIn:
    from api.bodies import CodeEntry, LinkEntry

    given = Given(client=request.client(), replaces=request.session_cookie(), request_id=request.request_id)
    if "link" in body:
        link = validate(LinkEntry, body, quoting=False).link
        return sign_ins.enter_link(link, given=given, db=database())
    asked = validate(CodeEntry, body, quoting=False)
    code = re.sub(r"[\s-]", "", asked.code)
    if not re.fullmatch(f"[0-9]{{{DIGITS}}}", code):
        raise Refused(f"code must be {DIGITS} digits", field="code")
    return sign_ins.enter_code(asked.sign_in, code, given=given, db=database(), settings=settings())


def _person(request: Request) -> Principal:
    who = request.caller()
    if who.kind != "user":
        raise Forbidden("Sessions belong to people, and this is an API key")
    return who


def _without_cookie(request: Request, body: dict[str, Any]) -> Response[str]:
    """Return the answer, and delete the cookie in the browser that has it."""
    return json_response(200, body, cookies=[cookie_of("")] if request.session_cookie() is not None else [])

"""Requests generated from the OpenAPI document: valid ones are accepted, and no request breaks the API.

The function's handler answers, with real Postgres. SEED decides the requests. `make prove` sends more of them.
"""

import functools
import hashlib
import itertools
import os
import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks

from nightshift.testing.rows import make_team
from tests.support.api_world import DOCUMENT, Api
from tests.support.fixtures import JWT_SECRET
from tests.support.world import store_keys, token

SEED = 20261127
# Each is sent four times. Creating one takes longer than sending it.
EXAMPLES = int(os.environ.get("NIGHTSHIFT_EXAMPLES", "10"))

CONFORMANCE = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
# Refusals of valid requests because of a resource's state, which no schema can describe.
OF_THE_STATE = re.compile(
    r"Cannot (cancel|rerun) a job with status|cursor must be one that a list returned|Idempotency-Key .* already used"
    # No schema can describe cron expressions, zones and times to come either.
    r"|email must be a mail address|code must be 8 digits|(sign_in|link) is damaged|This request has no session"
    r"|The body must (not contain NUL|be a JSON object in UTF-8)|This (code|link) is |cron: |zone must be"
    r"|(run_at|until) must be"
    r"|A schedule needs either|params\.|This schedule is (not|already) paused"
    # Nor hosts, addresses, and fields that belong to one channel.
    r"|url |job_types must be of|project_ids: |project_ids must be|addresses: |overdue_hours belongs|A mail needs"
    r"|admins and addresses belong|This team has asked"
    r"|Give either run_ids or match|run_ids must be ids|match must have|status must be one of|from must be start"
    r"|(triggered_by|since|until|project_id) must be|params can only be given"
    r"|A key either expires or not|name must have at least 1 character besides spaces"
)
# An alert whose fields go together.
A_MAIL = {"channel": "mail", "events": ["failed"], "admins": True, "overdue_hours": None}
A_MAIL |= {"url": None, "addresses": None, "job_types": None, "project_ids": None}
# Without an expression they are refused, although it is optional in their schema.
WITH_CRON = ("GET /v1/cron", "POST /v1/teams/{team_id}/schedules")
# 429: the team has as many previews of bulk actions as it may have.
ALLOWED = {200, 201, 202, 403, 404, 409, 429}

OPERATIONS = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Serve the API as a WSGI application. Convert requests and answers as API Gateway does."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length).decode("utf-8", "surrogateescape") if length else None
    headers = {
        name[5:].replace("_", "-").lower(): value.encode("latin-1").decode("utf-8", "replace")
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    path = unquote(environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"))
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    authorization = headers.pop("authorization", None)
    headers.pop("accept-encoding", None)  # the client does not decompress what it asks for
    answer = Api(authorization).send(environ["REQUEST_METHOD"], path, body, headers=headers, **query)
    start_response(f"{answer['statusCode']} ", list(answer["headers"].items()))
    yield answer["body"].encode()


@pytest.fixture
def team(owner):
    return make_team(owner, projects=2)


@pytest.fixture
def ids(operation, team, owner):
    """Return existing ids by parameter name. The run has ended, or is another project's for operations that end it."""
    live = operation.endswith("/cancel")
    [[run_id]] = owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at, resend_at)"
        f" SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', '{'pending' if live else 'cancelled'}',"
        f" {'NULL, now()' if live else 'now(), NULL'} FROM projects"
        f" WHERE team_id = '{team.id}' AND id {'<>' if live else '='} '{team.project_id}' RETURNING id"
    )
    if operation != "POST /v1/projects/{project_id}/integrations":
        store_keys(owner)
    paused = "now(), '', ''" if operation.endswith("/resume") else "NULL, NULL, NULL"
    by = f"manual:user:{team.users['admin']}"
    [[schedule_id]] = owner.run_script(
        "INSERT INTO job_team_schedules"
        " (project_id, job_type, name, cron, zone, params, created_by, paused_at, paused_by, paused_why)"
        f" VALUES ('{team.project_id}', 'revenuecat_sync', '', '@daily', 'UTC', '{{}}', '{by}',"
        f" {paused}) RETURNING id::text"
    )
    if not operation.endswith("/resume"):
        owner.run_script("UPDATE job_team_schedules SET next_slot = now() + interval '1 h'")
    [[key_id]] = owner.run_script(
        "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix)"
        f" VALUES ('{team.id}', 'agent', sha256('x'), 'owl_agent_xxxx') RETURNING id::text"
    )
    if operation.startswith("DELETE") and "/pauses/" in operation:
        owner.run_script(
            "INSERT INTO job_project_pauses (project_id, job_type, paused_by, why)"
            f" VALUES ('{team.project_id}', 'revenuecat_sync', 'x', 'y')"
        )
    [[alert_id]] = owner.run_script(
        "INSERT INTO job_alerts (team_id, name, events, channel, config, secret_encrypted, minutes_between, created_by)"
        f" VALUES ('{team.id}', 'x', '{{failed}}', 'webhook', '{{\"url\": \"https://x.example/\"}}', 'x', 5, 'x')"
        " RETURNING id::text"
    )
    [[delivery_id]] = owner.run_script(
        "INSERT INTO job_alert_deliveries (alert_id, team_id, kind, about, data, status, ended_at, expires_at)"
        f" VALUES ('{alert_id}', '{team.id}', 'failed', 'x', '{{}}', 'sent', now(), now()) RETURNING id::text"
    )
    names = {"team_id": team.id, "project_id": team.project_id, "run_id": str(run_id), "schedule_id": schedule_id}
    names |= {"key_id": key_id, "job_type": "revenuecat_sync"}
    owner.run_script(
        "INSERT INTO job_alert_addresses (team_id, address, token_hash, asked_at)"
        f" VALUES ('{team.id}', 'ops@x.example', sha256('token'), now())"
    )
    names |= {"alert_id": alert_id, "delivery_id": delivery_id, "token": "token"}
    links = [str(uuid.uuid4()) for _ in range(2 * EXAMPLES)]
    hashed = hashlib.sha256(b"x").hexdigest()
    for link in links if operation == "POST /v1/auth/sessions" else ():
        owner.run_script(
            "INSERT INTO job_sign_ins (id, secret_hash, user_id)"
            f" VALUES ('{link}', '\\x{hashed}', '{team.users['admin']}')"
        )
    [[session_id]] = owner.run_script(
        "INSERT INTO job_sessions (user_id, token_hash, is_cookie, signed_in_by, source, browser)"
        f" VALUES ('{team.users['admin']}', '', false, 'code', '', '') RETURNING id::text"
    )
    is_preview = "NULL, NULL, NULL" if operation.endswith("/confirm") else "'x', now(), now()"
    [[action_id]] = owner.run_script(
        "INSERT INTO job_bulk_actions (team_id, action, asked, created_by, confirmed_by, confirmed_at, ended_at)"
        f" VALUES ('{team.id}', 'cancel', '{{}}', 'x', {is_preview}) RETURNING id::text"
    )
    names |= {"action_id": action_id}
    names |= {"session_id": session_id, "link": [f"{link}.x" for link in links]}
    return names | {"provider": "revenuecat", "cron": "0 3 * * *", "zone": "Europe/Berlin"}


@functools.cache
def operations():
    """Return the operations by method and path."""
    load_all_checks()
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = wsgi
    return {f"{each.ok().method.upper()} {each.ok().path}": each.ok() for each in schema.get_all_operations()}


@pytest.fixture
def unlimited(cloud, monkeypatch):
    monkeypatch.setenv("RUNS_PER_MINUTE", "1000000")
    monkeypatch.setenv("SIGN_IN_CODES_PER_HOUR", "1000000")


def ask(operation, mode, look, *, ids, team):
    """Create EXAMPLES of requests. Send each about any and about existing resources, from both callers."""
    print(f"seed {SEED}")
    callers = [f"Bearer {team.agent_key}", f"Bearer {token(team.users['admin'], JWT_SECRET)}"]

    @seed(SEED)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operations()[operation].as_strategy(generation_mode=mode))
    def each(case):
        for existing, caller in itertools.product(({}, ids), callers):
            response = send(case, existing, caller)
            case.validate_response(response, checks=list(CONFORMANCE))
            look(case, response)

    each()


def send(case, ids, caller):
    """Return the response to a request, with ``ids`` in place of parameters with these names."""
    if ids:
        case.path_parameters = {name: ids[name] for name in case.path_parameters or {}}
        for named in (case.query, case.body):
            if isinstance(named, dict):
                if named.get("cron") or f"{case.method} {case.path}" in WITH_CRON:
                    named.pop("run_at", None)
                    named["cron"] = ids["cron"]
                if not {"link", "code"}.isdisjoint(named):
                    named.clear()
                    named["link"] = ids["link"].pop()
                replaced = ("team_id", "project_id", "zone", "token")
                named.update({name: ids[name] for name in replaced if named.get(name)})
                if "match" in named and "action" in named:
                    named.update({"match": {"status": "failed"}, "run_ids": None, "from": "start"})
                if "channel" in named:
                    named.update(A_MAIL)
    return case.call(headers={"Authorization": caller})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_document_allows_is_taken(operation, unlimited, ids, team):
    taken = set()

    def look(case, response):
        status, said = response.status_code, response.json()
        taken.add(status)
        assert status in ALLOWED or OF_THE_STATE.match(said["error"]), (case.as_curl_command(), status, said)

    ask(operation, GenerationMode.POSITIVE, look, ids=ids, team=team)
    assert taken & {200, 201, 202}, taken


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each not in ("GET /v1/health", "GET /v1/auth/codes")]
)
def test_what_it_does_not_allow_is_refused_in_its_words(operation, unlimited, ids, team):
    ask(operation, GenerationMode.NEGATIVE, lambda case, response: None, ids=ids, team=team)

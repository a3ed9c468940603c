"""Authorization of every route, for every kind of caller, on the caller's own, another team's and missing resources.

The expectations follow from POLICIES, with one line for each route. A route without a line fails.
"""

import hashlib
import json
import re
import uuid
from collections import defaultdict
from dataclasses import dataclass, field

import jwt
import pytest

from nightshift.tenants.key_terms import EXTRA_PERMISSIONS
from nightshift.testing.rows import Team, make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET, load_function
from tests.support.world import system_run, token

OTHER_SECRET = "another secret of a length that HS256 is happy with"
NOT_THERE = "00000000-0000-4000-8000-000000000000"
MALFORMED = ("x", "1' OR '1'='1", NOT_THERE[:-1], NOT_THERE.replace("-", ""), "{" + NOT_THERE[:34] + "}")


@dataclass(frozen=True)
class Policy:
    """A route's policy. ``of`` is the named resource, ``needs`` a key's permission; users must manage the team.

    ``passes`` are the statuses for a permitted caller: the first one, and those of the requests that follow from it.
    """

    of: str | None = None
    needs: str | None = None
    passes: tuple[int, ...] = (200,)
    public: bool = False
    people: bool = False
    """Whether keys are refused."""
    takes_project: bool = False


POLICIES = {
    "GET /v1/health": Policy(public=True),
    "GET /v1/openapi.json": Policy(public=True),
    "GET /v1/auth/whoami": Policy(),
    "GET /v1/auth/codes": Policy(public=True),
    "POST /v1/auth/codes": Policy(public=True, passes=(202,)),
    "POST /v1/auth/sessions": Policy(public=True),
    "GET /v1/auth/sessions": Policy(people=True),
    "DELETE /v1/auth/sessions": Policy(people=True),
    "DELETE /v1/auth/sessions/{session_id}": Policy(of="session", people=True, passes=(200, 404)),
    "GET /v1/job-types": Policy(),
    "GET /v1/projects": Policy(needs="jobs:read"),
    "GET /v1/projects/{project_id}": Policy(of="project", needs="jobs:read"),
    "GET /v1/projects/{project_id}/integrations": Policy(of="project", needs="integrations:write"),
    "POST /v1/projects/{project_id}/integrations": Policy(of="project", needs="integrations:write", passes=(201, 409)),
    "PATCH /v1/projects/{project_id}/integrations/{provider}": Policy(of="project", needs="integrations:write"),
    "DELETE /v1/projects/{project_id}/integrations/{provider}": Policy(
        of="project", needs="integrations:write", passes=(200, 404)
    ),
    "POST /v1/projects/{project_id}/integrations/revenuecat/sync": Policy(
        of="project", needs="jobs:write", passes=(200, 409)
    ),
    "GET /v1/teams/{team_id}/members": Policy(of="team", needs="jobs:read"),
    "GET /v1/teams/{team_id}/keys": Policy(of="team", needs="keys:write"),
    "POST /v1/teams/{team_id}/keys": Policy(of="team", needs="keys:write", passes=(201,)),
    "POST /v1/teams/{team_id}/keys/{key_id}/rotate": Policy(of="team", needs="keys:write", passes=(201, 409)),
    "DELETE /v1/teams/{team_id}/keys/{key_id}": Policy(of="team", needs="keys:write"),
    "GET /v1/teams/{team_id}/audit": Policy(of="team", needs="audit:read"),
    "GET /v1/teams/{team_id}/jobs": Policy(of="team", needs="jobs:read", takes_project=True),
    "GET /v1/teams/{team_id}/jobs/summary": Policy(of="team", needs="jobs:read", takes_project=True),
    "POST /v1/teams/{team_id}/jobs/trigger": Policy(
        of="team", needs="jobs:write", passes=(201, 409), takes_project=True
    ),
    "GET /v1/teams/{team_id}/bulk-actions": Policy(of="team", needs="jobs:read"),
    "POST /v1/teams/{team_id}/bulk-actions": Policy(of="team", needs="jobs:write", passes=(201,)),
    "GET /v1/teams/{team_id}/bulk-actions/{action_id}": Policy(of="team", needs="jobs:read"),
    "GET /v1/teams/{team_id}/bulk-actions/{action_id}/items": Policy(of="team", needs="jobs:read"),
    "POST /v1/teams/{team_id}/bulk-actions/{action_id}/confirm": Policy(of="team", needs="jobs:write"),
    "POST /v1/teams/{team_id}/bulk-actions/{action_id}/stop": Policy(of="team", needs="jobs:write"),
    "GET /v1/jobs/{run_id}": Policy(of="run", needs="jobs:read"),
    "GET /v1/jobs/{run_id}/timeline": Policy(of="run", needs="jobs:read"),
    "GET /v1/jobs/{run_id}/logs": Policy(of="run", needs="jobs:read"),
    "POST /v1/jobs/{run_id}/cancel": Policy(of="run", needs="jobs:write", passes=(200, 400)),
    "POST /v1/jobs/{run_id}/rerun": Policy(of="run", needs="jobs:write", passes=(201, 409)),
    "GET /v1/projects/{project_id}/pauses": Policy(of="project", needs="jobs:read"),
    "PUT /v1/projects/{project_id}/pauses/{job_type}": Policy(of="project", needs="jobs:write"),
    "DELETE /v1/projects/{project_id}/pauses/{job_type}": Policy(of="project", needs="jobs:write", passes=(200, 404)),
    "GET /v1/cron": Policy(),
    "GET /v1/teams/{team_id}/schedules": Policy(of="team", needs="jobs:read", takes_project=True),
    "POST /v1/teams/{team_id}/schedules": Policy(of="team", needs="jobs:write", passes=(201, 409), takes_project=True),
    "GET /v1/schedules/{schedule_id}": Policy(of="schedule", needs="jobs:read"),
    "GET /v1/schedules/{schedule_id}/slots": Policy(of="schedule", needs="jobs:read"),
    "PATCH /v1/schedules/{schedule_id}": Policy(of="schedule", needs="jobs:write"),
    "POST /v1/schedules/{schedule_id}/pause": Policy(of="schedule", needs="jobs:write", passes=(200, 400)),
    "POST /v1/schedules/{schedule_id}/resume": Policy(of="schedule", needs="jobs:write", passes=(200, 400)),
    "DELETE /v1/schedules/{schedule_id}": Policy(of="schedule", needs="jobs:write"),
    "GET /v1/teams/{team_id}/alerts": Policy(of="team", needs="alerts:write"),
    "POST /v1/teams/{team_id}/alerts": Policy(of="team", needs="alerts:write", passes=(201, 409)),
    "GET /v1/alerts/{alert_id}": Policy(of="alert", needs="alerts:write"),
    "PATCH /v1/alerts/{alert_id}": Policy(of="alert", needs="alerts:write"),
    "DELETE /v1/alerts/{alert_id}": Policy(of="alert", needs="alerts:write"),
    "POST /v1/alerts/{alert_id}/test": Policy(of="alert", needs="alerts:write", passes=(201, 409)),
    "POST /v1/alerts/{alert_id}/rotate": Policy(of="alert", needs="alerts:write"),
    "GET /v1/alerts/{alert_id}/deliveries": Policy(of="alert", needs="alerts:write"),
    "POST /v1/alert-deliveries/{delivery_id}/replay": Policy(of="delivery", needs="alerts:write", passes=(200, 409)),
    # For the reader of the mail that holds the token; without it, nothing is confirmed.
    "POST /v1/alert-addresses/confirm": Policy(public=True, passes=(400,)),
}
NOT_FOUND = {
    "session": "Session not found",
    "run": "Job run not found",
    "project": "Project not found",
    "schedule": "Schedule not found",
    "alert": "Alert not found",
    "delivery": "Delivery not found",
}


@dataclass(frozen=True)
class Caller:
    """A caller. ``refused`` is the sentence of the 401 for unknown callers."""

    authorization: str | None
    refused: str | None = None
    teams: frozenset[str] = frozenset()
    permissions: tuple[str, ...] | None = None
    """A key's permissions; None for a user."""
    role: str = ""
    person: str = ""
    """The id of the user whose session is a target."""


@dataclass(frozen=True)
class Target:
    """The resource of a request. ``team`` owns it; None for a deleted, a system's or a missing one."""

    id: str = ""
    team: str | None = None
    project_id: str = ""
    """The project in a trigger's body or a list's filter, if it is not ``team``'s own."""
    is_malformed: bool = False
    person: str = ""


@dataclass
class World:
    team: Team
    strangers: Team
    gone: Team
    runs: dict[str, str] = field(default_factory=dict)
    """Run ids by kind: own, strangers, gone and system."""
    schedules: dict[str, str] = field(default_factory=dict)
    """Schedule ids by kind: own, strangers and gone."""
    keys: dict[str, str] = field(default_factory=dict)
    """Key ids by team."""
    alerts: dict[str, str] = field(default_factory=dict)
    """Ids of alerts by kind, each also that of a delivery: own, strangers and gone."""
    actions: dict[str, str] = field(default_factory=dict)
    """The id of a bulk action by team."""
    deleted_project: str = ""
    sessions: dict[str, str] = field(default_factory=dict)
    """Session ids by kind: own, of the team's admin, and strangers."""
    links: list[str] = field(default_factory=list)

    def secrets(self) -> set[str]:
        """Return values that no answer to this team's callers may contain unless they sent them."""
        others = [self.strangers, self.gone]
        ids = {each for other in others for each in (other.id, other.project_id, other.users["member"])}
        runs = {run_id for of, run_id in self.runs.items() if of != "own"}
        runs |= {id for made in (self.schedules, self.alerts) for of, id in made.items() if of != "own"}
        of_teams = (*self.keys.items(), *self.actions.items())
        runs |= {id for team_id, id in of_teams if team_id != self.team.id}
        runs.add(self.sessions["strangers"])
        return ids | runs | {"strangers", "The secret of strangers", "The secret of gone"}


@pytest.fixture
def world(cloud, owner, monkeypatch):
    # All callers come from one network.
    monkeypatch.setenv("SIGN_IN_CODES_PER_HOUR", "1000")
    made = World(*(make_team(owner, slug=slug) for slug in ("owls", "strangers", "gone")))
    made.runs["system"] = system_run(owner, "db_pruning")
    for of, team in (("own", made.team), ("strangers", made.strangers), ("gone", made.gone)):
        run_id = made.runs[of] = str(uuid.uuid4())
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, completed_at)"
            f" VALUES ('{run_id}', 'revenuecat_sync', '{team.id}', '{team.project_id}', 'manual:user:x', 'failed',"
            f" 'The secret of {of}', clock_timestamp())"
        )
        schedule_id = made.schedules[of] = str(uuid.uuid4())
        owner.run_script(
            "INSERT INTO job_team_schedules (id, project_id, job_type, name, cron, zone, params, created_by, next_slot)"
            f" VALUES ('{schedule_id}', '{team.project_id}', 'revenuecat_sync', 'The secret of {of}', '0 3 * * *',"
            f" 'UTC', '{{}}', 'manual:user:{team.users['owner']}', '2100-01-01T03:00:00Z')"
        )
        [[made.keys[team.id]]] = owner.run_script(
            "INSERT INTO api_keys (team_id, key_type, name, key_hash, key_prefix) VALUES"
            f" ('{team.id}', 'agent', 'The secret of {of}', sha256('{of}'), 'owl_agent_xxxx') RETURNING id::text"
        )
        [[made.actions[team.id]]] = owner.run_script(
            "INSERT INTO job_bulk_actions (team_id, action, asked, created_by, confirmed_by, confirmed_at, ended_at)"
            f" VALUES ('{team.id}', 'rerun', '{{\"error\": \"The secret of {of}\"}}', 'x', 'x', now(), now())"
            " RETURNING id::text"
        )
        alert_id = made.alerts[of] = str(uuid.uuid4())
        owner.run_script(
            "INSERT INTO job_alerts (id, team_id, name, events, channel, config, secret_encrypted, minutes_between,"
            f" created_by) VALUES ('{alert_id}', '{team.id}', 'The secret of {of}', '{{failed}}', 'webhook',"
            f" '{{\"url\": \"https://x.example/\"}}', 'x', 5, 'manual:user:x');"
            "INSERT INTO job_alert_deliveries (id, alert_id, team_id, kind, about, data, status, ended_at, expires_at)"
            f" VALUES ('{alert_id}', '{alert_id}', '{team.id}', 'failed', 'The secret of {of}', '{{}}', 'sent', now(),"
            " now())"
        )
    for of, person in (("own", made.team.users["admin"]), ("strangers", made.strangers.users["admin"])):
        made.sessions[of] = session(owner, person)[1]
    made.deleted_project = str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO projects (id, team_id, name, slug, deleted_at)"
        f" VALUES ('{made.deleted_project}', '{made.team.id}', 'Old', 'old', clock_timestamp());"
        "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
        " SELECT id, 'revenuecat', '{}', '' FROM projects;"
        f"UPDATE teams SET deleted_at = clock_timestamp() WHERE id = '{made.gone.id}'"
    )
    return made


def session(owner, user_id, *, is_cookie=False, ends="12 hours"):
    """Return the token and the id of a session."""
    text = f"owl_session_{uuid.uuid4().hex}"
    [[session_id]] = owner.run_script(
        "INSERT INTO job_sessions (user_id, token_hash, is_cookie, signed_in_by, source, browser, ends_at) VALUES"
        f" ('{user_id}', '\\x{hashlib.sha256(text.encode()).hexdigest()}', {is_cookie}, 'code', '127.0.0.1', 'Firefox',"
        f" clock_timestamp() + interval '{ends}') RETURNING id::text"
    )
    return text, session_id


@pytest.fixture
def callers(world, owner):
    """Return callers by kind. Each user's token is valid unless its name says otherwise."""

    def key(permissions, *, team=world.team, expires="NULL", deleted="NULL"):
        text = f"owl_agent_{uuid.uuid4().hex}"
        owner.run_script(
            "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix, permissions, expires_at, deleted_at) VALUES"
            f" ('{team.id}', 'agent', '\\x{hashlib.sha256(text.encode()).hexdigest()}', '{text[:14]}',"
            f" '{{{','.join(permissions)}}}', {expires}, {deleted})"
        )
        return f"Bearer {text}"

    def user(user_id, *, secret=JWT_SECRET, **claims):
        return f"Bearer {token(user_id, secret, **claims)}"

    def newcomer(condition=""):
        [[user_id]] = owner.run_script(
            f"INSERT INTO users (email, deleted_at) VALUES ('{uuid.uuid4()}@x.example', {condition or 'NULL'})"
            " RETURNING id"
        )
        return str(user_id)

    ex_member, deleted_user, minute = newcomer(), newcomer("clock_timestamp()"), "interval '1 minute'"
    owner.run_script(
        "INSERT INTO team_members (team_id, user_id, role) VALUES"
        f" ('{world.team.id}', '{ex_member}', 'owner'), ('{world.team.id}', '{deleted_user}', 'owner');"
        f"DELETE FROM team_members WHERE user_id = '{ex_member}'"
    )
    every = ("jobs:read", "jobs:write", *EXTRA_PERMISSIONS)
    both, own, foreign = ("jobs:read", "jobs:write"), frozenset({world.team.id}), frozenset({world.strangers.id})
    no_key, no_token, no_session = (
        "Invalid API key",
        "Invalid or expired token",
        "The session has ended. Sign in again.",
    )
    colleague, stranger = newcomer(), world.strangers.users["admin"]
    owner.run_script(
        f"INSERT INTO team_members (team_id, user_id, role) VALUES ('{world.team.id}', '{colleague}', 'admin')"
    )
    admin = world.team.users["admin"]
    return {
        "no credentials": Caller(None, "Missing authorization"),
        "a malformed header": Caller("Token abc", "Invalid authorization format"),
        "an unknown key": Caller(f"Bearer owl_agent_{uuid.uuid4().hex}", no_key),
        "an expired key": Caller(key(both, expires=f"clock_timestamp() - {minute}"), "API key expired"),
        "a deleted key": Caller(key(both, deleted="clock_timestamp()"), no_key),
        "a deleted team's key": Caller(key(both, team=world.gone), no_key),
        "a key of everything": Caller(key(every), teams=own, permissions=every),
        "a key": Caller(key(both), teams=own, permissions=both),
        "a read-only key": Caller(key(both[:1]), teams=own, permissions=both[:1]),
        "a write-only key": Caller(key(both[1:]), teams=own, permissions=both[1:]),
        "a key without permissions": Caller(key(()), teams=own, permissions=()),
        "another team's key": Caller(key(both, team=world.strangers), teams=foreign, permissions=both),
        "a member": Caller(user(world.team.users["member"]), teams=own, role="member"),
        "an admin": Caller(user(admin), teams=own, role="admin", person=admin),
        "an admin's session": Caller(f"Bearer {session(owner, colleague)[0]}", teams=own, role="admin"),
        "a session that has ended": Caller(f"Bearer {session(owner, admin, ends='-1 s')[0]}", no_session),
        "a cookie's token": Caller(f"Bearer {session(owner, admin, is_cookie=True)[0]}", no_session),
        "a deleted user's session": Caller(f"Bearer {session(owner, deleted_user)[0]}", no_session),
        "an owner": Caller(user(world.team.users["owner"]), teams=own, role="owner"),
        "another team's admin": Caller(user(stranger), teams=foreign, role="admin", person=stranger),
        "a former member": Caller(user(ex_member)),
        "a deleted user": Caller(user(deleted_user), no_token),
        "a deleted team's owner": Caller(user(world.gone.users["owner"])),
        "an unknown user": Caller(user(str(uuid.uuid4())), no_token),
        "a token of another secret": Caller(user(admin, secret=OTHER_SECRET), no_token),
        "an expired token": Caller(user(admin, expires_in_s=-3600), no_token),
        "an unsigned token": Caller(
            f"Bearer {jwt.encode({'sub': admin, 'exp': 9999999999}, '', algorithm='none')}", no_token
        ),
    }


def targets(policy, world):
    team, theirs, gone = world.team, world.strangers, world.gone
    if policy.of is None:
        return [Target()]
    projects = {team.project_id: team.id, theirs.project_id: theirs.id, gone.project_id: None, NOT_THERE: None}
    made = {
        "team": {team.id: team.id, theirs.id: theirs.id, gone.id: None, NOT_THERE: None},
        "project": projects | {world.deleted_project: None},
        "run": {world.runs["own"]: team.id, world.runs["strangers"]: theirs.id}
        | {run_id: None for run_id in (world.runs["gone"], world.runs["system"], NOT_THERE)},
        "session": {world.sessions["own"]: team.id, world.sessions["strangers"]: theirs.id, NOT_THERE: None},
        "schedule": {world.schedules["own"]: team.id, world.schedules["strangers"]: theirs.id}
        | {schedule_id: None for schedule_id in (world.schedules["gone"], NOT_THERE)},
        "alert": (
            alerts := {world.alerts["own"]: team.id, world.alerts["strangers"]: theirs.id}
            | {alert_id: None for alert_id in (world.alerts["gone"], NOT_THERE)}
        ),
        "delivery": alerts,
    }
    named = [
        Target(id, of, person={world.sessions["own"]: team, world.sessions["strangers"]: theirs}[id].users["admin"])
        if id in world.sessions.values()
        else Target(id, of)
        for id, of in made[policy.of].items()
    ] + [Target(id, is_malformed=True) for id in MALFORMED]
    if policy.takes_project:
        named += [Target(team.id, team.id, project_id) for project_id, of in made["project"].items() if of != team.id]
    return named


def expected(policy: Policy, caller: Caller, target: Target) -> tuple[tuple[int, ...], str | None]:
    """Return the expected statuses, and the sentence of a refusal."""
    is_theirs = target.team in caller.teams
    if policy.public:
        return policy.passes, None
    if caller.refused:
        return (401,), caller.refused
    if policy.people and caller.permissions is not None:
        return (403,), "Sessions belong to people, and this is an API key"
    if target.is_malformed:
        return (400, 404), None
    if policy.of == "session" and target.person and target.person == caller.person:
        return policy.passes, None
    if policy.of in NOT_FOUND and (not is_theirs or policy.of == "session"):
        return (404,), NOT_FOUND[policy.of]
    if caller.permissions is not None and policy.needs and policy.needs not in caller.permissions:
        return (403,), f"Missing permission: {policy.needs}"
    if policy.of and not is_theirs:
        return (403,), "Not a member of this team"
    if policy.of and caller.role == "member":
        return (403,), "Requires admin role or higher"
    if target.project_id:
        return (404,), "Project not found"
    return policy.passes, None


def ask(route, caller, target, world):
    method, rule = route.split(" ")
    rule = (
        rule.replace("{provider}", "revenuecat")
        .replace("{job_type}", "revenuecat_sync")
        .replace("{key_id}", world.keys.get(target.id, NOT_THERE))
        .replace("{action_id}", world.actions.get(target.id, NOT_THERE))
    )
    path = re.sub("{.+?}", lambda _: target.id, rule)
    body, query = None, {}
    if route.endswith("/trigger") or (route.startswith("POST") and route.endswith("/schedules")):
        own = world.strangers if target.id == world.strangers.id else world.team
        wanted = {"job_type": "revenuecat_sync", "project_id": target.project_id or own.project_id}
        body = json.dumps(wanted | ({} if route.endswith("/trigger") else {"cron": "0 4 * * *"}))
    elif route == "POST /v1/auth/codes":
        body = json.dumps({"email": "ada@example.com"})
    elif route == "POST /v1/auth/sessions":
        body = json.dumps({"link": world.links.pop()})
    elif route.endswith("/pause") or route.startswith("PUT"):
        body = json.dumps({"why": "maintenance"})
    elif route == "POST /v1/teams/{team_id}/alerts":
        body = json.dumps({"channel": "mail", "events": ["failed"], "admins": True})
    elif route == "POST /v1/alert-addresses/confirm":
        body = json.dumps({"token": "unknown"})
    elif route == "POST /v1/teams/{team_id}/bulk-actions":
        body = json.dumps({"action": "rerun", "match": {"status": "failed"}})
    elif route == "GET /v1/cron":
        query = {"cron": "0 3 * * *"}
    elif route == "POST /v1/projects/{project_id}/integrations":
        body = json.dumps({"provider": "revenuecat", "config": {"api_key": "sk_x"}})
    elif route == "POST /v1/teams/{team_id}/keys":
        body = json.dumps({"name": "CI", "permissions": ["jobs:read"]})
    elif target.project_id:
        query = {"project_id": target.project_id}
    elif target.id and not POLICIES[route].of:
        query = {"team_id": target.id}
    return Api(caller.authorization).send(method, path, body, **query)


def test_every_route_has_its_policy():
    methods = load_function("api").app.methods
    assert {f"{method} {rule}" for rule, taken in methods.items() for method in taken} == POLICIES.keys()


@pytest.mark.parametrize("route", POLICIES)
def test_who_may_ask(route, world, callers, owner):
    if route.startswith("DELETE"):
        owner.run_script(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER keep BEFORE DELETE ON job_team_schedules FOR EACH ROW EXECUTE FUNCTION keep();"
            "CREATE TRIGGER keep BEFORE UPDATE ON job_alerts FOR EACH ROW EXECUTE FUNCTION keep()"
        )
    if "/pauses" in route:
        owner.run_script(
            "INSERT INTO job_project_pauses (project_id, job_type, paused_by, why)"
            " SELECT project.id, 'revenuecat_sync', 'x', 'The secret of ' || team.slug"
            " FROM projects project JOIN teams team ON team.id = project.team_id"
        )
    if route == "POST /v1/auth/sessions":
        world.links = [f"{uuid.uuid4()}.x" for _ in callers]
        for link in world.links:
            owner.run_script(
                "INSERT INTO job_sign_ins (id, secret_hash, user_id) VALUES"
                f" ('{link[:-2]}', '\\x{hashlib.sha256(b'x').hexdigest()}', '{world.team.users['member']}')"
            )
    if route.endswith("/resume"):
        owner.run_script(
            "UPDATE job_team_schedules SET next_slot = NULL, paused_by = '', paused_why = '', paused_at = '2026-01-01'"
        )
    if route.endswith("/cancel"):
        owner.run_script(
            "UPDATE job_runs SET status = 'pending', error = NULL, completed_at = NULL, resend_at = clock_timestamp()"
            " WHERE status = 'failed'"
        )
    if route == "POST /v1/projects/{project_id}/integrations":
        owner.run_script("DELETE FROM project_integrations")
    answers = ask_everything(route, POLICIES[route], world, callers)
    accepted = {200, 201, 202}
    assert {answer["statusCode"] for answer in answers} & accepted == {POLICIES[route].passes[0]} & accepted


def test_who_may_ask_for_the_projects_of_a_team(world, callers):
    """The team is only a filter here."""
    ask_everything("GET /v1/projects", Policy(of="team", needs="jobs:read"), world, callers)


def ask_everything(route, policy, world, callers):
    """Send every request and check every answer."""
    answers = []
    for name, caller in callers.items():
        hidden = defaultdict(set)
        for target in targets(policy, world):
            answer = ask(route, caller, target, world)
            case = (name, target, answer)
            statuses, sentence = expected(policy, caller, target)
            assert answer["statusCode"] in statuses, case
            if sentence:
                assert json.loads(answer["body"]) == {"error": sentence}, case
            if world.strangers.id not in caller.teams:
                told = answer["body"].replace(target.id, "")
                assert not {secret for secret in world.secrets() if secret in told}, case
            if not target.is_malformed and (target.team not in caller.teams or target.project_id):
                hidden[bool(target.project_id)].add(json.dumps(answer, sort_keys=True))
            answers.append(answer)
        # A caller without access gets the same answer for another team's, a deleted, a system's and a missing resource.
        assert all(len(told) == 1 for told in hidden.values()), (name, hidden)
    return answers

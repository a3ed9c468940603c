"""Every command in the help or on a page is run with the real functions and a real database."""

import base64
import contextlib
import io
import json
import os
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import click
import pytest
from click.testing import CliRunner, Result

import operate.app
import setup.app
from api import openapi
from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, database
from nightshift.tenants.auth import key_hash
from nightshift.testing.rows import Team, make_team
from nightshift_cli.main import main
from nightshift_cli.remote import profiles
from nightshift_cli.session import Session
from tests.support import http_server
from tests.support.fixtures import CONTEXT, load_function
from tests.support.operator_world import Aws, end_all
from tests.support.world import store_keys, trigger
from tools.cli_reference import FOLDER, INDEX, commands, examples, pages

IN_HELP = [(" ".join(path), line) for path, command in commands() for line in examples(command)]
IN_PAGES = [
    (str(page), line.removeprefix(".venv/bin/"))
    for page in (Path("README.md"), *sorted(Path("docs").glob("*.md")))
    if page != INDEX  # which is generated from the help
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.S | re.M)
    for line in block.splitlines()
    if re.match(r"(\.venv/bin/)?nightshift ", line)
]
# Commands inside a sentence or table are not run; the test checks that they and their options exist.
NAMED = sorted(
    {
        (str(page), named)
        for page in (Path("README.md"), *Path("docs").glob("*.md"))
        for named in re.findall(r"`(?:\.venv/bin/)?nightshift ([^`]+)`", page.read_text())
        if page != INDEX
    }
)
EXAMPLES = list(dict.fromkeys(line for _, line in IN_HELP + IN_PAGES))


def group_of(line: str) -> str:
    """Return the command's group; of the operator's commands their name, and the line that makes the first team."""
    words = line.split()
    if words[1] != "system":
        return words[1]
    return line if words[2] == "setup" else " ".join(words[1:3])


ASKS = "asks a person on a terminal: test_cli_login.py::test_a_person_is_asked_and_the_token_is_not_shown"
NOT_RUN_HERE = {line: ASKS for line in EXAMPLES if line.startswith("nightshift login") and "--token-stdin" not in line}
# These commands change a checkout. test_new.py and test_write_a_job.py run them in their own.
NOT_RUN_HERE |= {line: "changes the checkout" for line in EXAMPLES if line.startswith("nightshift new ")}
NOT_RUN_HERE |= {
    line: "of the page's own job: run by test_write_a_job.py" for line in EXAMPLES if "quiet_users" in line
}
# It speaks with a program: test_agent_server.py is one.
NOT_RUN_HERE |= {line: "speaks a protocol" for line in EXAMPLES if line.startswith("nightshift mcp")}
# SES and the provider are not reachable here, so doctor reports problems. test_stack_operator.py has both.
RED = {"doctor": 1}

LOGGED = '{"at": "2026-11-28T03:00:00.000Z", "level": "warning", "message": "The provider is slow", "fields": {}}'

# The command for each operation of the API, and for each command of the operate and setup functions. The platform's own
# client starts a sync in this way; the command line triggers it like any other job.
OF_OTHER_CLIENTS = {
    "POST /v1/projects/{project_id}/integrations/revenuecat/sync",
    # An alert is shown in the list; and the reader of a mail, who may have no token, confirms on a page.
    "GET /v1/alerts/{alert_id}",
    "POST /v1/alert-addresses/confirm",
    # The dashboard shows an expression in words while a person types it.
    "GET /v1/cron",
    # The dashboard hides its form where codes are off.
    "GET /v1/auth/codes",
    # `nightshift login --email` asks for the code on a terminal: test_cli_login.py.
    "POST /v1/auth/codes",
    "POST /v1/auth/sessions",
}
OPERATIONS = {
    "GET /v1/teams/{team_id}/jobs/summary": "nightshift jobs overview",
    "GET /v1/health": "nightshift ping",
    "GET /v1/auth/whoami": "nightshift whoami",
    "GET /v1/auth/sessions": "nightshift sessions list",
    "DELETE /v1/auth/sessions": "nightshift sessions end --all",
    "DELETE /v1/auth/sessions/{session_id}": "nightshift sessions end SESSION_ID",
    "GET /v1/projects": "nightshift projects",
    "GET /v1/projects/{project_id}": "nightshift projects acme",
    "GET /v1/teams/{team_id}/members": "nightshift members",
    "GET /v1/teams/{team_id}/audit": "nightshift audit",
    "GET /v1/projects/{project_id}/integrations": "nightshift integrations list",
    "POST /v1/projects/{project_id}/integrations": "nightshift integrations add revenuecat --key-stdin < key.txt",
    "PATCH /v1/projects/{project_id}/integrations/{provider}": "nightshift integrations disable revenuecat",
    "DELETE /v1/projects/{project_id}/integrations/{provider}": "nightshift integrations remove revenuecat",
    "GET /v1/projects/{project_id}/pauses": "nightshift jobs pauses",
    "PUT /v1/projects/{project_id}/pauses/{job_type}": "nightshift jobs pause revenuecat_sync --why x",
    "DELETE /v1/projects/{project_id}/pauses/{job_type}": "nightshift jobs resume revenuecat_sync",
    "GET /v1/teams/{team_id}/keys": "nightshift keys list",
    "POST /v1/teams/{team_id}/keys": "nightshift keys create CI",
    "POST /v1/teams/{team_id}/keys/{key_id}/rotate": "nightshift keys rotate owl_agent_x7Qz",
    "DELETE /v1/teams/{team_id}/keys/{key_id}": "nightshift keys end owl_agent_x7Qz",
    "GET /v1/job-types": "nightshift job-types",
    "GET /v1/teams/{team_id}/jobs": "nightshift jobs list",
    "POST /v1/teams/{team_id}/jobs/trigger": "nightshift jobs trigger revenuecat_sync",
    "GET /v1/jobs/{run_id}": "nightshift jobs view RUN_ID",
    "GET /v1/jobs/{run_id}/timeline": "nightshift jobs timeline RUN_ID",
    "GET /v1/jobs/{run_id}/logs": "nightshift jobs logs RUN_ID --follow",
    "POST /v1/jobs/{run_id}/cancel": "nightshift jobs cancel RUN_ID",
    "POST /v1/jobs/{run_id}/rerun": "nightshift jobs rerun RUN_ID",
    "GET /v1/teams/{team_id}/bulk-actions": "nightshift jobs bulk list",
    "POST /v1/teams/{team_id}/bulk-actions": "nightshift jobs rerun --status failed --yes",
    "GET /v1/teams/{team_id}/bulk-actions/{action_id}": "nightshift jobs bulk view BULK_ID",
    "GET /v1/teams/{team_id}/bulk-actions/{action_id}/items": "nightshift jobs bulk view BULK_ID --save runs.csv",
    "POST /v1/teams/{team_id}/bulk-actions/{action_id}/confirm": "nightshift jobs rerun --status failed --yes",
    "POST /v1/teams/{team_id}/bulk-actions/{action_id}/stop": "nightshift jobs bulk stop BULK_ID",
    "GET /v1/teams/{team_id}/schedules": "nightshift schedules list",
    "POST /v1/teams/{team_id}/schedules": "nightshift schedules create revenuecat_sync --cron @daily",
    "GET /v1/schedules/{schedule_id}": "nightshift schedules view SCHEDULE_ID",
    "GET /v1/schedules/{schedule_id}/slots": "nightshift schedules view SCHEDULE_ID",
    "PATCH /v1/schedules/{schedule_id}": "nightshift schedules edit SCHEDULE_ID --name Early",
    "POST /v1/schedules/{schedule_id}/pause": "nightshift schedules pause SCHEDULE_ID --why x",
    "POST /v1/schedules/{schedule_id}/resume": "nightshift schedules resume SCHEDULE_ID",
    "DELETE /v1/schedules/{schedule_id}": "nightshift schedules delete SCHEDULE_ID",
    "GET /v1/teams/{team_id}/alerts": "nightshift alerts list",
    "POST /v1/teams/{team_id}/alerts": "nightshift alerts create mail --on failed --admins",
    "PATCH /v1/alerts/{alert_id}": "nightshift alerts pause ALERT_ID",
    "DELETE /v1/alerts/{alert_id}": "nightshift alerts delete ALERT_ID",
    "POST /v1/alerts/{alert_id}/test": "nightshift alerts test ALERT_ID",
    "POST /v1/alerts/{alert_id}/rotate": "nightshift alerts rotate ALERT_ID",
    "GET /v1/alerts/{alert_id}/deliveries": "nightshift alerts deliveries ALERT_ID",
    "POST /v1/alert-deliveries/{delivery_id}/replay": "nightshift alerts replay DELIVERY_ID",
}
OWNERS = {
    "overview": "nightshift system overview",
    "runs": "nightshift system runs",
    "view": "nightshift system view RUN_ID",
    "logs": "nightshift system logs RUN_ID",
    "trigger": "nightshift system trigger db_pruning",
    "cancel": "nightshift system cancel RUN_ID",
    "pause": "nightshift system pause db_pruning --why x",
    "resume": "nightshift system resume db_pruning",
    "schedules": "nightshift system schedules",
    "health": "nightshift system health",
    "deadletters": "nightshift system deadletters",
    "redrive": "nightshift system deadletters redrive",
    "doctor": "nightshift system doctor",
    "audit": "nightshift system audit",
    "send_test_mail": "nightshift system doctor --mail-to a@b.example",
    "mail": "nightshift system doctor --mail-to a@b.example",
    "mail_stops": "nightshift system mail-stops",
    "lift_mail_stop": "nightshift system mail-stops --lift ada@example.com",
    "agent_key": "nightshift system agent-key acme",
    "end_key": "nightshift system end-key acme owl_agent_x7Qz",
    "keys": "nightshift system keys acme",
    "teams": "nightshift system teams",
    "project": "nightshift system project acme Other",
    "member": "nightshift system member acme grace@example.com --role admin",
    "revenuecat_key": "nightshift system revenuecat-key acme acme-ios --revenuecat-key-stdin < key.txt",
    "sign_in_link": "nightshift system sign-in-link ada@example.com",
    "setup": 'nightshift system setup --team Other --admin-email ada@example.com --project "Acme iOS"',
}


GZIP = b"\x1f\x8b"


class Api:
    """The api function behind HTTP. ``asked`` holds ``METHOD /path`` of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        self.asked.append(f"{method} {path}")
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "queryStringParameters": dict(parse_qsl(query)) or None,
            "requestContext": {"http": {"method": method, "path": path}, "requestId": "r1", "stage": "$default"},
            "isBase64Encoded": False,
            "body": body.decode(),
        }
        # On AWS the function's metrics go to its own log, not into the command's output.
        with contextlib.redirect_stdout(io.StringIO()):
            answer = load_function("api").handler(event, CONTEXT)
        text = answer["body"]
        return answer["statusCode"], base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()


@pytest.fixture
def api(cloud: Settings) -> Iterator[Api]:
    load_function("api")  # loads a path that is relative to the repository
    api = Api()

    def answer(request: http_server.Request) -> http_server.Reply:
        status, data = api.answer(request.method, request.path, dict(request.headers), request.body)
        encoding = {"Content-Encoding": "gzip"} if data.startswith(GZIP) else {}
        return http_server.Reply(status, data, {"Content-Type": "application/json"} | encoding)

    with http_server.serve(answer) as api.url:
        yield api


Run = Callable[[str], Result]


@pytest.fixture
def run(
    api: Api,
    amazon: Aws,
    dead_letter_queues: None,
    cloud: Settings,
    owner: Database,
    db: Database,
    bare: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """``run("nightshift jobs view RUN_ID")``: run the line in a local stack's folder, after its preparations."""
    amazon.stacks = {"nightshift"}
    (here := Path.cwd() / "here" / ".local").mkdir(parents=True)
    monkeypatch.chdir(here.parent)
    teams: list[Team] = []

    def run(line: str) -> Result:
        words = shlex.split(line, comments=True)
        ends = [at for at, word in enumerate(words) if word in ("<", ">", "|")] or [len(words)]
        words, reads = words[1 : ends[0]], "<" in words
        if not teams:
            teams.append(Team("", "") if "setup" in words else acme(owner))
        [team] = teams
        # End the runs that an earlier line started.
        end_all(owner)(0)
        owner.run_script("UPDATE job_sweep SET came_at = clock_timestamp()")
        stack = {"api_url": api.url, "aws_endpoint_url": amazon.url, "agent_key": team.agent_key, "team_id": team.id}
        stack |= {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        Path(".local/stack.json").write_text(json.dumps(stack | {"project_id": team.project_id}))
        if words[0] == "sessions":
            stack["agent_key"], known_session = session_of(team, owner)
            Path(".local/stack.json").write_text(json.dumps(stack | {"project_id": team.project_id}))
        for profile in ("default", "staging"):
            kept = {"api_url": api.url, "token": team.agent_key, "team": team.id}
            profiles.write(profile, kept, os.environ)
        known = {
            "https://jobs.example.com": api.url,
            "nightshift-prod": "nightshift",
            "owl_agent_x7Qz": team.agent_key[:14] if "system" in words else other_key(team, owner),
        }
        if {"RUN_ID", "rerun"} & {*words}:
            known["RUN_ID"] = str(trigger(team, db=db, settings=cloud)["id"])
        if "logs" in words and "RUN_ID" in known:
            owner.run_script(
                "INSERT INTO job_run_logs (run_id, last_line, team_id, slice, bytes, lines)"
                f" VALUES ('{known['RUN_ID']}', 1, '{team.id}', 0, 200, '[{LOGGED}]')"
            )
        if "rerun" in words:
            end_all(owner, "failed", "'Down'")(0)
        if "SCHEDULE_ID" in words:
            known["SCHEDULE_ID"] = schedule_of(team, owner, paused="resume" in words)
        if "BULK_ID" in words:
            known["BULK_ID"] = bulk_action_of(team, owner)
        if "SESSION_ID" in words:
            known["SESSION_ID"] = known_session
        if {"ALERT_ID", "DELIVERY_ID"} & {*words}:
            known["ALERT_ID"] = known["DELIVERY_ID"] = alert_of(team, owner)
        if "--lift" in words:
            owner.run_script(f"INSERT INTO job_mail_stops VALUES ('{words[-1]}', 'bounce')")
        if words[0] == "integrations" and words[1] in ("add", "list"):
            owner.run_script("DELETE FROM project_integrations")
        else:
            store_keys(owner)
        owner.run_script("DELETE FROM job_project_pauses")
        if words[:2] == ["jobs", "resume"]:
            owner.run_script(
                "INSERT INTO job_project_pauses (project_id, job_type, paused_by, why)"
                " SELECT id, 'revenuecat_sync', 'x', 'y' FROM projects"
            )
        if "resume" in words and "system" in words:
            call(f"system pause {words[-1]} --why disk", owner=owner)
        if {
            "setup",
            "teams",
            "project",
            "member",
            "revenuecat-key",
            "agent-key",
            "end-key",
            "keys",
            "sign-in-link",
        } & set(words[1:]):
            # The setup function connects as the schema owner.
            monkeypatch.setenv("DATABASE_USER", "postgres")
            settings_module.settings.cache_clear()
            database().close()
            database.cache_clear()
        secrets = {"login": team.agent_key, "alerts": "https://hooks.slack.com/services/T0/B0/very-secret"}
        secret = secrets.get(words[0], "sk_a_key_of_the_provider") if reads else None
        result = call(shlex.join(known.get(word, word) for word in words), owner=owner, reads=secret)
        assert not secret or secret not in result.output
        return result

    return run


def call(line: str, *, owner: Database, reads: str | None = None) -> Result:
    def sleep(seconds: float) -> None:
        end_all(owner)(seconds)
        owner.run_script(
            "UPDATE job_outbox SET status = 'sent', send_at = NULL, ended_at = clock_timestamp()"
            " WHERE recipient IS NOT NULL AND send_at IS NOT NULL"
        )

    result = CliRunner().invoke(main, shlex.split(line), obj=Session(sleep=sleep), input=reads and f"{reads}\n")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def other_key(team: Team, owner: Database) -> str:
    """Return the beginning of another key of the team: a key neither ends nor rotates itself."""
    owner.run_script(
        "DELETE FROM api_keys WHERE name = 'other';"
        "INSERT INTO api_keys (team_id, key_type, name, key_hash, key_prefix)"
        f" VALUES ('{team.id}', 'agent', 'other', sha256('x'), 'owl_agent_x7Qz')"
    )
    return "owl_agent_x7Qz"


def schedule_of(team: Team, owner: Database, *, paused: bool) -> str:
    """Return the id of a schedule of the team's project."""
    owner.run_script("DELETE FROM job_team_schedules")
    [[schedule_id]] = owner.run_script(
        "INSERT INTO job_team_schedules (project_id, job_type, name, cron, zone, params, created_by, next_slot)"
        f" VALUES ('{team.project_id}', 'revenuecat_sync', 'Nightly', '0 3 * * *', 'UTC', '{{}}',"
        f" 'manual:user:{team.users['admin']}', now() + interval '1 h') RETURNING id::text"
    )
    if paused:
        owner.run_script(
            "UPDATE job_team_schedules SET next_slot = NULL, paused_at = now(), paused_by = 'x', paused_why = 'x'"
        )
    return str(schedule_id)


def bulk_action_of(team: Team, owner: Database) -> str:
    """Return the id of a bulk action of the team that has skipped its only run."""
    owner.run_script("DELETE FROM job_bulk_items; DELETE FROM job_bulk_actions")
    [[action_id]] = owner.run_script(
        "INSERT INTO job_bulk_actions (team_id, action, asked, created_by, confirmed_by, confirmed_at, ended_at)"
        f" VALUES ('{team.id}', 'rerun', '{{}}', 'x', 'x', now(), now()) RETURNING id::text"
    )
    owner.run_script(
        "INSERT INTO job_bulk_items"
        " (action_id, run_id, project_id, job_type, run_created_at, outcome, reason, decided_at)"
        f" VALUES ('{action_id}', gen_random_uuid(), '{team.project_id}', 'x', now(), 'skipped', 'x', now())"
    )
    return str(action_id)


def session_of(team: Team, owner: Database) -> tuple[str, str]:
    """Return the token and the id of a session of the team's admin."""
    owner.run_script("DELETE FROM job_sessions")
    token = f"owl_session_{uuid.uuid4().hex}"
    [[session_id]] = owner.run_script(
        "INSERT INTO job_sessions (user_id, token_hash, is_cookie, signed_in_by, source, browser) VALUES"
        f" ('{team.users['admin']}', '\\x{key_hash(token).hex()}', false, 'code', '127.0.0.1', 'The command line')"
        " RETURNING id::text"
    )
    return token, str(session_id)


def alert_of(team: Team, owner: Database) -> str:
    """Return the id of an alert of the team, which is also that of its delivery."""
    alert_id = str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO job_alerts"
        " (id, team_id, name, events, channel, config, secret_encrypted, minutes_between, created_by)"
        f" VALUES ('{alert_id}', '{team.id}', 'Nightly', '{{failed}}', 'webhook',"
        " '{\"url\": \"https://hooks.example.com/\"}', 'x', 5, 'x');"
        "INSERT INTO job_alert_deliveries (id, alert_id, team_id, kind, about, data, status, ended_at, expires_at)"
        f" VALUES ('{alert_id}', '{alert_id}', '{team.id}', 'failed', 'x', '{{}}', 'sent', now(), now())"
    )
    return alert_id


def acme(owner: Database) -> Team:
    team = make_team(owner, slug="acme", projects=2)
    owner.run_script(
        f"UPDATE projects SET slug = CASE id WHEN '{team.project_id}' THEN 'acme' ELSE 'acme-ios' END"
        f" WHERE team_id = '{team.id}';"
        "INSERT INTO users (email) VALUES ('ada@example.com');"
        # The examples are those of an admin.
        "UPDATE api_keys SET permissions ="
        " permissions || ARRAY['audit:read', 'integrations:write', 'keys:write', 'alerts:write']"
    )
    return team


@pytest.mark.parametrize("group", sorted({group_of(line) for line in EXAMPLES}))
def test_an_example_does_what_it_is_there_for(run: Run, group: str) -> None:
    """The examples of a group share a database."""
    for line in EXAMPLES:
        if group_of(line) != group or line in NOT_RUN_HERE:
            continue
        result = run(line)
        [expected] = [code for word, code in RED.items() if word in line.split()] or [0]
        assert result.exit_code == expected, f"{line}: {result.output}"
        assert result.stdout.strip(), line
        if "--format json" in line:
            assert json.loads(result.stdout)


def test_what_is_not_run_is_what_asks() -> None:
    assert "nightshift login" in NOT_RUN_HERE
    assert len(IN_PAGES) >= 8


@pytest.mark.parametrize(("page", "named"), NAMED)
def test_a_command_that_a_page_names_is_there(page: str, named: str) -> None:
    words = [word for word in shlex.split(named) if word != "…"]
    result = CliRunner().invoke(main, [*words, "--help"], obj=Session(), prog_name="nightshift")
    assert result.exit_code == 0, result.output
    known = {" ".join(path) for path, _ in commands()}
    path = re.search(r"Usage: (nightshift(?: [a-z-]+)*)", result.output)
    assert path is not None
    assert path[1] in known
    assert len(path[1].split()) > 1 or words[0].startswith("--")


def test_every_operation_of_the_api_has_a_command(run: Run, api: Api) -> None:
    documented = {f"{operation.method} {operation.path}" for operation in openapi.DOCUMENTED}
    assert OPERATIONS.keys() == documented - OF_OTHER_CLIENTS, "which command asks for it?"
    for operation, line in OPERATIONS.items():
        api.asked.clear()
        result = run(line)
        assert result.exit_code == 0, result.output
        pattern = re.sub(r"{\w+}", "[^/]+", operation)
        assert any(re.fullmatch(pattern, asked) for asked in api.asked), (line, api.asked)


def test_every_command_of_the_owners_functions_has_a_command(run: Run, amazon: Aws) -> None:
    assert OWNERS.keys() == operate.app.COMMANDS.keys() | setup.app.COMMANDS.keys(), "which command asks for it?"
    for name, line in OWNERS.items():
        amazon.asked.clear()
        run(line)
        assert name in [asked["command"] for asked in amazon.asked], line


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_has_words_and_an_example_and_every_option_has_words(
    path: tuple[str, ...], command: click.Command
) -> None:
    assert command.help
    assert examples(command), "an example"
    for line in examples(command):
        assert line.startswith(" ".join(path)), line
    for param in command.params:
        assert not isinstance(param, click.Option) or param.help or param.hidden, param.name


def test_the_reference_is_what_the_commands_say() -> None:
    made = pages()
    assert {INDEX, *FOLDER.glob("*.md")} == made.keys(), "make docs"
    for file, text in made.items():
        assert file.read_text() == text, "make docs"
    for path, command in commands():
        [page] = [text for text in made.values() if f"# {' '.join(path)}\n" in text]
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden:
                assert f"`{param.opts[0]}" in page, param.opts


def test_the_index_of_the_reference_leads_to_each_command() -> None:
    made = pages()
    links = re.findall(r"^\| \[`([^`]+)`\]\(([^#)]+)#([^)]+)\) \|", made[INDEX], re.M)
    assert [name for name, _, _ in links] == [" ".join(path) for path, _ in commands() if len(path) > 1]
    for name, file, anchor in links:
        assert f"# {name}\n" in made[INDEX.parent / file]
        assert anchor == name.replace(" ", "-")

"""The server ends idle sessions, and every function's next invocation opens another one and does its work."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import operate.app
import setup.app
from local import roles
from local.deployment.template import PATH, load
from nightshift.aws.clients import client
from nightshift.base import settings as settings_module
from nightshift.base.errors import DatabaseGone
from nightshift.base.settings import REQUIRED, Settings
from nightshift.database import session_pins
from nightshift.database.migrations import TIME_LIMIT_S
from nightshift.database.queries import Database, database
from tests.support.fixtures import CONTEXT, load_function
from tests.support.world import cut_sessions

ARGUMENTS: dict[str, dict[str, Any]] = {
    **{command: {"run_id": str(uuid.UUID(int=1))} for command in ("view", "cancel", "logs")},
    "trigger": {"job_type": "db_pruning"},
    "pause": {"job_type": "db_pruning", "why": "disk work", "by": "ada"},
    "resume": {"job_type": "db_pruning"},
    "send_test_mail": {"to": "a@b.example"},
    "mail": {"mail_id": str(uuid.UUID(int=1))},
    "lift_mail_stop": {"address": "a@b.example"},
    "setup": {"team": "Acme", "admin_email": "ada@example.com", "project": "One", "revenuecat_key": "sk_x"},
    "project": {"team": "acme", "project": "Two", "revenuecat_key": "sk_x"},
    "member": {"team": "acme", "email": "ada@example.com", "role": "admin"},
    "revenuecat_key": {"team": "acme", "project": "two", "revenuecat_key": "sk_x"},
    "agent_key": {"team": "acme", "name": "deploy"},
    "end_key": {"team": "acme", "prefix": "owl_agent_x7Qz"},
    "keys": {"team": "acme"},
    "sign_in_link": {"email": "ada@example.com"},
}
SAMPLES = [function for function in REQUIRED if function not in ("operate", "setup", "migrate")]
# redrive never reads the database, and deadletters only for a message that waits there.
COMMANDS = [("operate", name) for name in operate.app.COMMANDS.keys() - {"deadletters", "redrive"}] + [
    ("setup", name) for name in setup.app.COMMANDS
]


def sample(function: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(Path(f"events/{function}.json").read_text())
    return event


def twice(function: str, event: dict[str, Any], owner: Database) -> Any:
    """Invoke the function, end its session as the server does, and return the answer to the next invocation."""
    handler = load_function(function).handler
    handler(event, CONTEXT)
    kept = database()._connection
    assert kept is not None, "the first invocation keeps a session"
    cut_sessions(owner)
    answer = handler(event, CONTEXT)
    assert database()._connection not in (None, kept), "the second invocation opens another one"
    return answer


@pytest.fixture
def become(dead_letter_queues: None, cloud: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``become("sweep")``: connect as the role of this function."""

    def become(function: str) -> None:
        monkeypatch.setenv("DATABASE_USER", roles.OF_FUNCTION[function])
        settings_module.settings.cache_clear()

    return become


@pytest.mark.parametrize("function", SAMPLES)
def test_an_invocation_after_the_end_of_its_session_works(
    become: Callable[[str], None], owner: Database, function: str
) -> None:
    become(function)
    event = sample(function)
    if function == "api":
        event |= {"rawPath": "/v1/auth/whoami", "headers": {"authorization": "Bearer owl_agent_unknown"}}
    answer = twice(function, event, owner)
    assert function != "api" or answer["statusCode"] == 401


@pytest.mark.parametrize(("function", "command"), sorted(COMMANDS))
def test_a_command_after_the_end_of_its_session_works(
    become: Callable[[str], None], owner: Database, function: str, command: str
) -> None:
    become(function)
    answer = twice(function, {"command": command} | ARGUMENTS.get(command, {}), owner)
    assert "database" not in answer.get("error", ""), answer


def test_dead_letters_are_described_after_the_end_of_the_session(
    become: Callable[[str], None], owner: Database
) -> None:
    become("operate")
    known = settings_module.settings()
    for url, key in (
        (known.dead_letters_url("run"), "run_id"),
        (known.dead_letters_url("notify"), "outbox_id"),
        (known.dead_letters_url("announce"), "outbox_id"),
    ):
        client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({key: str(uuid.UUID(int=1))}))
    queues = twice("operate", {"command": "deadletters"}, owner)["queues"]
    assert [message["status"] for queue in queues for message in queue["messages"]] == ["gone"] * 3


def test_a_migration_survives_the_end_of_its_session_before_each_statement(
    become: Callable[[str], None], owner: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_USER", "postgres")
    settings_module.settings.cache_clear()
    migrate = load_function("migrate").handler
    connected, count = Database._connected, SimpleNamespace(begun=0, ends_at=0)

    def ending(db: Database) -> Any:
        if db is database():
            count.begun += 1
            if count.begun == count.ends_at:
                owner.run_script(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        return connected(db)

    monkeypatch.setattr(Database, "_connected", ending)
    migrate({}, CONTEXT)
    statements = count.begun
    assert statements > 100
    # Each migration takes the same five statements: each seventh of the middle meets all of the five.
    first, last = range(1, 10), range(statements - 20, statements + 1)
    for ends_at in (*first, *range(first.stop, last.start, 7), *last):
        count.begun, count.ends_at = 0, ends_at
        assert migrate({}, CONTEXT) == {"applied": [], "partitions": []}
        assert count.begun >= statements
    # There is no time to begin again.
    monkeypatch.setattr(load_function("migrate"), "REPEATS_WITHIN_S", -1)
    count.begun, count.ends_at = 0, statements
    with pytest.raises(DatabaseGone):
        migrate({}, CONTEXT)


def test_a_second_beginning_of_the_migrations_fits_into_their_function() -> None:
    timeout_s = load(PATH)["Resources"]["MigrateFunction"]["Properties"]["Timeout"]
    assert timeout_s > load_function("migrate").REPEATS_WITHIN_S + TIME_LIMIT_S


def test_the_roles_of_the_functions_have_the_limit(owner: Database) -> None:
    limit = f"idle_session_timeout={session_pins.PINS['idle_session_timeout']}"
    rows = owner.run_script(
        "SELECT r.rolname FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole,"
        f" unnest(s.setconfig) AS setting WHERE setting = '{limit}'"
        " AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert set(session_pins.ROLES) <= {name for [name] in rows}

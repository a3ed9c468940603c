"""The sign-in of the functions' roles, on a server that asks each for its password."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from pg8000.exceptions import DatabaseError

from migrate.app import handler
from nightshift.aws import secret as aws_secret
from nightshift.base.errors import ConfigurationError, SignInRefused
from nightshift.base.settings import Settings
from nightshift.database import role_signin, signin
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.database.role_signin import rotate_passwords, set_sign_ins, wrong_sign_ins
from nightshift.database.session_pins import ROLES
from tests.support.fixtures import settings_for, throwaway_postgres

OWNER = "of the owner"
PREFIX = "stack/database/"


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    """Migrate a server that asks each role for its password, and yield a connection as the schema owner."""
    with throwaway_postgres(OWNER) as server:
        config = replace(settings_for(server, "postgres", user="postgres"), database_password=OWNER)
        db = Database(config)
        db.run_script("ALTER DATABASE postgres SET log_statement = 'ddl'")
        db.close()
        migrate(db)
        yield db
        db.close()


@pytest.fixture
def owner(cloud: Settings, server: Database) -> Database:
    """Connect as the schema owner. No role has a password or is a member of another role."""
    server.run_script("DROP ROLE IF EXISTS rds_iam; DROP ROLE IF EXISTS dba, migrator; CREATE ROLE rds_iam")
    server.run_script(";".join(f"ALTER ROLE {role} LOGIN PASSWORD NULL" for role in ROLES))
    return server


@pytest.fixture
def secrets(cloud: Settings) -> Any:
    client = boto3.client("secretsmanager")
    for role in ROLES:
        client.create_secret(Name=f"{PREFIX}{role}", SecretString=content(role, f"{role}'s \\ sesame"))
    return client


def content(role: str, password: str) -> str:
    return json.dumps({"username": role, "password": password})


def change(secrets: Any, role: str, password: str) -> None:
    secrets.put_secret_value(SecretId=f"{PREFIX}{role}", SecretString=content(role, password))


def settings(db: Database, auth: str) -> Settings:
    return replace(db._config, roles_auth=auth, database_role_secrets=PREFIX)


def function(db: Database, role: str) -> Settings:
    """Return the settings of a function that signs in with the secret of its role."""
    return replace(settings(db, "none"), database_user=role, database_auth="secret", database_password="")


def signs_in(config: Settings) -> bool:
    db = Database(config)
    try:
        db.connect()
    except SignInRefused:
        return False
    finally:
        db.close()
    return True


def passwords(db: Database) -> list[str | None]:
    return [kept for (kept,) in db.run_script(f"SELECT rolpassword FROM pg_authid WHERE rolname = ANY ({array()})")]


def members(db: Database) -> set[str]:
    return {
        role
        for (role,) in db.run_script(
            "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole"
        )
    }


def array() -> str:
    return f"ARRAY{[*ROLES]}"


def test_each_role_signs_in_with_the_password_of_its_secret(owner: Database, secrets: Any) -> None:
    assert not any(signs_in(function(owner, role)) for role in ROLES)
    set_sign_ins(owner, settings=settings(owner, "secret"))
    assert all(signs_in(function(owner, role)) for role in ROLES)
    # Nothing is done a second time.
    before = passwords(owner)
    set_sign_ins(owner, settings=settings(owner, "secret"))
    assert passwords(owner) == before
    assert all(kept is not None and kept.startswith("SCRAM-SHA-256$4096:") for kept in before)


def test_a_role_is_left_alone_where_the_deployment_says_nothing(owner: Database, secrets: Any) -> None:
    set_sign_ins(owner, settings=settings(owner, "none"))
    assert passwords(owner) == [None] * len(ROLES)


def test_a_deployment_sets_the_sign_in(owner: Database, secrets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_PORT": owner._config.database_port, "DATABASE_NAME": "postgres", "DATABASE_USER": "postgres",
        "DATABASE_PASSWORD": OWNER, "ROLES_AUTH": "secret", "DATABASE_ROLE_SECRETS": PREFIX,
        "MIGRATION_FOLDERS": "platform,jobs",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    context = type("Context", (), dict.fromkeys(("function_name", "memory_limit_in_mb", "invoked_function_arn"), "x"))
    context.aws_request_id = "1"
    assert handler({}, context)["applied"] == []
    assert all(signs_in(function(owner, role)) for role in ROLES)
    before = passwords(owner)
    assert handler({"rotate_passwords": True}, context) == {"rotated": [*ROLES]}
    assert not {*before} & {*passwords(owner)}
    assert all(signs_in(function(owner, role)) for role in ROLES)


def test_a_changed_secret_lets_in_before_and_after_the_server_knows_it(owner: Database, secrets: Any) -> None:
    role = "nightshift_api"
    set_sign_ins(owner, settings=settings(owner, "secret"))
    change(secrets, role, "the second")
    assert signs_in(function(owner, role))
    set_sign_ins(owner, settings=settings(owner, "secret"))
    assert signs_in(function(owner, role))
    # The function read the secret just before it changed, in the server as well.
    change(secrets, role, "the third")
    config = function(owner, role)
    tried = signin.passwords_for(config)
    assert next(tried) == "the third"
    change(secrets, role, "the fourth")
    set_sign_ins(owner, settings=settings(owner, "secret"))
    assert [*tried] == ["the fourth"]


def test_a_refused_password_without_an_earlier_one_is_told_with_its_reason(owner: Database, secrets: Any) -> None:
    assert [*signin.passwords_for(function(owner, "nightshift_api"))] == ["nightshift_api's \\ sesame"]
    with pytest.raises(SignInRefused, match=r"password authentication failed.*that the secret holds its password"):
        Database(function(owner, "nightshift_api")).connect()


def test_no_password_is_written_to_the_servers_log(owner: Database, secrets: Any) -> None:
    [[folder]] = owner.run_script("SHOW data_directory")
    log = Path(folder, "server.log")
    earlier = log.read_text()
    set_sign_ins(owner, settings=settings(owner, "secret"))
    added = log.read_text().removeprefix(earlier)
    assert "ALTER ROLE nightshift_api PASSWORD 'SCRAM-SHA-256$4096:" in added
    assert "sesame" not in added


def test_a_change_of_the_sign_in_takes_the_other_way_in_away(owner: Database, secrets: Any) -> None:
    for _ in range(2):
        set_sign_ins(owner, settings=settings(owner, "iam"))
        assert members(owner) == {*ROLES}
        assert passwords(owner) == [None] * len(ROLES)
        assert wrong_sign_ins(owner, tokens=True) == []
        assert {wrong.role for wrong in wrong_sign_ins(owner, tokens=False)} == {*ROLES}
    for _ in range(2):
        set_sign_ins(owner, settings=settings(owner, "secret"))
        assert members(owner) == set()
        assert None not in passwords(owner)
        assert wrong_sign_ins(owner, tokens=False) == []
        assert {wrong.role for wrong in wrong_sign_ins(owner, tokens=True)} == {*ROLES}


def test_a_membership_that_another_role_granted_is_revoked_too(owner: Database) -> None:
    owner.run_script("""
        CREATE ROLE dba; GRANT rds_iam TO dba WITH ADMIN OPTION;
        GRANT rds_iam TO nightshift_api; GRANT rds_iam TO nightshift_api GRANTED BY dba;
    """)
    assert len(wrong_sign_ins(owner, tokens=False)) == 2
    for wrong in wrong_sign_ins(owner, tokens=False):
        owner.run_script(wrong.statement)
    assert members(owner) == {"dba"}


def test_a_password_that_is_set_already_needs_no_right_to_set_it(owner: Database, secrets: Any) -> None:
    """The platform's administrator may have given the roles their passwords."""
    owner.run_script(f"CREATE ROLE migrator LOGIN PASSWORD '{OWNER}'")
    migrator = Database(replace(owner._config, database_user="migrator"))
    role_signin._set_password("nightshift_api", "nightshift_api's \\ sesame", db=owner)
    role_signin._let_in(
        "nightshift_api", db=migrator, settings=settings(owner, "secret"), password="nightshift_api's \\ sesame"
    )
    with pytest.raises(DatabaseError, match="permission denied to alter role"):
        role_signin._let_in("nightshift_api", db=migrator, settings=settings(owner, "secret"), password="another one")
    migrator.close()
    [[folder]] = owner.run_script("SHOW data_directory")
    assert "another one" not in Path(folder, "server.log").read_text()


def kept(secrets: Any, role: str) -> str:
    return str(secrets.get_secret_value(SecretId=f"{PREFIX}{role}")["SecretString"])


def test_a_rotation_gives_each_role_a_password_of_its_own(owner: Database, secrets: Any) -> None:
    before = {kept(secrets, role) for role in ROLES}
    rotate_passwords(owner, settings=settings(owner, "secret"))
    after = {kept(secrets, role) for role in ROLES}
    assert len(after) == len(ROLES)
    assert not after & before
    assert all(signs_in(function(owner, role)) for role in ROLES)
    assert {json.loads(text)["username"] for text in after} == {*ROLES}


class Died(Exception):
    """The process ended at this call"""


@pytest.mark.parametrize("step", ["change_secret", "_let_in", "_set_password"])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_rotation_that_died_at_any_call_leaves_the_functions_in_and_is_healed_by_the_next(
    owner: Database, secrets: Any, monkeypatch: pytest.MonkeyPatch, step: str, is_done: bool
) -> None:
    config = settings(owner, "secret")
    set_sign_ins(owner, settings=config)
    module: Any = aws_secret if step == "change_secret" else role_signin
    real = getattr(module, step)
    calls = SimpleNamespace(left=0, made=0)

    def dying(*arguments: Any, **options: Any) -> None:
        calls.made += 1
        if calls.made == calls.left and not is_done:
            raise Died
        real(*arguments, **options)
        if calls.made == calls.left:
            raise Died

    monkeypatch.setattr(module, step, dying)
    rotate_passwords(owner, settings=config)
    # The calls for the first role and the first one for the second.
    for fatal in range(1, calls.made // len(ROLES) + 2):
        calls.left, calls.made = fatal, 0
        with pytest.raises(Died):
            rotate_passwords(owner, settings=config)
        assert all(signs_in(function(owner, role)) for role in ROLES)
    calls.left = 0
    before = {kept(secrets, role) for role in ROLES}
    rotate_passwords(owner, settings=config)
    assert all(signs_in(function(owner, role)) for role in ROLES)
    assert not before & {kept(secrets, role) for role in ROLES}


def test_a_session_that_knows_the_earlier_password_works_on(owner: Database, secrets: Any) -> None:
    set_sign_ins(owner, settings=settings(owner, "secret"))
    kept_open = Database(function(owner, "nightshift_api"))
    kept_open.connect()
    tried = signin.passwords_for(function(owner, "nightshift_api"))
    earlier = next(tried)
    rotate_passwords(owner, settings=settings(owner, "secret"))
    assert kept_open.one("ping")
    kept_open.close()
    # A function that had read the secret before reads it again when the server refuses it.
    assert [*tried] != [earlier]


def test_tokens_are_not_rotated(owner: Database, secrets: Any) -> None:
    with pytest.raises(ConfigurationError, match="DatabaseSignIn is not password"):
        rotate_passwords(owner, settings=settings(owner, "iam"))


class TextAlone(Database):
    """A server that wants a password as text, like Neon, which manages the passwords of roles itself."""

    def run_script(self, script: str) -> list[Any]:
        if "SCRAM-SHA-256" in script:
            raise DatabaseError({"S": "ERROR", "C": "XX000", "M": "Neon only supports being given plaintext passwords"})
        return super().run_script(script)


def test_a_platform_that_accepts_only_the_text_of_a_password_gets_it(owner: Database, secrets: Any) -> None:
    neon = TextAlone(owner._config)
    set_sign_ins(neon, settings=settings(owner, "secret"))
    neon.close()
    assert all(signs_in(function(owner, role)) for role in ROLES)


def test_a_role_that_is_refused_for_another_reason_fails_the_deployment(owner: Database, secrets: Any) -> None:
    owner.run_script("ALTER ROLE nightshift_setup NOLOGIN")
    with pytest.raises(SignInRefused, match='role "nightshift_setup" is not permitted to log in'):
        set_sign_ins(owner, settings=settings(owner, "secret"))

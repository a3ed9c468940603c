"""How the functions' roles sign in: with IAM tokens, or with the passwords in their secrets."""

import json
from base64 import b64encode
from contextlib import closing
from dataclasses import replace
from secrets import token_hex
from typing import NamedTuple

import pg8000.native
from pg8000.exceptions import DatabaseError
from scramp import ScramMechanism

from nightshift.base.errors import ConfigurationError, SignInRefused
from nightshift.base.settings import Settings
from nightshift.database.migrations import alone
from nightshift.database.queries import Database
from nightshift.database.session_pins import ROLES
from nightshift.database.signin import password_in, secret_of

# Postgres's own number of rounds: https://www.postgresql.org/docs/16/runtime-config-connection.html
ROUNDS = 4096
NO_RIGHT = "42501"


class WrongSignIn(NamedTuple):
    """A role that cannot sign in as it should, and the statement that changes it."""

    role: str
    says: str
    statement: str


def wrong_sign_ins(db: Database, *, tokens: bool) -> list[WrongSignIn]:
    """Return the roles that cannot sign in with tokens or, without ``tokens``, not with a password."""
    return db.query_as(WrongSignIn, "wrong_sign_ins", roles=list(ROLES), tokens=tokens)


def set_sign_ins(db: Database, *, settings: Settings) -> None:
    """Let the functions' roles sign in as ``settings.roles_auth`` says, and no longer in the other way.

    Needs the schema owner. Raises SignInRefused if the server still refuses a role that has its password.
    """
    if settings.roles_auth == "none":
        return
    with alone(db):
        for wrong in wrong_sign_ins(db, tokens=settings.roles_auth == "iam"):
            db.run_script(wrong.statement)
    if settings.roles_auth == "secret":
        for role in ROLES:
            _let_in(role, db=db, settings=settings, password=password_in(secret_of(role, settings)))


def rotate_passwords(db: Database, *, settings: Settings) -> None:
    """Give each of the functions' roles a new password. Safe to repeat, and to run while functions work.

    The secret is changed first. Until the server knows the new password, functions sign in with the secret's previous
    version. Secrets Manager keeps only one, so the server first learns what an earlier rotation has left in the secret.
    Raises ConfigurationError if the roles have no passwords, and the errors of ``set_sign_ins``.
    """
    from nightshift.aws.secret import change_secret

    if settings.roles_auth != "secret":
        raise ConfigurationError("The roles have no passwords: DatabaseSignIn is not password")
    for role in ROLES:
        secret, password = secret_of(role, settings), token_hex(20)
        # One rotation at a time changes a secret. The server learns a password in a session without a transaction.
        with alone(db), closing(db.sibling()) as other:
            _let_in(role, db=other, settings=settings, password=password_in(secret))
            change_secret(secret, json.dumps({"username": role, "password": password}))
            _let_in(role, db=other, settings=settings, password=password)


def _let_in(role: str, *, db: Database, settings: Settings, password: str) -> None:
    """Set the role's password, unless the server accepts it already: it may be kept where we may not set it."""
    as_role = Database(replace(settings, database_user=role, database_auth="none", database_password=password))
    try:
        as_role.connect()
    except SignInRefused:
        _set_password(role, password, db=db)
        as_role.connect()
    finally:
        as_role.close()


def _set_password(role: str, password: str, *, db: Database) -> None:
    # As psql's \password does: a server may write the statement to its log.
    try:
        db.run_script(f"ALTER ROLE {role} PASSWORD {pg8000.native.literal(_verifier(password))}")
    except DatabaseError as exc:
        if exc.args[0]["C"] == NO_RIGHT:
            raise
        # A platform that manages passwords itself, like Neon, accepts only the text.
        db.run_script(f"ALTER ROLE {role} PASSWORD {pg8000.native.literal(password)}")


def _verifier(password: str) -> str:
    """Return what Postgres stores of the password: https://www.postgresql.org/docs/16/catalog-pg-authid.html"""
    salt, stored_key, server_key, rounds = ScramMechanism("SCRAM-SHA-256").make_auth_info(password, ROUNDS)
    return f"SCRAM-SHA-256${rounds}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(key: bytes) -> str:
    return b64encode(key).decode()

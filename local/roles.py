"""The roles that sign in to the stack's database, each with its own password.

The passwords are stored in a file beside the data, and for the functions in one secret for each role.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import pg8000.native

from local.aws import LocalAws
from local.files import write_private

OPERATOR = "postgres"
# The role of each function, as in the template's mapping DatabaseRoles.
OF_FUNCTION = {
    "api": "nightshift_api",
    "worker": "nightshift_worker",
    "schedule": "nightshift_sweep",
    "sweep": "nightshift_sweep",
    "notify": "nightshift_notify",
    "announce": "nightshift_notify",
    "operate": "nightshift_operate",
    "setup": "nightshift_setup",
}
FUNCTIONS = (*dict.fromkeys(OF_FUNCTION.values()), "nightshift_maintenance")

# The template's parameter DatabaseRoleSecrets: a secret's name is this prefix and the role's name.
SECRETS = "nightshift/database/"


def kept_passwords(file: Path) -> dict[str, str]:
    """Return the passwords of an earlier start, or new ones. Each start sets them in the server."""
    try:
        kept = json.loads(file.read_text())
        return {role: str(kept[role]) for role in (OPERATOR, *FUNCTIONS)}
    except (OSError, ValueError, KeyError, TypeError):
        new = {role: secrets.token_hex(16) for role in (OPERATOR, *FUNCTIONS)}
        write_private(file, new)
        return new


def let_functions_in(connection: pg8000.native.Connection, passwords: Mapping[str, str]) -> None:
    """Set the functions' passwords. Create missing roles, because no migration has run at the first start."""
    for role in FUNCTIONS:
        is_there = connection.run("SELECT FROM pg_roles WHERE rolname = :role", role=role)
        connection.run(f"{'ALTER' if is_there else 'CREATE'} ROLE {role} LOGIN PASSWORD '{passwords[role]}'")


def store(passwords: Mapping[str, str], *, local_aws: LocalAws) -> None:
    client = local_aws.client("secretsmanager")
    for role, password in passwords.items():
        content = {"username": role, "password": password}
        client.create_secret(Name=f"{SECRETS}{role}", SecretString=json.dumps(content))

"""The roles of the stack's database. The operator's password is stored in a file beside the data, and in a secret.

The stack makes the secrets of the functions' roles, and its migrations set their passwords.
"""

import json
import secrets
from pathlib import Path

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
    "deliver": "nightshift_deliver",
    "operate": "nightshift_operate",
    "setup": "nightshift_setup",
}
FUNCTIONS = (*dict.fromkeys(OF_FUNCTION.values()), "nightshift_maintenance")

# The template's parameter DatabaseOwnerSecret.
OPERATOR_SECRET = f"nightshift-local/{OPERATOR}"


def kept_password(file: Path) -> str:
    """Return the operator's password of an earlier start, or a new one. Each start sets it in the server."""
    try:
        return str(json.loads(file.read_text())[OPERATOR])
    except (OSError, ValueError, KeyError, TypeError):
        new = secrets.token_hex(16)
        write_private(file, {OPERATOR: new})
        return new


def store(password: str, *, local_aws: LocalAws) -> None:
    content = {"username": OPERATOR, "password": password}
    client = local_aws.client("secretsmanager")
    client.create_secret(Name=OPERATOR_SECRET, SecretString=json.dumps(content))

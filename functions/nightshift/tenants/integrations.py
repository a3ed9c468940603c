"""Integrations of projects: a provider's config and its key, which KMS encrypts with the project as context.

The API and the setup function encrypt, and never decrypt. The worker alone decrypts.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from nightshift.aws import kms
from nightshift.base import masking
from nightshift.base.errors import JobError, NightshiftError, Refused
from nightshift.base.settings import settings
from nightshift.database.queries import Database

# Why a run does not find its provider's key. {name} is the provider's.
OBSTACLES = {
    "removed": 'This project has no integration "{name}". A team admin adds it: nightshift integrations add {name}',
    "disabled": 'The integration "{name}" of this project is disabled. A team admin enables it: '
    "nightshift integrations enable {name}",
}


class Reader(Protocol):
    """The database of a job (``nightshift.jobs.JobDatabase``), of which only this is used."""

    def read(self, query: str, /, **params: Any) -> list[dict[str, Any]]: ...


class NoKey(Refused):
    """The project has no enabled key of the provider"""


class NotEncrypted(NightshiftError):
    """KMS did not encrypt the key, so nothing was stored"""


@dataclass(frozen=True)
class Integration:
    """A provider's key and config, as a job uses them."""

    key: str = field(repr=False)
    config: dict[str, Any]


def refuse_without_key(provider: str, *, team_id: str, project_id: str, db: Database) -> None:
    """Raise NoKey if a run of this project would not find the provider's key. Not for a project of another team."""
    row = db.one("integration_state", provider=provider, team_id=team_id, project_id=project_id)
    if row and row["state"] in OBSTACLES:
        raise NoKey(OBSTACLES[row["state"]].format(name=provider))


def is_enabled(config: dict[str, Any]) -> bool:
    """Whether the integration is enabled. Platforms store this in the config, and only if it is not."""
    enabled = config.get("enabled")
    return not (enabled is False or enabled == "false")


def stored_integration(provider: str, *, project_id: str | None, db: Reader) -> Integration:
    """Return the key and the config of a run's project, for its job. ``db`` is the job's.

    Raise JobError if the integration is gone or disabled, and AwsUnreachable, or AwsRefused, if KMS does not answer.
    """
    found = db.read("get_integration", project_id=project_id, provider=provider)
    state = "removed" if not found else "open" if is_enabled(found[0]["config"]) else "disabled"
    if state in OBSTACLES:
        raise JobError(OBSTACLES[state].format(name=provider))
    key = decrypt_secret(found[0]["secret_encrypted"], project_id=str(project_id))
    return Integration(key, {name: value for name, value in found[0]["config"].items() if name != "enabled"})


def encrypt_secret(secret: str, *, project_id: str) -> bytes:
    """Return ciphertext that can be decrypted only for the same project. Raise NotEncrypted if KMS fails."""
    from nightshift.aws.aws_http import AwsRefused, AwsUnreachable

    try:
        return kms.encrypt(secret, key_id=settings().integrations_key_id, context=_context(project_id))
    except (AwsRefused, AwsUnreachable) as exc:
        raise NotEncrypted(f"KMS did not encrypt the key, so nothing was stored: {exc}") from exc


def decrypt_secret(ciphertext: bytes, *, project_id: str) -> str:
    """Decrypt the secret, which log lines then mask.

    Raise JobError if the ciphertext belongs to another project or is damaged.
    """
    from nightshift.aws.aws_http import AwsRefused

    try:
        secret = kms.decrypt(ciphertext, context=_context(project_id))
    except AwsRefused as exc:
        if exc.code != "InvalidCiphertextException":
            raise
        raise JobError(
            "The stored key cannot be decrypted for this project. "
            "A team admin stores it again: nightshift integrations change"
        ) from exc
    masking.remember(secret)
    return secret


def _context(project_id: str) -> dict[str, str]:
    return {"project_id": str(project_id)}

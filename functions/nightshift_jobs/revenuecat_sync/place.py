"""The place that a sync writes to: the project, its integration, and the key, each looked at again at every commit."""

from typing import Any

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import JobError
from nightshift.jobs import JobDatabase, Run
from nightshift.tenants.integrations import decrypt_secret
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import Unavailable

STORE_A_KEY = (
    "A team admin stores a v2 secret key for it (nightshift integrations add revenuecat), then starts the sync again."
)
CLOSED = {
    "deleted": "This project or its team was deleted. The sync wrote nothing after that.",
    "removed": f"This project has no RevenueCat integration. {STORE_A_KEY}",
    "disabled": "The RevenueCat integration of this project is disabled. Enable it, then start the sync again.",
}
ANOTHER_PROJECT = (
    "The integration now belongs to another project of RevenueCat. Start the sync again, to sync all users from there."
)


class KeyChanged(Unavailable):
    """Another key was stored, or another config. The users that were read with the old one were not written."""

    def __init__(self) -> None:
        detail = "another one was stored"
        super().__init__("The key was refused", detail, wait_s=0, waiting_for="the new RevenueCat key")


def read_place(run: Run, db: JobDatabase) -> dict[str, Any]:
    """Return the row of sync_place.sql. Raises JobError if the sync may not write there."""
    row = db.read("sync_place", project_id=run.project_id)[0]
    require_open(row["state"])
    return row


def require_open(state: str) -> None:
    """Raise the error of a place that is gone; KeyChanged if it was changed."""
    if state == "changed":
        raise KeyChanged
    if state != "open":
        raise JobError(CLOSED[state])


def secret_of(place: dict[str, Any], run: Run) -> str:
    """Return the key. Raises Unavailable if KMS does not answer, JobError if the key cannot be used."""
    try:
        key = decrypt_secret(place["secret_encrypted"], project_id=str(run.project_id)).strip()
    except (AwsRefused, AwsUnreachable) as exc:
        # The error names accounts and roles, which teams must not see. The log has it.
        said = exc.code if isinstance(exc, AwsRefused) else "KMS did not answer"
        if not exc.passing:
            raise JobError(
                f"The stored RevenueCat key could not be decrypted: {said}. Tell the operator of this server."
            ) from exc
        raise Unavailable("The stored RevenueCat key was not decrypted", said, wait_s=0) from exc
    # The HTTP library's error message would quote such a key.
    if not (key and key.isascii() and key.isprintable()):
        raise JobError("The stored RevenueCat key is empty or contains invalid characters. Store it again.")
    return key

"""Bring the database to this release's schema and parameters: a CloudFormation custom resource, or invoked by hand.

A rule of EventBridge invokes it as well, to rotate the passwords of the functions' roles.
"""

import json
import time
import urllib.request
from datetime import UTC, datetime
from typing import Any

from nightshift.base.errors import DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.database.migrations import create_first_partitions, migrate
from nightshift.database.queries import database
from nightshift.database.role_signin import rotate_passwords, set_sign_ins
from nightshift.database.session_pins import ROLES
from nightshift.jobs.rights import declare_rights
from nightshift.notify.outbox import want_events
from nightshift.schedules.entries import with_usual_schedules
from nightshift.schedules.slots import register

# Later, a second time limit of all migrations would outlast the function.
REPEATS_WITHIN_S = 20


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Migrate, and return what was applied. For CloudFormation, report success or failure to its ResponseURL instead.

    With ``rotate_passwords``, give the functions' roles new passwords, and return the roles.
    If the report cannot be delivered, raise: Lambda retries the invocation twice, and repeated migrations do no harm.
    """
    if event.get("rotate_passwords"):
        rotate_passwords(database(), settings=settings_for("migrate"))
        logger.info("Passwords are rotated", action="passwords_rotated")
        return {"rotated": list(ROLES)}
    if "ResponseURL" not in event:
        return _bring_up_to_date()
    status, reason = "SUCCESS", "Up to date"
    try:
        if event["RequestType"] != "Delete":  # removing the stack keeps the data
            _bring_up_to_date()
    except Exception as exc:
        logger.exception("Migration failed", action="migration_failed")
        status, reason = "FAILED", sentence(exc)
    _respond(event, status, reason)
    return {}


def _bring_up_to_date() -> dict[str, Any]:
    """Do the function's work. All of it may be repeated, so it begins again once if the server ends its session."""
    begun_at_s = time.monotonic()
    try:
        return _work()
    except DatabaseGone as exc:
        if time.monotonic() - begun_at_s > REPEATS_WITHIN_S:
            raise
        logger.warning(f"Beginning again: {sentence(exc)}", action="migration_repeated")
        return _work()


def _work() -> dict[str, Any]:
    now, settings = datetime.now(UTC), settings_for("migrate")
    applied = migrate(database(), folders=settings.migration_folders.split(","), roles_auth=settings.roles_auth)
    ahead = settings.partition_months_ahead
    partitions = create_first_partitions(database(), today=now.date(), months_ahead=ahead)
    declare_rights(database())
    set_sign_ins(database(), settings=settings)
    want_events(settings.event_bus_name != "", db=database())
    register(with_usual_schedules(settings.schedules), now=now, db=database())
    logger.info("Database is up to date", action="migrated", applied=applied, partitions=partitions)
    return {"applied": applied, "partitions": partitions}


def _respond(event: dict[str, Any], status: str, reason: str) -> None:
    # At most 4,096 bytes: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
    body = {
        "Status": status,
        "Reason": reason[:800],
        "PhysicalResourceId": "nightshift-migrations",
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    content = json.dumps(body, ensure_ascii=False).encode()
    request = urllib.request.Request(event["ResponseURL"], data=content, method="PUT", headers={"Content-Type": ""})
    urllib.request.urlopen(request, timeout=10).close()

"""Operations on a project's integrations: its providers' keys."""

from typing import Any

from api import stored_keys
from api.operations import OF_A_RUN, operation
from api.request import Request
from api.routes.project_routes import project_of
from nightshift.base.errors import Conflict, NotFound, Refused, Unavailable
from nightshift.base.logger import logger
from nightshift.base.settings import settings
from nightshift.base.validation import validate
from nightshift.database.queries import database
from nightshift.jobs.registry import JOB_TYPES, PROVIDERS
from nightshift.runs import requests
from nightshift.runs.run_params import check_params
from nightshift.tenants import audit
from nightshift.tenants.integrations import NoKey, NotEncrypted, encrypt_secret

PERMISSION = "integrations:write"
INTEGRATIONS = "/v1/projects/{project_id}/integrations"


@operation("GET", INTEGRATIONS, summary="Integrations of a project, without their keys", answer="Integrations")
def list_integrations(request: Request, project_id: str) -> dict[str, Any]:
    project = project_of(request.caller(), project_id, PERMISSION)
    rows = database().query("list_integrations", project_id=project["id"], provider=None)
    return {
        "integrations": [stored_keys.as_json(row) for row in rows],
        "providers": [stored_keys.describe(provider) for provider in PROVIDERS.values()],
    }


@operation(
    "POST",
    INTEGRATIONS,
    summary="Store a provider's key",
    answer="TestedIntegration",
    status=201,
    body="AnyIntegration",
    errors=(400, 401, 403, 404, 409),
)
def add_integration(request: Request, project_id: str) -> dict[str, Any]:
    from api.bodies import IntegrationBody

    who = request.caller()
    project = project_of(who, project_id, PERMISSION)
    asked = validate(IntegrationBody, request.secret_body(), quoting=False)
    provider = stored_keys.provider_named(asked.provider)
    key = stored_keys.key_in(asked.config)
    if key is None:
        raise Refused("config.api_key is required", field="config.api_key")
    config = stored_keys.checked_config(provider, asked.config)
    if database().query("list_integrations", project_id=project["id"], provider=provider.name):
        raise _exists(provider.name)
    secret = _encrypted(key, project_id=project["id"])
    report = stored_keys.test_report(provider, key, config)
    with database().transaction():
        row = database().one(
            "insert_integration",
            project_id=project["id"],
            provider=provider.name,
            config=config,
            secret_encrypted=secret,
        )
        if row is None:
            raise _exists(provider.name)
        _record(request.author(who), "integration.added", project, row, config=config)
    return stored_keys.as_json(row) | {"test": report}


@operation(
    "PATCH",
    INTEGRATIONS + "/{provider}",
    summary="Change an integration: its key, its config, or whether it is enabled",
    answer="TestedIntegration",
    body="AnyIntegrationChange",
)
def change_integration(request: Request, project_id: str, provider: str) -> dict[str, Any]:
    from api.bodies import IntegrationChange

    who = request.caller()
    project = project_of(who, project_id, PERMISSION)
    asked = validate(IntegrationChange, request.secret_body(), quoting=False)
    known = PROVIDERS.get(provider)
    found = database().one("list_integrations", project_id=project["id"], provider=provider)
    if known is None or found is None:
        raise NotFound(stored_keys.unknown_integration(provider))
    given = asked.config or {}
    key = stored_keys.key_in(given)
    fields = known.config_model().model_fields
    config = stored_keys.checked_config(
        known, {name: value for name, value in found["config"].items() if name in fields} | given
    )
    patch: dict[str, Any] = {name: config.get(name) for name in fields}
    if asked.enabled is not None:
        # An integration is enabled unless its config says otherwise.
        patch["enabled"] = None if asked.enabled else False
    secret = None if key is None else _encrypted(key, project_id=project["id"])
    report = None if key is None else stored_keys.test_report(known, key, config)
    with database().transaction():
        row = database().one("update_integration", project_id=project["id"], provider=provider, config_patch=patch)
        if row is None:
            raise NotFound(stored_keys.unknown_integration(provider))
        if secret is not None:
            database().query("replace_secret", project_id=project["id"], provider=provider, secret_encrypted=secret)
        changed: dict[str, Any] = {"config": config} if asked.config is not None else {}
        changed |= {"enabled": asked.enabled} if asked.enabled is not None else {}
        _record(request.author(who), "integration.changed", project, row, key=key is not None, **changed)
    return stored_keys.as_json(row) | {"test": report}


@operation("DELETE", INTEGRATIONS + "/{provider}", summary="Remove an integration and its key", answer="Deleted")
def delete_integration(request: Request, project_id: str, provider: str) -> dict[str, Any]:
    who = request.caller()
    project = project_of(who, project_id, PERMISSION)
    with database().transaction():
        row = database().one("delete_integration", project_id=project["id"], provider=provider)
        if row is None:
            raise NotFound(stored_keys.unknown_integration(provider))
        _record(request.author(who), "integration.removed", project, row | {"provider": provider})
    return {"deleted": True}


@operation(
    "POST",
    INTEGRATIONS + "/revenuecat/sync",
    summary="Start a RevenueCat sync",
    answer="Syncing",
    errors=(*OF_A_RUN, 429),
    makes_a_run=True,
)
def sync_revenuecat(request: Request, project_id: str) -> dict[str, Any]:
    who = request.caller()
    project = project_of(who, project_id, "jobs:write")
    wanted = JOB_TYPES["revenuecat_sync"]
    try:
        run = requests.create(
            requests.Trigger(
                job_type=wanted,
                team_id=project["team_id"],
                project_id=project["id"],
                triggered_by=who.triggered_by,
                **check_params(wanted, {}, project_id=project["id"]),
                provider=wanted.provider,
                idempotency_key=request.idempotency_key(),
            ),
            db=database(),
            settings=settings(),
        )
    except NoKey:
        raise NotFound("RevenueCat integration not found or disabled") from None
    return {"syncing": True, "total": run.progress and run.progress["total"], "job_run_id": str(run.id)}


def _exists(provider: str) -> Conflict:
    return Conflict(f'Integration for "{provider}" already exists')


def _encrypted(key: str, *, project_id: str) -> bytes:
    try:
        return encrypt_secret(key, project_id=project_id)
    except NotEncrypted as exc:
        # KMS's words name accounts and roles.
        logger.warning(str(exc), action="key_not_encrypted")
        raise Unavailable("The key could not be encrypted, so nothing was stored. Try again in a moment.") from None


def _record(author: audit.Author, action: str, project: dict[str, Any], row: dict[str, Any], **details: Any) -> None:
    audit.record(
        database(),
        author,
        action,
        of=("integration", row["id"]),
        team_id=project["team_id"],
        project_id=project["id"],
        provider=row["provider"],
        **details,
    )

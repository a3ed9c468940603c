"""Providers' keys: checks the config and the key that a caller gives, tests the key, and shows rows without it."""

import re
from typing import Any

from nightshift.base.errors import Refused, sentence
from nightshift.base.logger import logger
from nightshift.base.validation import shown, validate
from nightshift.base.wording import timestamp
from nightshift.database.queries import Row
from nightshift.jobs.provider import OWN_FIELDS, KeyReport, Provider
from nightshift.jobs.registry import PROVIDERS
from nightshift.tenants import integrations

# Shown in place of a key, and of each other value that a provider's model does not name.
MASK = "********"
KEY = re.compile("[!-~]{1,500}")
# The longest test of a key. A request has 29 seconds, also for the database and KMS.
TEST_S = 4.0


def provider_named(name: object) -> Provider:
    """Return the provider. Raise Refused for an unknown one."""
    if not isinstance(name, str) or name not in PROVIDERS:
        # Not the value: callers may have mixed up the fields.
        raise Refused(f"provider must be one of {', '.join(PROVIDERS)}", field="provider")
    return PROVIDERS[name]


def key_in(config: dict[str, Any]) -> str | None:
    """Return the key in the config that a caller gave, or None. Raise Refused for one that cannot be a key."""
    key = config.get("api_key")
    if key is None:
        return None
    if not isinstance(key, str) or not KEY.fullmatch(key.strip()) or key.strip() == MASK:
        raise Refused("config.api_key must be 1 to 500 visible ASCII characters without spaces", field="config.api_key")
    return key.strip()


def checked_config(provider: Provider, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config without the key, with its defaults. Raise Refused with the first invalid field."""
    rest = {name: value for name, value in config.items() if name not in OWN_FIELDS}
    model = validate(provider.config_model(), rest, prefix="config", quoting=False)
    return {name: value for name, value in model.model_dump(mode="json").items() if value is not None}


def test_report(provider: Provider, key: str, config: dict[str, Any]) -> dict[str, Any]:
    """Test the key, and return what the test says. A provider in trouble is a sentence, not an error."""
    try:
        report = provider.check_key(key, config, budget_s=TEST_S)
    except Exception as exc:
        # The text of an exception may quote the key.
        logger.warning(f"The test of a key failed: {type(exc).__name__}", action="key_test_failed")
        report = KeyReport(untested=f"the test failed: {type(exc).__name__}")
    return {
        "ok": report.is_good,
        "says": sentence(Refused(report.says(provider.label).replace(key, MASK))),
        "reads": list(report.reads),
        "lacks": list(report.lacks),
    }


def as_json(row: Row) -> dict[str, Any]:
    """Return an integration. Its key is masked, and so is each value that the provider's model does not name."""
    config, provider = row["config"], PROVIDERS.get(row["provider"])
    known = provider.config_model().model_fields.keys() if provider else set[str]()
    shown_config = {name: config[name] if name in known else MASK for name in config if name != "enabled"}
    return {
        "id": str(row["id"]),
        "project_id": str(row["project_id"]),
        "provider": row["provider"],
        "config": shown_config | {"api_key": MASK},
        "enabled": integrations.is_enabled(config),
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
    }


def describe(provider: Provider) -> dict[str, Any]:
    """Return what a form for an integration of the provider needs."""
    return {
        "provider": provider.name,
        "label": provider.label,
        "key_title": provider.key_title,
        "key_description": provider.key_description,
        "config": provider.config_model().model_json_schema(),
    }


def unknown_integration(name: str) -> str:
    """Return the sentence about an integration that the project does not have."""
    provider = PROVIDERS.get(name)
    return f"{provider.label if provider else shown(name)} integration not found"

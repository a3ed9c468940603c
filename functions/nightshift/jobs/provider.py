"""A provider: an outside service whose key a project stores. A job's folder declares it beside its JOB_TYPE."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nightshift.base.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
# Fields of an integration's config that are ours: the key, as callers send it, and whether the integration is enabled.
OWN_FIELDS = ("api_key", "enabled")


@dataclass(frozen=True, kw_only=True)
class KeyReport:
    """The outcome of a look at a provider with a key."""

    account: str = ""
    """The provider's name of the key's account or project."""
    reads: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    """The permissions that the key lacks, by the provider's names."""
    trouble: str = ""
    """Why the key is of no use: the provider's own sentence. Never the key."""
    untested: str = ""
    """Why the key, or a part of its permissions, could not be tested."""

    @property
    def is_good(self) -> bool:
        return not (self.trouble or self.lacks or self.untested)

    def says(self, label: str) -> str:
        """Return ``RevenueCat project X; the key reads customers, products.`` and what is wrong, if anything is."""
        parts = [f"{label} {self.account}"] if self.account else []
        parts += [f"the key reads {', '.join(self.reads)}"] if self.reads else []
        parts += [f"the key lacks {', '.join(self.lacks)}"] if self.lacks else []
        parts += [self.trouble] if self.trouble else []
        parts += [f"not tested because {self.untested}"] if self.untested else []
        said = "; ".join(part.rstrip(".") for part in parts)
        return f"{said[:1].upper()}{said[1:]}."


# Looks at the provider with the key and the integration's config. It must end within ``budget_s``, and not raise for
# what a provider does.
KeyCheck = Callable[..., KeyReport]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An outside service. ``name`` is that of the integration: ``revenuecat``."""

    name: str
    label: str
    config: str = "nightshift.jobs.params:NoParams"
    """The pydantic model of the integration's config beside the key, as ``module:Class``."""
    check: str
    """The function that tests a key, as ``module:function``: a KeyCheck."""
    key_title: str = "API key"
    key_description: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(f"A provider's name must be like revenuecat, got {self.name!r}")

    def config_model(self) -> "type[BaseModel]":
        # Imported here, so that only code that validates pays for pydantic.
        model: type[BaseModel] = _named(self.config)
        if taken := model.model_fields.keys() & OWN_FIELDS:
            raise ConfigurationError(f"{self.config} must not have the fields {', '.join(sorted(taken))}")
        return model

    def check_key(self, key: str, config: dict[str, Any], *, budget_s: float) -> KeyReport:
        """Test the key at the provider."""
        check: KeyCheck = _named(self.check)
        return check(key, config, budget_s=budget_s)


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

"""A job type: everything that the API, the schedules and the command line know of a job without its code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from nightshift.base.errors import ConfigurationError, UnknownJob
from nightshift.jobs.author_api import NO_RETRY, Job, Retry

if TYPE_CHECKING:
    from pydantic import BaseModel

PRIVILEGE = re.compile(r"(SELECT|INSERT|UPDATE)( \(\w+(, \w+)*\))?|DELETE")


@dataclass(frozen=True, kw_only=True)
class JobType:
    """One kind of job. Its folder is nightshift_jobs/<name>; its code is the generator ``<name>`` in job.py there."""

    name: str
    label: str
    description: str
    scope: Literal["project", "system"]
    schedule: str | None = None
    """Five-field cron expression in UTC. None: manual triggers only."""
    opt_in: bool = False
    """Whether the schedule is off until a deployment's parameter Schedules has an entry for the job."""
    params: str = "nightshift.jobs.params:NoParams"
    """The pydantic model of the parameters, as ``module:Class``. It is imported when values are validated."""
    retry: Retry = NO_RETRY
    total: Literal["app_users"] | None = None
    """The project's rows that the progress counts, so that the bar starts at 0 of them. None: unknown at the start."""
    counts_bytes: bool = False
    """Whether the progress counts bytes; clients then display it as bytes."""
    rights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The tables that the job's own queries use, each with the privileges that these queries need: ``{"app_users":
    ("SELECT", "UPDATE (properties)")}``. A deployment grants them to the role in which the job works."""
    provider: str | None = None
    """The provider whose key the job needs, by the name of a ``PROVIDER``. A run is refused while the project has no
    enabled integration of it."""
    at_once: int | None = None
    """The most runs of the type that work at the same time, over all projects. Later ones wait. None: no limit."""
    max_duration_s: int = 86_400
    """A run that has not ended this long after its first slice began is failed."""

    def __post_init__(self) -> None:
        if self.at_once is not None and self.at_once < 1:
            raise ConfigurationError(
                f"at_once of {self.name} must be 1 or more, or None for no limit, got {self.at_once}"
            )
        for table, privileges in self.rights.items():
            if not privileges or not all(PRIVILEGE.fullmatch(privilege) for privilege in privileges):
                raise ConfigurationError(
                    f"The rights of {self.name} on {table} must be a tuple of SELECT, INSERT, UPDATE or DELETE, each "
                    f"also for some columns as in 'UPDATE (name, price)', got {privileges!r}"
                )

    def params_model(self) -> "type[BaseModel]":
        # Imported here, so that only code that validates pays for pydantic.
        module, _, name = self.params.partition(":")
        model: type[BaseModel] = getattr(import_module(module), name)
        return model

    @property
    def takes_params(self) -> bool:
        return self.params != JobType.params

    def with_defaults(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return ``params`` with the default of each missing parameter.

        A schedule passes none, and an older release may have created the run with fewer parameters.
        """
        if not self.takes_params:
            return params
        defaults = self.params_model().model_construct()
        return defaults.model_dump(mode="json") | params

    def required_params(self) -> list[str]:
        """Return the names of the parameters that have no default."""
        if not self.takes_params:
            return []
        return [name for name, field in self.params_model().model_fields.items() if field.is_required()]

    def handler(self) -> Job:
        """Return the generator function. Raises UnknownJob if this release has none."""
        folder = f"nightshift_jobs.{self.name}"
        try:
            job: Job = getattr(import_module(f"{folder}.job"), self.name)
        except ModuleNotFoundError as exc:
            if exc.name not in (folder, f"{folder}.job"):
                raise
            raise UnknownJob(f"This release has no code for jobs of type {self.name}") from exc
        return job

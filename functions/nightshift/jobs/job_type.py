"""A job type: everything that the API, the schedules and the command line know of a job without its code."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from nightshift.base.errors import UnknownJob
from nightshift.jobs.author_api import NO_RETRY, Job, Retry

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, kw_only=True)
class JobType:
    """One kind of job. Its folder is nightshift_jobs/<name>; its code is the generator ``<name>`` in job.py there."""

    name: str
    label: str
    description: str
    scope: Literal["project", "system"]
    schedule: str | None = None
    """Five-field cron expression in UTC. None: manual triggers only."""
    params: str = "nightshift.jobs.params:NoParams"
    """The pydantic model of the parameters, as ``module:Class``. It is imported when values are validated."""
    retry: Retry = NO_RETRY
    total: Literal["app_users"] | None = None
    """The project's rows that the progress counts, so that the bar starts at 0 of them. None: unknown at the start."""
    counts_bytes: bool = False
    """Whether the progress counts bytes; clients then display it as bytes."""
    max_duration_s: int = 86_400
    """A run that has not ended this long after its first slice began is failed."""

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

"""The registry of job types. The API, the schedules and the command line read it."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from nightshift.base.errors import Refused, UnknownJob
from nightshift.jobs.author_api import NO_RETRY, Job, Retry

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, kw_only=True)
class JobType:
    """One kind of job. Its code is the generator ``<name>`` in functions/worker/jobs/<name>.py."""

    name: str
    label: str
    description: str
    scope: Literal["project", "system"]
    schedule: str | None = None
    """Five-field cron expression in UTC. None: manual triggers only."""
    params: str = "NoParams"
    """The name of the parameters' model in nightshift.jobs.params."""
    retry: Retry = NO_RETRY
    total: Literal["app_users"] | None = None
    """The project's rows that the progress counts, so that the bar starts at 0 of them. None: unknown at the start."""
    counts_bytes: bool = False
    """Whether the progress counts bytes; clients then display it as bytes."""
    max_duration_s: int = 86_400
    """A run that has not ended this long after its first slice began is failed."""

    def params_model(self) -> "type[BaseModel]":
        # Imported here, so that only code that validates pays for pydantic.
        model: type[BaseModel] = getattr(import_module("nightshift.jobs.params"), self.params)
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
        """Return the generator function (importable in the worker only). Raises UnknownJob if this release has none."""
        module = f"worker.jobs.{self.name}"
        try:
            job: Job = getattr(import_module(module), self.name)
        except ModuleNotFoundError as exc:
            if exc.name != module:
                raise
            raise UnknownJob(f"This release has no code for jobs of type {self.name}") from exc
        return job


CATALOGUE = {
    job_type.name: job_type
    for job_type in (
        JobType(
            name="revenuecat_sync",
            label="RevenueCat Sync",
            description="Syncs subscriber data from RevenueCat for all users in a project",
            scope="project",
            params="RevenueCatSyncParams",
            # 100,000 users take ten hours of RevenueCat's rate limit, which other clients may share.
            max_duration_s=3 * 86_400,
            total="app_users",
        ),
        JobType(
            name="db_pruning",
            label="Database Pruning",
            description="Drops the oldest event partitions when the database exceeds its size limit",
            scope="system",
            schedule="0 * * * *",
            counts_bytes=True,
        ),
        JobType(
            name="soft_delete_cleanup",
            label="Soft-Delete Cleanup",
            description="Hard-deletes resources soft-deleted more than 7 days ago",
            scope="system",
            schedule="0 3 * * *",
            # A partition may be dropped during a step, for example. Committed steps stay done.
            retry=Retry(attempts=5),
        ),
        JobType(
            name="partition_creation",
            label="Partition Creation",
            description="Creates monthly partitions for the event tables",
            scope="system",
            schedule="0 4 * * *",
        ),
    )
}


def job_type(name: object) -> JobType:
    """Return the job type of this name. Raises Refused with the list of valid names."""
    if not isinstance(name, str) or name not in CATALOGUE:
        raise Refused(f"Invalid job_type. Must be one of: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]

"""The job types: what the API, the schedules and the command line know of them, they know from this table."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from nightshift.errors import Refused, UnknownJob
from nightshift.job import NO_RETRY, Job, Retry

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
    """Five-field cron in UTC; None is manual only."""
    params: str = "NoParams"
    """The name of its model in nightshift.params."""
    retry: Retry = NO_RETRY
    total: Literal["app_users"] | None = None
    """The project's rows that its progress counts: the bar stands at 0 of them from the start. None: it cannot say."""
    counts_bytes: bool = False
    """Whether its progress counts bytes, for those who show it."""
    max_duration_s: int = 86_400
    """A run that has not ended so long after its first slice began is failed."""

    def params_model(self) -> "type[BaseModel]":
        # Only a path that validates pays for importing pydantic.
        model: type[BaseModel] = getattr(import_module("nightshift.params"), self.params)
        return model

    @property
    def takes_params(self) -> bool:
        return self.params != JobType.params

    def with_defaults(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return ``params`` with the default of each parameter that they lack.

        A schedule gives none, and a run may have been made by a release that did not know all of them.
        """
        if not self.takes_params:
            return params
        defaults = self.params_model().model_construct()
        return defaults.model_dump(mode="json") | params

    def required_params(self) -> list[str]:
        """Name the parameters that have no default."""
        if not self.takes_params:
            return []
        return [name for name, field in self.params_model().model_fields.items() if field.is_required()]

    def handler(self) -> Job:
        """The generator function; importable in the worker only. Raises UnknownJob where this release has none."""
        module = f"jobs.{self.name}"
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
            # 100,000 users take ten hours of RevenueCat's budget, and others may share it.
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
            # A partition that is dropped under a step, say; every step that was committed stays done.
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
    """Raises Refused with the sentence that lists the valid names."""
    if not isinstance(name, str) or name not in CATALOGUE:
        raise Refused(f"Invalid job_type. Must be one of: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]

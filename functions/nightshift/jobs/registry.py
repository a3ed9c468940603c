"""The registry: each folder of nightshift_jobs declares a job type, and perhaps the provider that it calls."""

import pkgutil
from importlib import import_module

import nightshift_jobs
from nightshift.base.errors import ConfigurationError, Refused, sentence
from nightshift.jobs.job_type import JobType
from nightshift.jobs.provider import Provider


def _declared() -> dict[str, JobType]:
    """Return the ``JOB_TYPE`` of each folder: first those that teams may start, each kind in the order of the names."""
    declared = [_job_type_in(folder.name) for folder in pkgutil.iter_modules(nightshift_jobs.__path__) if folder.ispkg]
    return {job_type.name: job_type for job_type in sorted(declared, key=lambda each: (each.scope, each.name))}


def _job_type_in(folder: str) -> JobType:
    try:
        declared = getattr(import_module(f"nightshift_jobs.{folder}"), "JOB_TYPE", None)
    except Exception as exc:
        raise ConfigurationError(f"nightshift_jobs/{folder}/__init__.py cannot be imported: {sentence(exc)}") from exc
    if not isinstance(declared, JobType) or declared.name != folder:
        raise ConfigurationError(
            f"nightshift_jobs/{folder} must declare JOB_TYPE = JobType(name={folder!r}, …), got {declared!r}"
        )
    return declared


def _providers() -> dict[str, Provider]:
    """Return each folder's ``PROVIDER``. Raises ConfigurationError if a job type names a provider of no folder."""
    found = [getattr(import_module(f"nightshift_jobs.{name}"), "PROVIDER", None) for name in sorted(JOB_TYPES)]
    providers = {provider.name: provider for provider in found if isinstance(provider, Provider)}
    for job_type in JOB_TYPES.values():
        if job_type.provider is not None and (job_type.provider not in providers or job_type.scope == "system"):
            raise ConfigurationError(
                f"{job_type.name} names the provider {job_type.provider!r}: declare it as PROVIDER in the folder of "
                "one job. Only jobs of projects have providers"
            )
    return providers


JOB_TYPES = _declared()
PROVIDERS = _providers()


def job_type(name: object) -> JobType:
    """Return the job type of this name. Raises Refused with the list of valid names."""
    if not isinstance(name, str) or name not in JOB_TYPES:
        raise Refused(f"Invalid job_type. Must be one of: {', '.join(JOB_TYPES)}")
    return JOB_TYPES[name]


def project_job_type(name: object) -> JobType:
    """Return the job type of this name. Raises Refused for an unknown name and for a system job."""
    wanted = job_type(name)
    if wanted.scope == "system":
        raise Refused(f'Cannot trigger system job "{wanted.name}" via API')
    return wanted

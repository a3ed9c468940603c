"""The registry of job types: each folder of nightshift_jobs declares one."""

import pkgutil
from importlib import import_module

import nightshift_jobs
from nightshift.base.errors import ConfigurationError, Refused, sentence
from nightshift.jobs.job_type import JobType


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


JOB_TYPES = _declared()


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

"""The names that authors of jobs import. docs/write-a-job.md walks through a job."""

from nightshift.base.errors import JobError
from nightshift.jobs.author_api import Job, JobDatabase, Progress, Retry, Run, Steps, Wait
from nightshift.jobs.job_type import JobType
from nightshift.jobs.provider import KeyReport, Provider

__all__ = [
    "Job",
    "JobDatabase",
    "JobError",
    "JobType",
    "KeyReport",
    "Progress",
    "Provider",
    "Retry",
    "Run",
    "Steps",
    "Wait",
]

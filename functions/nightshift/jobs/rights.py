"""The rights on tables that job types declare, in the database."""

from pg8000.exceptions import DatabaseError

from nightshift.base.errors import ConfigurationError, sentence
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES

# The role in which the jobs of a scope work.
ROLE = {"project": "nightshift_worker", "system": "nightshift_maintenance"}


def declare_rights(db: Database) -> None:
    """Grant what the job types declare, and revoke what only an earlier release declared. Needs the schema owner.

    Raises ConfigurationError with the GRANT that failed and the job type, if a table does not exist or the owner may
    not grant it.
    """
    declared = [
        {"role": ROLE[job_type.scope], "table_name": table, "privileges": privileges, "declared_by": job_type.name}
        for job_type in JOB_TYPES.values()
        for table, privileges in job_type.rights.items()
    ]
    try:
        db.query("declare_job_rights", declared={"rights": declared})
    except DatabaseError as exc:
        raise ConfigurationError(f"A right that a job needs cannot be granted: {sentence(exc)}") from exc

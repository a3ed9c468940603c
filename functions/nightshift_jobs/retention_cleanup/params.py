"""The parameters of a retention cleanup."""

from pydantic import Field

from nightshift.jobs.params import NoParams


class RetentionCleanupParams(NoParams):
    """Parameters of a retention cleanup."""

    dry_run: bool = Field(
        default=False,
        title="Dry run",
        description="Count what would be deleted, and delete nothing.",
    )

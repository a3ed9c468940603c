"""The parameters of a RevenueCat sync."""

from pydantic import Field

from nightshift.jobs.params import NoParams


class RevenueCatSyncParams(NoParams):
    """Parameters of a RevenueCat sync."""

    include_sandbox: bool = Field(
        default=False,
        title="Include sandbox",
        description="Also count sandbox subscriptions and purchases. Their revenue was never paid.",
    )

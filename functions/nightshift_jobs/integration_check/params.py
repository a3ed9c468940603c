"""The parameters of an integration check."""

from pydantic import Field

from nightshift.jobs.params import NoParams


class IntegrationCheckParams(NoParams):
    """Parameters of an integration check."""

    provider: str = Field(
        default="revenuecat",
        min_length=1,
        max_length=63,
        title="Provider",
        description="The provider whose key is tested, like `revenuecat`.",
    )

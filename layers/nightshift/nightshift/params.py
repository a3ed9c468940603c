"""What each job type can be told, as pydantic models: validated when a run is triggered, offered as JSON Schema."""

from pydantic import BaseModel, ConfigDict, Field


class NoParams(BaseModel):
    """This job type takes no parameters."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RevenueCatSyncParams(NoParams):
    """Parameters of a RevenueCat sync."""

    include_sandbox: bool = Field(
        default=False,
        title="Include sandbox",
        description="Count sandbox subscriptions and purchases too. They carry revenue nobody paid.",
    )

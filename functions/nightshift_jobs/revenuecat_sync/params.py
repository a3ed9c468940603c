"""The parameters of a RevenueCat sync."""

from typing import Literal

from pydantic import Field

from nightshift.jobs.params import NoParams


class RevenueCatSyncParams(NoParams):
    """Parameters of a RevenueCat sync."""

    include_sandbox: bool = Field(
        default=False,
        title="Include sandbox",
        description="Also count sandbox subscriptions and purchases. Their revenue was never paid.",
    )
    mode: Literal["incremental", "full"] = Field(
        default="incremental",
        title="Mode",
        description=(
            "`incremental` asks only about users who may have changed; `full` asks about all. The first sync with a "
            "project's parameters is always a full one."
        ),
    )

"""Once a minute: heals what was lost."""

from typing import Any

from nightshift.database import database
from nightshift.log import logger
from nightshift.settings import settings
from nightshift.sweep import sweep


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    return sweep(db=database(), settings=settings())

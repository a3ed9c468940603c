"""The one logger: JSON lines, a sentence for people and a stable ``action`` for machines."""

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger


def _line(entry: Mapping[str, Any]) -> str:
    """A lone surrogate, which a provider's JSON can hold and UTF-8 cannot, must not cost the whole line."""
    text = json.dumps(entry, default=str, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


# Lambda believes the level of a line only if its time is RFC 3339.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
logger = Logger(
    service="nightshift",
    log_uncaught_exceptions=False,
    serialize_stacktrace=False,  # it would stand there twice
    json_serializer=_line,
    use_rfc3339=True,
    utc=True,
)

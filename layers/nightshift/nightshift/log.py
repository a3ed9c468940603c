"""The one logger: JSON lines, a sentence for people and a stable ``action`` for machines."""

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

# Characters of one field. CloudWatch splits a longer line, and takes 256 KiB for one event.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
MAX_FIELD = 16_384


def _line(entry: Mapping[str, Any]) -> str:
    """A lone surrogate, which a provider's JSON can hold and UTF-8 cannot, must not cost the whole line."""
    cut = {name: _cut(value) for name, value in entry.items()}
    text = json.dumps(cut, default=str, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _cut(value: Any) -> Any:
    """A traceback quotes its exception, and an exception may quote a whole answer of a provider."""
    if not isinstance(value, str) or len(value) <= MAX_FIELD:
        return value
    half = MAX_FIELD // 2
    return f"{value[:half]} … {len(value) - MAX_FIELD:,} characters left out … {value[-half:]}"


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

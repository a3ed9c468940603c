"""The only logger. It writes JSON lines, each with a sentence for people and a stable ``action`` for machines."""

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from nightshift.base.masking import masked

# Maximum characters of one field. CloudWatch accepts events of up to 256 KiB and splits longer lines.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
MAX_FIELD = 16_384


def _line(entry: Mapping[str, Any]) -> str:
    """Write the entry as JSON, without secrets.

    Lone surrogates, which JSON from providers may hold and UTF-8 cannot, are replaced.
    """
    cut = {name: _cut(masked(value) if isinstance(value, str) else value) for name, value in entry.items()}
    text = json.dumps(cut, default=str, separators=(",", ":"), ensure_ascii=False)
    return masked(text).encode("utf-8", "replace").decode()


def _cut(value: Any) -> Any:
    """Shorten long text: a traceback quotes its exception, which may quote a provider's whole response."""
    if not isinstance(value, str) or len(value) <= MAX_FIELD:
        return value
    half = MAX_FIELD // 2
    return f"{value[:half]} … {len(value) - MAX_FIELD:,} characters left out … {value[-half:]}"


# Lambda uses the level of a line only if the line's time is in RFC 3339.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
logger = Logger(
    service="nightshift",
    log_uncaught_exceptions=False,
    serialize_stacktrace=False,  # would repeat the traceback
    json_serializer=_line,
    use_rfc3339=True,
    utc=True,
)

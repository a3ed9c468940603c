"""The one logger: JSON lines, a sentence for people and a stable ``action`` for machines."""

from aws_lambda_powertools import Logger

# Lambda believes the level of a line only if its time is RFC 3339.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
logger = Logger(service="nightshift", log_uncaught_exceptions=False, use_rfc3339=True, utc=True)

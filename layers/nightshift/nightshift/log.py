"""The one logger: JSON lines, a sentence for people and a stable ``action`` for machines."""

from aws_lambda_powertools import Logger

logger = Logger(service="nightshift", log_uncaught_exceptions=False)

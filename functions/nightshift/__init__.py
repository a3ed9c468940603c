"""Nightshift: background jobs with progress on Lambda, SQS and Postgres."""

__version__ = "0.1.0"

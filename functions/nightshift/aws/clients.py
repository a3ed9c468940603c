"""AWS clients, created at first use and kept for the life of the execution environment."""

from functools import cache
from typing import Any


@cache
def client(service: str, *, attempts: int = 3) -> Any:
    """Return a boto3 client with short timeouts: a slow AWS call must not use up a slice's time.

    ``attempts`` is 1 for calls that must not be repeated after a lost response.
    """
    import boto3  # takes a quarter of a second, so only on paths that call AWS
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": attempts})
    return boto3.client(service, config=config)

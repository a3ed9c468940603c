"""AWS clients, made when first used and kept for the life of the execution environment."""

from functools import cache
from typing import Any


@cache
def client(service: str, *, attempts: int = 3) -> Any:
    """A boto3 client with short timeouts: a slow AWS call must not eat a slice.

    ``attempts`` is 1 for calls that must not be repeated when their answer is lost.
    """
    import boto3  # costs a quarter of a second: only paths that call AWS pay it
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": attempts})
    return boto3.client(service, config=config)

"""AWS clients, created at first use and kept for the life of the execution environment."""

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol


class Client(Protocol):
    """A boto3 client: each operation is a method that takes and returns the fields of its API."""

    @property
    def exceptions(self) -> Any: ...
    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]: ...


@cache
def client(service: str, *, attempts: int = 3) -> Client:
    """Return a boto3 client with short timeouts: a slow AWS call must not use up a slice's time.

    ``attempts`` is 1 for calls that must not be repeated after a lost response.
    """
    import boto3  # takes a quarter of a second, so only on paths that call AWS
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": attempts})
    made: Client = boto3.client(service, config=config)
    return made

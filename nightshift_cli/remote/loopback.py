"""boto3 clients for the local AWS: they ignore the caller's own AWS account, and proxies."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def without_account() -> Iterator[None]:
    """Let boto3 create clients only from its arguments: without AWS_… variables, files in the home, or proxies.

    A client reads all of these when it is created. Explicit keys are not enough: boto3 first reads the profile that
    AWS_PROFILE names, and it sends requests for 127.0.0.1 through HTTP_PROXY.
    """
    with _lock:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if _is_account(name)}
        os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
        try:
            yield
        finally:
            for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
                del os.environ[name]
            os.environ.update(hidden)


def _is_account(name: str) -> bool:
    return name.startswith(("AWS_", "BOTO_")) or name.lower().endswith("_proxy")

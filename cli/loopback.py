"""For what asks the AWS of this machine: nothing of the caller's own account is looked at, and no proxy."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def without_account() -> Iterator[None]:
    """Inside, boto3 makes clients from its arguments alone: without AWS_… variables, files in the home, or proxies.

    A client has read all of it by the time it is made. Explicit keys are not enough: boto3 reads a profile that
    AWS_PROFILE names before it looks at them, and sends what is for 127.0.0.1 through HTTP_PROXY.
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

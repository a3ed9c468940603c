"""What benchmarks share: a free port, and the sandbox as a process of its own."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PLENTY = 10**9


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def sandbox_process(*, customers: int, budget: int = PLENTY, latency_ms: int = 0) -> Iterator[str]:
    """The RevenueCat sandbox with customers user_000001 …; yields its base URL."""
    command = [sys.executable, "-m", "local.revenuecat", "--port", str(free_port()), "--customers", str(customers)]
    command += ["--budget", str(budget), "--configuration-budget", str(budget), "--latency-ms", str(latency_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

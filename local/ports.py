"""``python -I local/ports.py``: check the stack's ports. When some are taken, suggest a command line with free ones.

`make run` runs it before anything is installed, so it uses only the standard library, and even an outdated Python must
run it. The start of the stack checks the ports again.
"""

import os
import random
import socket
import sys
from collections import Counter
from collections.abc import Mapping

try:
    from dataclasses import asdict, dataclass
except ImportError:
    sys.exit(0)  # Python 3.6: local/venv.py says which version is needed


# Systems choose the ports of outgoing connections above these (Linux from 32768, macOS from 49152), and no browser
# refuses one of these.
NOT_FOR_CONNECTIONS = range(11_000, 32_768)


class InvalidPort(RuntimeError):
    """An environment variable contains no port"""


@dataclass(frozen=True)
class Ports:
    """The stack's ports. NIGHTSHIFT_<NAME>_PORT sets one, for example NIGHTSHIFT_AWS_PORT."""

    aws: int = 4566
    postgres: int = 5466
    revenuecat: int = 4567
    mailbox: int = 4568

    @classmethod
    def from_environment(cls) -> "Ports":
        """Read the ports from the environment. Raise InvalidPort for an invalid value."""
        chosen = {}
        for name in asdict(cls()):
            variable = f"NIGHTSHIFT_{name.upper()}_PORT"
            text = os.environ.get(variable)
            if text is None:
                continue
            if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
                raise InvalidPort(f"{variable} must be a port between 1 and 65535, got {text!r}")
            chosen[name] = int(text)
        return cls(**chosen)


def complaint(wanted: "Mapping[str, int]", *, usual: "Mapping[str, int]") -> "str | None":
    """Return an error that names every unavailable port and ends with a command that avoids them all.

    Return None when all ports are available. ``wanted`` and ``usual`` map names to ports; the command sets only the
    ports that differ from ``usual``.
    """
    counts = Counter(wanted.values())
    taken = [port for port in counts if not is_free(port)]
    twice = [port for port, count in counts.items() if count > 1 and port not in taken]
    if not taken and not twice:
        return None
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        is_had = port not in taken and port not in chosen.values()
        chosen[name] = port if is_had else _other(port, besides={*wanted.values(), *chosen.values()})
    variables = [f"NIGHTSHIFT_{name.upper()}_PORT={port}" for name, port in chosen.items() if port != usual.get(name)]
    sentences = []
    if taken:
        sentences.append(
            f"Ports {_listed(taken)} are already in use by other programs."
            if len(taken) > 1
            else f"Port {taken[0]} is already in use by another program."
        )
    sentences += [f"Port {port} is assigned to more than one service." for port in twice]
    return f"{' '.join(sentences)} Free the ports in use, or choose others: {' '.join(variables)} make run"


def is_free(port: int) -> bool:
    """Return whether a server on this machine can listen on the port."""
    with socket.socket() as probe:
        # The servers set SO_REUSEADDR as well, so a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a free port. No connection of another process can take it before its server listens.

    Another call is unlikely to return the same one.
    """
    while True:
        # Other code may seed the module's own generator, the same way in each process.
        port = random.SystemRandom().choice(NOT_FOR_CONNECTIONS)
        if is_free(port):
            return port


def _other(port: int, *, besides: "set[int]") -> int:
    """Return a free port, preferably a hundred higher."""
    candidates = [*range(port + 100, 65536), *range(1024, port)]
    return next((other for other in candidates if other not in besides and is_free(other)), port)


def _listed(ports: "list[int]") -> str:
    return f"{', '.join(map(str, ports[:-1]))} and {ports[-1]}"


def main() -> None:
    try:
        sentence = complaint(asdict(Ports.from_environment()), usual=asdict(Ports()))
    except InvalidPort as exc:
        sentence = str(exc)
    if sentence:
        sys.exit(sentence)


if __name__ == "__main__":
    main()

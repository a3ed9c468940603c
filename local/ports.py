"""Whether the ports that are wanted can be had, and where not, a command line with others that can."""

import socket
from collections import Counter
from collections.abc import Mapping


def complaint(wanted: Mapping[str, int], *, usual: Mapping[str, int]) -> str | None:
    """A sentence that names every port that cannot be had and ends with one command that avoids them all; else None.

    Both are from names to ports; in the command stands whatever differs from ``usual``.
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
            f"Ports {_listed(taken)} are taken by other programs."
            if len(taken) > 1
            else f"Port {taken[0]} is taken by another program."
        )
    sentences += [f"Port {port} is wanted twice." for port in twice]
    return f"{' '.join(sentences)} Free what is taken, or choose others: {' '.join(variables)} make run"


def is_free(port: int) -> bool:
    """On this machine, for a server."""
    with socket.socket() as probe:
        # As the servers do: a port that is only cooling down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _other(port: int, *, besides: set[int]) -> int:
    """A free one, a hundred higher where that can be."""
    candidates = [*range(port + 100, 65536), *range(1024, port)]
    return next((other for other in candidates if other not in besides and is_free(other)), port)


def _listed(ports: list[int]) -> str:
    return f"{', '.join(map(str, ports[:-1]))} and {ports[-1]}"

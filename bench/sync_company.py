"""Claim: beside another client a sync meets at most 3 x 429, and at most 10 % of the other's calls are refused.

    make bench BENCH=sync_company

The other client uses the key all the time, or comes and goes. Simulated time (bench/simulated.py). The last case leaves
five calls a minute, with few users. "plain" is four calls a user, one after the other, and a pause after each 429.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.simulated import Company, plain_sync, run_sync, simulated
from local.ports import free_port
from local.postgres import Postgres
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import SimulatedTime

LATENCY_S = 0.8
CASES: dict[str, tuple[int, Callable[[float], bool]]] = {
    "120 a minute, always": (120, lambda seconds: True),
    "240 a minute, always": (240, lambda seconds: True),
    "200 a minute, 5 min on and off": (200, lambda seconds: seconds // 300 % 2 == 1),
    "200 a minute, 2 min on and off": (200, lambda seconds: seconds // 120 % 2 == 1),
    "475 a minute, always": (475, lambda seconds: True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            for number, name in enumerate(CASES):
                _measure(server, number, name, min(users, 30) if "475" in name else users)
        finally:
            server.stop("immediate")


def _measure(server: Postgres, number: int, name: str, users: int) -> None:
    a_minute, is_there = CASES[name]
    ids = [f"user_{n:06d}" for n in range(1, users + 1)]
    with simulated(server, f"company_{number}", users=users) as (owner, settings):
        clock = SimulatedTime()
        sandbox = Sandbox(customer_ids=ids, latency_s=LATENCY_S, clock=clock)
        other = Company(sandbox, clock, a_minute, is_there)
        clock.sleep(70)
        measured = run_sync(owner, settings, sandbox, clock)
    print(f"{name}: {measured.line()}; of the other's calls {other.share_refused:.1%} refused", flush=True)
    clock = SimulatedTime()
    sandbox = Sandbox(customer_ids=ids, latency_s=LATENCY_S, clock=clock)
    other = Company(sandbox, clock, a_minute, is_there)
    clock.sleep(70)
    plain = plain_sync(sandbox, clock, ids)
    ratio = measured.paid_s / plain.seconds
    print(
        f"    plain: {plain.calls / users:.2f} calls a user, {plain.refused} x 429, {plain.seconds / users:.3f} paid s "
        f"a user, {plain.seconds / 60:.1f} min; of the other's calls {other.share_refused:.1%} refused; "
        f"ratio of paid seconds {ratio:.2f}, of the duration {measured.seconds / plain.seconds:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

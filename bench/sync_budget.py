"""Claim: alone on its key, a sync uses at least 97 % of the rate limit and meets no 429, at any latency.

    make bench BENCH=sync_budget

Simulated time (bench/simulated.py): hours of calls pass in seconds.
"""

import argparse
import tempfile
from pathlib import Path

from bench.simulated import run_sync, simulated
from local.ports import free_port
from local.postgres import Postgres
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import SimulatedTime

CASES = ((480, 0.1), (480, 0.4), (480, 0.8), (480, 1.5), (4_800, 0.3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            for number, (limit, latency_s) in enumerate(CASES):
                count = users * limit // 480
                with simulated(server, f"alone_{number}", users=count) as (owner, settings):
                    clock = SimulatedTime()
                    ids = [f"user_{n:06d}" for n in range(1, count + 1)]
                    sandbox = Sandbox(customer_ids=ids, budget=limit, latency_s=latency_s, clock=clock)
                    measured = run_sync(owner, settings, sandbox, clock)
                    print(f"{limit:>5} a minute, {latency_s} s, {count:,} users: {measured.line()}", flush=True)
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    main()

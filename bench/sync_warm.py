"""Claim: a day later a sync of 10,000 users costs at most 0.30 calls a user, with 6 % payers and 10 % seen.

    make bench BENCH=sync_warm

The first sync is a full one. Then a day passes: payers' periods end, and one user in ten was seen. Simulated time
(bench/simulated.py). "plain" is four calls a user, each day.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

from bench.simulated import Measured, run_sync, simulated
from local.ports import free_port
from local.postgres import Postgres
from local.revenuecat.catalogue import Customer, Subscription, product
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import SimulatedTime

LATENCY_S, PLAIN_CALLS = 0.8, 4
DAY_MS = 86_400_000
MONTHLY = Subscription(product_id=product("premium_p1m").id, gross=9.99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=10_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            cold, warm = _measure(server, users)
        finally:
            server.stop("immediate")
    print(f"cold: {cold.line()}")
    print(f"warm: {warm.line()}; {warm.row['result']['synced']:,} synced")
    print(f"calls a user: ours cold {cold.calls_a_user:.2f}, warm {warm.calls_a_user:.3f}, plain {PLAIN_CALLS}")
    print(f"ratio of warm to plain: {warm.calls_a_user / PLAIN_CALLS:.3f}")


def _measure(server: Postgres, users: int) -> tuple[Measured, Measured]:
    now_ms, clock = int(time.time() * 1000), SimulatedTime()
    ids = [f"user_{n:06d}" for n in range(1, users + 1)]
    sandbox = Sandbox(latency_s=LATENCY_S, clock=clock)
    for n, id in enumerate(ids):
        rows = (dataclasses.replace(MONTHLY, current_period_ends_at=now_ms + n % 30 * DAY_MS),) if n % 100 < 6 else ()
        sandbox.customers[id] = Customer(subscriptions=rows)
    with simulated(server, "warm", users=users) as (owner, settings):
        cold = run_sync(owner, settings, sandbox, clock)
        for id in ids[3::10]:
            sandbox.customers[id] = dataclasses.replace(sandbox.customers[id], last_seen_at=now_ms)
        clock.sleep(86_400)
        sandbox.calls.clear()
        return cold, run_sync(owner, settings, sandbox, clock)


if __name__ == "__main__":
    main()

"""Claim: over 100 seeded fault schedules, a sync ends with the truth about every user that RevenueCat answers for.

    make bench BENCH=sync_faults
    make bench BENCH="sync_faults --seeds 1000 --from 7"

Each schedule has its own kinds of trouble, slices of 5, 20 or 90 seconds, another client or none, users without any
answer, users that are deleted and keys that are replaced in the middle (local/revenuecat/fault_schedule.py). The plain
approach, four calls a user without a second try, meets the same schedules: a user whose call fails is missed.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.simulated import KEY, plain_sync, run_sync, simulated
from local.ports import free_port
from local.postgres import Postgres
from local.revenuecat.fault_schedule import FaultSchedule
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import SimulatedTime
from nightshift.database.queries import Database

USERS = 100
STORED = "SELECT user_id, properties, total_revenue_usd_cents FROM app_users ORDER BY user_id"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first")
    args = parser.parse_args()
    wrong = missed = plain_missed = 0
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            for seed in range(args.first, args.first + args.seeds):
                found = _follow(server, seed)
                wrong, missed, plain_missed = wrong + found[0], missed + found[1], plain_missed + found[2]
        finally:
            server.stop("immediate")
    users = args.seeds * USERS
    print(f"{args.seeds} schedules, {users:,} users: {wrong} wrong, {missed} missed by ours, {plain_missed} by plain")
    print(f"ratio of missed users: {missed / max(1, plain_missed):.3f}")


def _follow(server: Postgres, seed: int) -> tuple[int, int, int]:
    """Return how many users differ from the truth, and how many ours and plain missed though they were answered for."""
    ids = [f"user_{n:06d}" for n in range(1, USERS + 1)]
    with simulated(server, f"seed_{seed}", users=USERS) as (owner, settings):
        schedule, sandbox, clock = _arrange(seed, ids)

        def delete(user_id: str) -> None:
            owner.run_script(f"DELETE FROM app_users WHERE user_id = '{user_id}'")

        def store_key(key: str) -> None:
            owner.run_script(f"UPDATE project_integrations SET secret_encrypted = '{key}'")

        schedule.begin(sandbox, clock, delete=delete, store_key=store_key)
        sliced = replace(settings, slice_budget_s=schedule.slice_s)
        run = run_sync(owner, sliced, sandbox, clock)
        if "eight times in a row" in (run.row["error"] or ""):  # an outage that one run does not wait for
            run = run_sync(owner, sliced, sandbox, clock)
        clock.sleep(200)
        found = _stored(owner)
        sandbox.clear_faults()
        sandbox.used_by_others = 0
        owner.run_script("UPDATE app_users SET properties = '{}', total_revenue_usd_cents = NULL")
        owner.run_script("TRUNCATE job_revenuecat_users, job_revenuecat_projects")
        run_sync(owner, settings, sandbox, clock)
        truth = _stored(owner)
    missed = {id for id, stored in found.items() if stored == ({}, None) != truth[id]}
    wrong = [id for id, stored in found.items() if id not in missed and stored != truth[id]]
    if wrong or run.row["status"] != "completed":
        print(f"seed {seed}: {run.row['status']} {run.row['error'] or ''} {wrong[:3]}", flush=True)
    schedule, sandbox, clock = _arrange(seed, ids)
    schedule.begin(sandbox, clock, delete=lambda user_id: None, store_key=lambda key: setattr(sandbox, "api_key", KEY))
    plain = plain_sync(sandbox, clock, ids)
    return len(wrong), len(missed - schedule.bad), len(plain.missed - schedule.bad)


def _arrange(seed: int, ids: list[str]) -> tuple[FaultSchedule, Sandbox, SimulatedTime]:
    schedule, clock = FaultSchedule(seed, ids), SimulatedTime()
    sandbox = Sandbox(
        seed=seed,
        customer_ids=ids,
        budget=schedule.budget,
        latency_s=schedule.latency_s,
        used_by_others=schedule.used_by_others,
        clock=clock,
    )
    return schedule, sandbox, clock


def _stored(owner: Database) -> dict[str, tuple[object, ...]]:
    return {str(user_id): (properties, cents) for user_id, properties, cents in owner.run_script(STORED)}


if __name__ == "__main__":
    main()

"""Claim: a sync of 100,000 users needs no more memory than one of 1,000, and runs as a chain of short slices.

    make bench BENCH=sync_memory

A separate process works each size, with real Postgres and the sandbox (another process, without latency or budget). The
output shows slices, statements per user, peak memory and the ratio of the two peaks.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

from bench.parts import sandbox_process, settings_of
from bench.syncs import INSERT_RUN, database_with_users, start_worker
from local.ports import free_port
from local.postgres import Postgres

SLICE_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            peaks = [_measure(server, count) for count in (1_000, users)]
        finally:
            server.stop("immediate")
    print(f"peak memory with {users:,} users: {peaks[1] / peaks[0]:.2f} times that with 1,000")


def _measure(server: Postgres, users: int) -> float:
    """Return the worker's peak resident memory in MiB."""
    name = f"users_{users}"
    owner = database_with_users(server, name, users=users)
    [[run_id]] = owner.run_script(INSERT_RUN)
    with sandbox_process(customers=users) as url:
        settings = dataclasses.replace(
            settings_of(server, name, "nightshift_worker"),
            revenuecat_url=url,
            slice_budget_s=SLICE_S,
            slice_reserve_s=0,
        )
        worker, pipe = start_worker(settings, run_id)
        slices, statements, seconds = pipe.recv()
        peak = _peak_mib(worker.pid)
        pipe.send("done")
        worker.join()
    (status, result) = owner.run_script("SELECT status, result FROM job_runs")[0]
    owner.close()
    print(
        f"{users:>9,} users: {status}, {slices} slices, {seconds:.0f} s, {statements / users:.3f} statements per user, "
        f"peak {peak:.1f} MiB, synced {result['synced']:,}"
    )
    return peak


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()

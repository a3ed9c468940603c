"""Claim: a step needs at most 1.2 times the statements, commits and WAL of an UPDATE with its COMMIT.

    make bench BENCH=run_costs
    make bench BENCH="run_costs --long"     100,000 steps instead of 5,000

The script also shows what a run costs that does nothing, beside such a job in procrastinate, pgqueuer and oban-py: on
the same server, each in a database and a schema of its own, with its own worker as it is by default. Each job is
enqueued by a request of its own. "All at once": the worker finds all jobs when it starts, so pgqueuer and oban-py fetch
and end ten in one transaction. "One by one": the worker waits, and a job is enqueued when the one before it has run.

Only counts are compared, so the machine does not matter. Each is the difference between many jobs and few, divided by
their number: starts, ends and idle polling of a worker are in both (bench/costs.py). Autovacuum is off and no images of
pages are written, because both depend on time; so procrastinate reads many dead rows when it works all jobs at once.
Statements are counted in the server's log, WAL by the server's position and pg_waldump, the rest by pg_stat_database.
Dirtied buffers are not counted: the server lacks pg_stat_statements.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from bench.costs import Cost, cost_of_each, counting_server
from bench.own_runs import Trigger, call_api, database_with_projects, functions_on, job_type, request, work_runs
from bench.own_steps import Updates, measure_steps
from bench.parts import create_database
from local.postgres import Postgres

PEERS = {"procrastinate": "procrastinate", "pgqueuer": "pgqueuer", "oban": "oban-py"}
PYTHON = Path(".venv/peers/bin/python")
PINS = Path("local/requirements/peers.txt")
# procrastinate's worker takes a tenth of a second to notice a job.
ONE_BY_ONE = {"few": 20, "many": 120}
MANY = 1_100
COLUMNS = {
    **{"statements": "statements", "transactions": "transactions", "commits": "of them writing"},
    **{"wal_records": "WAL records", "wal_bytes": "WAL bytes", "index_entries": "index entries", "buffers": "buffers"},
}
Costs = dict[str, Cost]


def noop(run, db):
    """End at once. The yield makes it a generator."""
    return
    yield


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.run_costs")
    parser.add_argument("--long", action="store_true", help="take 100,000 steps instead of 5,000")
    steps = 100_000 if parser.parse_args().long else 5_000
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is missing. Run `make bench BENCH=run_costs`, which installs the peers.")
    with counting_server(autovacuum="off") as server:
        at_once, one_by_one = measure_peers(server)
        ours = measure_ours(server)
    print_costs("A run, all at once", at_once, ours)
    print_costs("A run, one by one", one_by_one, ours)
    print_kinds({**one_by_one, "ours": ours["ours, one message"]})
    print_relations(ours["ours, one message"])
    with counting_server() as server:
        [project, *_] = database_with_projects(server, "steps", projects=20)
        print_steps(*measure_steps(server, "steps", project, steps=steps), steps=steps)


def measure_peers(server: Postgres) -> tuple[Costs, Costs]:
    """Return what a job costs, by peer: all at once, and one by one."""
    pins = dict(re.findall(r"^(\w+)==([\d.]+)", PINS.read_text(), re.MULTILINE))
    at_once, one_by_one = {}, {}
    for module, name in PEERS.items():
        create_database(server, module)
        command = [PYTHON, "-m", "bench.peers", module, server.url(module)]
        subprocess.run(command, check=True)

        def work(jobs: int, *, how: str, command: Sequence[str | Path] = command) -> None:
            subprocess.run([*command, str(jobs), how], check=True)

        titled = f"{name} {pins[module]}"
        at_once[titled] = cost_of_each(partial(work, how="at_once"), server, module, many=MANY)
        one_by_one[titled] = cost_of_each(partial(work, how="one_by_one"), server, module, **ONE_BY_ONE)
    return at_once, one_by_one


def measure_ours(server: Postgres) -> Costs:
    """Return the costs of our run: with messages one by one, in tens, and triggered through the API's handler."""
    return {
        "ours, one message": cost_of_run(server, "one_message", trigger=request, at_once=1),
        "ours, ten messages": cost_of_run(server, "ten_messages", trigger=request, at_once=10),
        "ours, with a key": cost_of_run(server, "with_a_key", trigger=call_api, at_once=1),
    }


def cost_of_run(
    server: Postgres, database: str, *, trigger: Trigger, at_once: int, few: int = 100, many: int = MANY
) -> Cost:
    """Create the database and return what one run costs in it, if the worker gets ``at_once`` messages each time."""
    projects = database_with_projects(server, database, projects=many)
    with functions_on(server, database) as sent, job_type(noop) as name:

        def work(runs: int) -> None:
            work_runs(projects[:runs], name, sent=sent, trigger=trigger, at_once=at_once)

        return cost_of_each(work, server, database, few=few, many=many)


def print_costs(title: str, peers: Costs, ours: Costs) -> None:
    print_table(
        title,
        COLUMNS.values(),
        {name: [getattr(cost, column) for column in COLUMNS] for name, cost in (peers | ours).items()},
    )
    best = {column: min(getattr(cost, column) for cost in peers.values()) for column in COLUMNS}
    rows = {name: [getattr(cost, column) / best[column] for column in COLUMNS] for name, cost in ours.items()}
    print_table("Ratio to the best peer", COLUMNS.values(), rows)


def print_kinds(costs: Costs) -> None:
    """Print the bytes of WAL per run by kind of record, largest first."""
    sizes = {name: _summed(cost, part=0) for name, cost in costs.items()}
    kinds = sorted(set().union(*sizes.values()), key=lambda kind: -max(size[kind] for size in sizes.values()))
    rows = {kind: [size[kind] for size in sizes.values()] for kind in kinds}
    print_table("Bytes of WAL per run by kind of record, one by one", costs, rows, least=0.5)


def print_relations(cost: Cost) -> None:
    """Print records and bytes of WAL per run by table and index, largest first."""
    sizes = _summed(cost, part=1)
    records = Counter[str]()
    for (_, name), count in cost.records.items():
        records[name] += count
    rows = {name or "(commits)": [records[name], size] for name, size in sizes.most_common()}
    print_table("WAL of our run by table and index", ["records", "bytes"], rows, least=0.5)


def print_steps(ours: Updates, bare: Updates, *, steps: int) -> None:
    columns = ["statements", "commits", "wal_records", "wal_bytes", "index_entries", "buffers"]
    rows = {
        name: [getattr(updates.cost, column) for column in columns]
        for name, updates in {"a step": ours, "UPDATE and COMMIT": bare}.items()
    }
    print_table(f"A step of {steps:,}, autovacuum as configured", [COLUMNS[column] for column in columns], rows)
    for name, updates in {"steps": ours, "UPDATE and COMMIT": bare}.items():
        print(
            f"{name}: {updates.hot:.2%} HOT; the table and its indexes grew by {updates.grown_bytes / 1024:,.0f} kB;"
            f" {updates.dead_rows:,} dead rows left; {updates.vacuums} autovacuums"
        )
    pairs = {column: [getattr(updates.cost, column) for updates in (ours, bare)] for column in columns}
    ratios = (f"{COLUMNS[column]} {a / b:.2f}" for column, (a, b) in pairs.items() if b > 0.05)
    print(f"ratio: {', '.join(ratios)}")


def print_table(title: str, columns: Iterable[str], rows: dict[str, list[float]], *, least: float = 0) -> None:
    """Print the rows that have a value of at least ``least``."""
    columns = list(columns)
    width = max(map(len, rows))
    print(f"\n{title}\n{'':{width}}" + "".join(f"  {column:>15}" for column in columns))
    for name, values in rows.items():
        if max(values) >= least:
            print(f"{name:{width}}" + "".join(f"  {value:15,.{0 if value >= 100 else 2}f}" for value in values))


def _summed(cost: Cost, *, part: int) -> Counter[str]:
    """Return the bytes of WAL by the first or the second part of their kind."""
    summed = Counter[str]()
    for kind, size_bytes in cost.sizes.items():
        summed[kind[part]] += size_bytes
    return summed


if __name__ == "__main__":
    main()

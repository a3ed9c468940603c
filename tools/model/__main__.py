"""python -m tools.model: search the machines of docs/protocol.md, and renew the digests that they were compared with.

search [MACHINE …]   check all states of each case; --proofs: check the large cases, which takes minutes
matrix [MACHINE …]   leave out each rule, and show the shortest schedule that then breaks a promise
walk                 follow random schedules of a larger run machine, with all rules
renew NAME …         store the digests of these statements or schema parts, after comparing them with their actions
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.model import compared
from tools.model.checker import search, walk
from tools.model.machines import MACHINES
from tools.model.run.run_cases import LARGE, likely

SCHEMA = Path(__file__).parent / "schema.sql"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return how many promises are broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["search", "matrix", "walk", "renew"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--proofs", action="store_true")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    asked = parser.parse_args(arguments)
    if asked.command == "renew":
        return _renew(asked.names)
    if asked.command == "walk":
        return _walk(asked.seed, asked.steps)
    if unknown := [name for name in asked.names if name not in MACHINES]:
        parser.error(f"unknown machine: {', '.join(unknown)}. The machines are {', '.join(MACHINES)}")
    machines = asked.names or list(MACHINES)
    lines = _search(machines, proofs=asked.proofs) if asked.command == "search" else _matrix(machines)
    broken = 0
    for line, is_right in lines:
        print(line, flush=True)
        broken += not is_right
    return broken


def _search(names: Sequence[str], *, proofs: bool) -> Iterator[tuple[str, bool]]:
    for name in names:
        cases = MACHINES[name]
        for case, machine in (cases.proofs if proofs else cases.holds).items():
            began = time.monotonic()
            found = search(machine)
            size = f"{found.states:,} states, {found.edges:,} edges, depth {found.depth}"
            held = found.broken or ("holds" if found.is_complete else "NOT ALL STATES SEEN")
            line = f"{name}, {case}: {size}, {time.monotonic() - began:.0f} s: {held}"
            yield line, found.is_complete and found.broken is None


def _matrix(names: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for name in names:
        for knockout in MACHINES[name].knockouts:
            broken = search(knockout.without).broken
            is_right = broken is not None and (broken.promise, broken.steps) == (knockout.breaks, knockout.steps)
            yield f"{name} without {', '.join(knockout.rules)}: {broken or 'NOTHING IS BROKEN'}", is_right


def _walk(seed: int, steps: int) -> int:
    print(f"seed {seed}", flush=True)
    broken = walk(LARGE, seed=seed, steps=steps, weight=likely)
    print(broken or f"{steps:,} random steps: all promises hold")
    return int(broken is not None)


def _renew(names: Sequence[str]) -> int:
    schema = _schema()
    table, now = compared.read_table(), compared.present(schema)
    if unknown := [name for name in names if name not in table and name not in now]:
        print(f"Unknown statement or part of the schema: {', '.join(unknown)}.", file=sys.stderr)
        return len(unknown)
    for name in names:
        table.pop(name, None)
        if name in now:
            table[name] = now[name]
    compared.write_table(table)
    complaints = list(compared.complaints(schema))
    print("\n".join(complaints) or "The model was compared with every statement and part of the schema.")
    return len(complaints)


def _schema() -> dict[str, str]:
    """Return the parts of the schema from a server to which all migrations were applied."""
    from local.postgres import throwaway
    from nightshift.base.settings import Settings
    from nightshift.database.migrations import migrate
    from nightshift.database.queries import Database

    with throwaway() as server:
        db = Database(
            Settings(
                database_host="127.0.0.1", database_port=server.port, database_name="postgres", database_user="postgres"
            )
        )
        migrate(db)
        return dict(db.run_script(SCHEMA.read_text()))


if __name__ == "__main__":
    sys.exit(min(main(), 1))

"""Run many plays: python -m tests.simulation --steps 1000000 [--seed 7] [--moves 400]

Runs plays on its own Postgres (NIGHTSHIFT_POSTGRES_VERSION selects the major version) until the given number of random
moves was made, and prints how often each fault occurred. If a play breaks a promise, the command prints the shortest
play that breaks it as a test, and exits with 1.
"""

import argparse
import secrets
import sys
from collections import Counter

from local.postgres import POSTGRES_VERSION
from nightshift.database.queries import Database
from tests.simulation.play import Play
from tests.simulation.promises import Broken
from tests.simulation.shrink import explained
from tests.simulation.world import World
from tests.support.fixtures import settings_for, throwaway_postgres


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("--steps", type=int, default=20_000, help="random moves in all plays together")
    asked.add_argument("--seed", default=secrets.token_hex(4), help="seed of the plays (default: a new one)")
    asked.add_argument("--moves", type=int, default=400, help="moves in one play")
    given = asked.parse_args()
    print(
        f"Postgres {POSTGRES_VERSION}, seed {given.seed}, {given.steps:,} steps in plays of {given.moves}", flush=True
    )
    faults: Counter[str] = Counter()
    plays = steps = 0
    with throwaway_postgres() as server:
        world = World(settings_for(server, "simulation"), Database(settings_for(server, "postgres", user="postgres")))
        while steps < given.steps:
            play = Play(world, f"{given.seed}-{plays}")
            try:
                play.go(given.moves)
            except Broken as broken:
                print(f"{broken}\nSeed {play.seed!r}, after {len(play.made)} moves. Shortening the play …", flush=True)
                print(explained(play))
                return 1
            plays, steps = plays + 1, steps + given.moves
            faults.update(world.faults)
            if plays % 50 == 0:
                print(f"{steps:,} steps", flush=True)
    print(f"{steps:,} steps in {plays:,} plays, and no promise was broken. Faults:")
    for name, times in faults.most_common():
        print(f"{times:>9,}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

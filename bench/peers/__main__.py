"""``python -m bench.peers NAME URL [JOBS at_once|one_by_one]``: install the schema, or work that many jobs.

It runs in the peers' environment, which has none of our packages.
"""

import asyncio
import sys
from importlib import import_module


def main() -> None:
    name, url, *how = sys.argv[1:]
    peer = import_module(f"bench.peers.{name}")
    asyncio.run(peer.work(url, int(how[0]), one_by_one=how[1] == "one_by_one") if how else peer.install(url))


if __name__ == "__main__":
    main()

"""The records of a stretch of WAL, as pg_waldump lists them: it comes with each Postgres, unlike pg_walinspect."""

import re
import subprocess
from collections.abc import Iterator

from local.postgres import POSTGRES_VERSION, POSTGRES_VERSIONS, Postgres
from nightshift.database.queries import Database

Kind = tuple[str, str]
"""The action of a record, like ``Heap HOT_UPDATE``, and its table or index, which is ``""`` for a commit."""

RECORD = re.compile(r"rmgr: (\w+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), .*? desc: (\w+)")
PLACE = re.compile(r" blkref #0: rel \d+/(\d+)/(\d+)")
# The server's own records, whose number depends on time.
OF_THE_SERVER = re.compile(r"Standby RUNNING_XACTS|XLOG (CHECKPOINT|SWITCH)")
# A record begins at a multiple of this many bytes.
ALIGNED = 8


def records_between(start: str, end: str, *, server: Postgres, db: Database) -> Iterator[tuple[Kind, int]]:
    """Yield kind and size of each record between two positions, but the server's own.

    ``db`` is a superuser's connection to the database whose tables and indexes are to be named.
    """
    names = {
        (str(database), str(file)): name
        for database, file, name in db.run_script(
            "SELECT here.oid, pg_relation_filenode(class.oid), relname FROM pg_class class, pg_database here"
            " WHERE datname = current_database() AND relkind IN ('r', 'i', 't', 'S')"
        )
    }
    db.run_script("SELECT pg_switch_wal()")  # writes the last records to their file
    command = [POSTGRES_VERSIONS[POSTGRES_VERSION] / "pg_waldump", "--path", server.data / "pg_wal"]
    listed = subprocess.run([*command, "--start", start, "--end", end], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        record, place = RECORD.match(line), PLACE.search(line)
        assert record, line
        manager, size_bytes, action = record.groups()
        if not OF_THE_SERVER.match(f"{manager} {action}"):
            name = names.get(place.groups(), "elsewhere") if place else ""
            yield (f"{manager} {action}", name), -(-int(size_bytes) // ALIGNED) * ALIGNED

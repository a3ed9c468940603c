"""Recognise a local database that other migrations created."""

import hashlib
from pathlib import Path

import pg8000.native


def changed_migrations(connection: pg8000.native.Connection, *, sql: Path) -> list[str]:
    """Return the names of applied migrations whose file in ``sql`` has changed or is gone, in order.

    The migrate function refuses such a database. On AWS a file is never changed after it was applied; a checkout may
    be.
    """
    if connection.run("SELECT to_regclass('nightshift_migrations')") == [[None]]:
        return []
    applied = connection.run("SELECT name, checksum FROM nightshift_migrations ORDER BY name")
    return [name for name, checksum in applied if _checksum(sql / f"{name}.sql") != checksum]


def _checksum(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None

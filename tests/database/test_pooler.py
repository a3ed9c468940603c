"""A pooler in the place of the server is refused before anything is applied.

The relay answers a session's own settings as PgBouncer 1.18 and 1.24 did: it refuses the connection or, with
``ignore_startup_parameters``, leaves the setting out.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from nightshift.base.errors import DatabaseGone
from nightshift.base.settings import Settings
from nightshift.database.migrations import MigrationFailed, migrate
from nightshift.database.queries import Database

REFUSAL = b"SFATAL\x00C08P01\x00Munsupported startup parameter: lock_timeout\x00\x00"
Pooler = Callable[[bytes], bytes | None]


def refuse(startup: bytes) -> bytes | None:
    return None if b"lock_timeout" in startup else startup


def ignore(startup: bytes) -> bytes:
    return startup.replace(b"lock_timeout\x001234ms\x00", b"")


def pass_on(startup: bytes) -> bytes:
    return startup


@pytest.fixture
def behind(config: Settings) -> Iterator[Callable[[Pooler], Database]]:
    """``behind(pooler)``: connect as the schema owner through a pooler that changes what a session begins with."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[Database] = []
    threads: list[threading.Thread] = []

    def serve(pooler: Pooler) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=relay, args=(client, pooler, config.database_port)))
                threads[-1].start()

    def connect(pooler: Pooler) -> Database:
        threads.append(threading.Thread(target=serve, args=(pooler,)))
        threads[-1].start()
        opened.append(Database(replace(config, database_user="postgres", database_port=listener.getsockname()[1])))
        return opened[-1]

    yield connect
    for db in opened:
        db.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join()


def relay(client: socket.socket, pooler: Pooler, port: int) -> None:
    with client:
        [length] = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))
        startup = pooler(client.recv(length - 4, socket.MSG_WAITALL))
        if startup is None:
            client.sendall(b"E" + struct.pack("!i", len(REFUSAL) + 4) + REFUSAL)
            return
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(struct.pack("!i", len(startup) + 4) + startup)
            back = threading.Thread(target=pump, args=(server, client))
            back.start()
            pump(client, server)
            back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("pooler", [refuse, ignore])
def test_a_pooler_is_refused_with_the_parameter_for_the_server(
    behind: Callable[[Pooler], Database], owner: Database, pooler: Pooler
) -> None:
    owner.run_script("DELETE FROM nightshift_migrations")
    with pytest.raises(MigrationFailed, match=r"host is a pooler.*Nothing was applied\. Set DatabaseDirectHost"):
        migrate(behind(pooler))
    assert owner.run_script("SELECT count(*) FROM nightshift_migrations") == [[0]]


def test_the_server_itself_is_accepted(behind: Callable[[Pooler], Database]) -> None:
    assert migrate(behind(pass_on)) == []


def test_a_server_that_is_away_is_no_pooler(config: Settings) -> None:
    with pytest.raises(DatabaseGone):
        migrate(Database(replace(config, database_port=1)))

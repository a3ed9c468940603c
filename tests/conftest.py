"""Real Postgres for every test: one server per run, one fresh copy of the migrated database per test."""

import dataclasses
import itertools
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from local.postgres import Postgres
from nightshift.database import Database
from nightshift.migrations import create_first_partitions, migrate
from nightshift.settings import Settings

_serial = itertools.count()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="nightshift-tests-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off", full_page_writes="off")
        yield server
        server.stop("immediate")


@pytest.fixture(scope="session")
def superuser(postgres: Postgres) -> Iterator[Database]:
    db = Database(settings_for(postgres, "postgres", user="postgres"))
    yield db
    db.close()


@pytest.fixture(scope="session")
def template(postgres: Postgres, superuser: Database) -> str:
    superuser.run_script("CREATE DATABASE nightshift_template")
    owner = Database(settings_for(postgres, "nightshift_template", user="postgres"))
    migrate(owner)
    create_first_partitions(owner, today=date.today())
    owner.close()
    return "nightshift_template"


@pytest.fixture
def config(postgres: Postgres, superuser: Database, template: str) -> Iterator[Settings]:
    """Settings of a database of this test's own."""
    name = f"test_{os.getpid()}_{next(_serial)}"
    superuser.run_script(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield settings_for(postgres, name)
    superuser.run_script(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def connect(config: Settings) -> Iterator[Callable[..., Database]]:
    """``connect(user=…, **startup_params)``: another connection to this test's database."""
    opened = []

    def connect(user: str = "nightshift_app", **startup_params: str) -> Database:
        opened.append(Database(dataclasses.replace(config, database_user=user), **startup_params))
        return opened[-1]

    yield connect
    for db in opened:
        db.close()


@pytest.fixture
def db(connect: Callable[..., Database]) -> Database:
    """As the functions connect."""
    return connect()


@pytest.fixture
def owner(connect: Callable[..., Database]) -> Database:
    """As the owner of the tables, to arrange and to look."""
    return connect(user="postgres")


def settings_for(server: Postgres, database: str, user: str = "nightshift_app") -> Settings:
    return Settings(database_host="127.0.0.1", database_port=server.port, database_name=database, database_user=user)

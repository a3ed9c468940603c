"""A local database whose migrations have changed is recognised."""

import shutil
from contextlib import closing
from pathlib import Path

import pg8000.native
import pytest

from local.older import changed_migrations


@pytest.fixture
def connection(config, owner):
    with closing(
        pg8000.native.Connection("postgres", host="127.0.0.1", port=config.database_port, database=config.database_name)
    ) as connection:
        yield connection


def test_the_migrations_of_this_checkout_have_not_changed(connection):
    assert changed_migrations(connection, sql=Path("sql")) == []


def test_a_database_without_migrations_is_not_older(connection):
    connection.run("DROP TABLE nightshift_migrations")
    assert changed_migrations(connection, sql=Path("sql")) == []


def test_files_that_changed_or_are_gone_are_named_in_order(connection, tmp_path):
    shutil.copytree("sql", tmp_path / "sql")
    second, third = sorted((tmp_path / "sql/jobs").glob("*.sql"))[1:3]
    second.write_text(f"{second.read_text()}-- Changed.\n")
    third.unlink()
    names = [f"jobs/{second.stem}", f"jobs/{third.stem}"]
    assert changed_migrations(connection, sql=tmp_path / "sql") == names


def test_a_migration_that_is_not_applied_yet_does_not_count(connection, tmp_path):
    shutil.copytree("sql", tmp_path / "sql")
    (tmp_path / "sql/jobs/9999_next.sql").write_text("SELECT 1;")
    assert changed_migrations(connection, sql=tmp_path / "sql") == []

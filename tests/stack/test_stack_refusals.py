"""Errors of a start of the stack that cannot use its folder; nothing is started."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.ports import free_port
from local.postgres import POSTGRES_VERSION, Postgres


def test_data_of_another_version_of_postgres_are_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "made" / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(RuntimeError, match=f"are from Postgres 15, but this start uses {POSTGRES_VERSION}"):
        Postgres(data, free_port(), password="secret").start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "made" / "postgres"
    data.mkdir(parents=True)
    (data / "holiday.jpg").touch()
    with pytest.raises(RuntimeError, match=r"is not empty and holds no Postgres data\. Move it away"):
        Postgres(data, free_port(), password="secret").start()
    assert [path.name for path in data.iterdir()] == ["holiday.jpg"]


def test_what_another_start_has_left_half_made_is_made_anew(folders: Callable[[], Path]) -> None:
    folder = folders()
    (folder / "postgres.new" / "base").mkdir(parents=True)
    server = Postgres(folder / "postgres", free_port(), password="secret")
    server.start()
    try:
        assert server.is_running()
        with pytest.raises(RuntimeError, match=r"is already running on "):
            Postgres(server.data, server.port).start()
    finally:
        server.stop()
    assert not server.data.with_name("postgres.new").exists()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "local.run", "--folder", str(tmp_path / "file" / "stack")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == (f"Nightshift cannot run in {tmp_path}/file/stack: Not a directory.\n")
    assert done.stderr == ""

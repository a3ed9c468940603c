"""A local Postgres server that other processes stop, too."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.ports import free_port
from local.postgres import Postgres


@dataclass
class SaidToRun(Postgres):
    """A server that answers from ``said`` before it looks."""

    said: Iterator[bool] = field(default_factory=lambda: iter([True]))

    def is_running(self) -> bool:
        return next(self.said, None) or super().is_running()


def test_a_server_that_ended_before_the_command_reached_it_is_stopped(tmp_path: Path) -> None:
    SaidToRun(tmp_path / "postgres", free_port()).stop()


def test_a_server_that_cannot_be_stopped_is_reported(tmp_path: Path) -> None:
    server = SaidToRun(tmp_path / "postgres", free_port(), said=iter([True, True]))
    with pytest.raises(RuntimeError, match="pg_ctl failed on"):
        server.stop()

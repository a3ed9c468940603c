"""The error of ``make run`` for unavailable ports."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from local.ports import Ports, complaint, free_port, is_free

NAMES = ("aws", "postgres", "revenuecat", "mailbox")


@pytest.fixture
def taken() -> Iterator[list[int]]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("0.0.0.0", 0)) as other:
        yield [one.getsockname()[1], other.getsockname()[1]]


def suggested(sentence: str) -> dict[str, int]:
    return {name.lower(): int(port) for name, port in re.findall(r"NIGHTSHIFT_(\w+)_PORT=(\d+)", sentence)}


def test_nothing_is_said_where_all_are_free() -> None:
    wanted = dict(zip(NAMES, (free_port() for _ in NAMES), strict=True))
    assert complaint(wanted, usual={}) is None


def test_all_that_are_taken_are_told_at_once_with_a_command_that_works(taken: list[int]) -> None:
    usual = {"aws": taken[0], "postgres": free_port(), "revenuecat": taken[1], "mailbox": free_port()}
    mine = free_port()
    sentence = complaint(usual | {"mailbox": mine}, usual=usual)
    assert sentence is not None
    assert sentence.startswith(f"Ports {taken[0]} and {taken[1]} are already in use by other programs.")
    assert sentence.endswith(" make run")
    # A port chosen before stays chosen; default ports are not listed.
    assert suggested(sentence).keys() == {"aws", "revenuecat", "mailbox"}
    assert suggested(sentence)["mailbox"] == mine
    assert complaint(usual | suggested(sentence), usual=usual) is None


def test_one_is_told_alone(taken: list[int]) -> None:
    sentence = complaint({"aws": taken[0]}, usual={"aws": taken[0]})
    assert sentence is not None
    assert sentence.startswith(f"Port {taken[0]} is already in use by another program.")
    assert is_free(suggested(sentence)["aws"])


def test_one_that_is_wanted_twice_is_told() -> None:
    port = free_port()
    wanted = {"aws": port, "mailbox": port}
    sentence = complaint(wanted, usual={"mailbox": port})
    assert sentence is not None
    assert sentence.startswith(f"Port {port} is assigned to more than one service.")
    assert suggested(sentence)["aws"] == port
    assert complaint(wanted | suggested(sentence), usual={}) is None


def made(folder: Path, **ports: str) -> "subprocess.CompletedProcess[str]":
    """`make run` in a checkout in which nothing is installed, with a pip that finds nothing."""
    variables = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)} | ports
    make = ["make", "run", f"VENV={folder}/venv", f"PYTHON={sys.executable}"]
    return subprocess.run(make, env=variables, capture_output=True, text=True)


def test_make_run_tells_a_taken_port_before_it_installs_anything(taken: list[int], tmp_path: Path) -> None:
    done = made(tmp_path, NIGHTSHIFT_POSTGRES_PORT=str(taken[0]))
    assert done.returncode != 0
    assert f"Port {taken[0]} is already in use by another program." in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0", "65536", "-1", "aws", "", "\uff11"])
def test_make_run_tells_a_value_that_is_no_port(text: str, tmp_path: Path) -> None:
    done = made(tmp_path, NIGHTSHIFT_AWS_PORT=text)
    assert done.returncode != 0
    assert f"NIGHTSHIFT_AWS_PORT must be a port between 1 and 65535, got {text!r}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_make_run_installs_where_the_ports_are_free(tmp_path: Path) -> None:
    done = made(tmp_path, **{f"NIGHTSHIFT_{name.upper()}_PORT": str(free_port()) for name in NAMES})
    assert "Setting up" in done.stdout


def test_the_names_and_ports_are_those_that_the_variables_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(NAMES, 1):
        monkeypatch.setenv(f"NIGHTSHIFT_{name.upper()}_PORT", str(number))
    assert asdict(Ports.from_environment()) == {name: number for number, name in enumerate(NAMES, 1)}

"""The error of ``make run`` for unavailable ports."""

import re
import socket
from collections.abc import Iterator

import pytest

from local.ports import complaint, is_free
from tests.support.fixtures import free_port

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

"""Faults of an operation. A fault is a function of the actor and the operation, called in the actor's thread."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nightshift.aws.aws_http import AwsUnreachable
from tests.simulation.actors import Actor, Operation
from tests.simulation.outside import refused_for_a_while

Befall = Callable[[Actor, Operation], Any]


@dataclass(frozen=True)
class Fault:
    name: str
    befalls: tuple[str, ...]
    """The kinds of operation that the fault can affect."""
    does: Befall


FAULTS: dict[str, Fault] = {}

DATABASE = ("query", "statement", "commit", "rollback", "connect")
OUTSIDE = ("send", "mail", "event")


def fault(name: str, *, befalls: tuple[str, ...]) -> Callable[[Befall], Befall]:
    def register(does: Befall) -> Befall:
        FAULTS[name] = Fault(name, befalls, does)
        return does

    return register


def fates_of(operation: Operation) -> list[str]:
    return [fault.name for fault in FAULTS.values() if operation.kind in fault.befalls]


def nothing(actor: Actor, operation: Operation) -> Any:
    return operation.perform()


@fault("killed before", befalls=(*DATABASE, *OUTSIDE))
def killed_before(actor: Actor, operation: Operation) -> None:
    actor.die()


@fault("killed after", befalls=(*DATABASE, *OUTSIDE))
def killed_after(actor: Actor, operation: Operation) -> None:
    try:
        operation.perform()
    finally:
        actor.die()


@fault("answer lost", befalls=(*DATABASE, *OUTSIDE))
def answer_lost(actor: Actor, operation: Operation) -> None:
    operation.perform()
    operation.lose()


@fault("connection cut", befalls=("query", "statement", "commit", "rollback"))
def connection_cut(actor: Actor, operation: Operation) -> Any:
    assert operation.connection
    operation.connection.end(actor.world)
    return operation.perform()


@fault("connection refused", befalls=("connect",))
def connection_refused(actor: Actor, operation: Operation) -> None:
    operation.lose()


@fault("settings lost", befalls=("query",))
def settings_lost(actor: Actor, operation: Operation) -> Any:
    """Lose the session's settings, as a pooler or a platform's statement can: it no longer finds our tables."""
    _on_server(operation, "SET search_path = pg_catalog")
    return operation.perform()


@fault("deadlock", befalls=("query", "statement"))
def deadlock(actor: Actor, operation: Operation) -> None:
    _raise_on_server(operation, "40P01")


@fault("disk full", befalls=("query", "statement"))
def disk_full(actor: Actor, operation: Operation) -> None:
    _raise_on_server(operation, "53100")


@fault("unreachable", befalls=OUTSIDE)
def unreachable(actor: Actor, operation: Operation) -> None:
    raise AwsUnreachable("Nothing came through")


@fault("refused", befalls=OUTSIDE)
def refused(actor: Actor, operation: Operation) -> None:
    refused_for_a_while()


@fault("message lost", befalls=("send",))
def message_lost(actor: Actor, operation: Operation) -> Any:
    return operation.perform(copies=0)


@fault("message doubled", befalls=("send",))
def message_doubled(actor: Actor, operation: Operation) -> Any:
    return operation.perform(copies=2)


@fault("message late", befalls=("send",))
def message_late(actor: Actor, operation: Operation) -> Any:
    return operation.perform(late_s=1500)


def _raise_on_server(operation: Operation, state: str) -> None:
    """Make the server fail the statement, so that the server rolls back the transaction itself."""
    _on_server(operation, f"DO $$ BEGIN RAISE EXCEPTION 'simulated' USING ERRCODE = '{state}'; END $$")


def _on_server(operation: Operation, script: str) -> None:
    assert operation.connection
    # Call the parent class's method, because the actor does not send this statement.
    super(type(operation.connection), operation.connection).run(script)

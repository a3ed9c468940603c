"""Actors: threads that stop before every statement, send and outside call until the play lets them continue."""

import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import InterfaceError

from nightshift.base.errors import DatabaseGone
from nightshift.database import connection
from nightshift.database.connection import Connection
from nightshift.database.queries import Database

if TYPE_CHECKING:
    from tests.simulation.world import World


# No invocation in a play needs more operations.
MOST_OPERATIONS = 500


class Killed(BaseException):
    """The actor's process is dead: none of its later operations takes effect"""


@dataclass
class Operation:
    """An actor's next operation. ``perform`` runs it; ``lose`` raises the error of a lost answer."""

    name: str
    kind: str
    """query (outside of a transaction), statement, commit, rollback, connect, send, mail or event."""
    perform: Callable[..., Any]
    lose: Callable[[], Any]
    connection: "SimulatedConnection | None" = None


@dataclass
class Environment:
    """A Lambda environment: one connection, kept between invocations, and a release of the code."""

    function: str
    db: Database
    release: int = 1
    connections: list["SimulatedConnection"] = field(default_factory=list)
    actor: "Actor | None" = None

    @property
    def left_open(self) -> int:
        """Return the open sessions other than the kept one."""
        return len([each for each in self.connections if each is not self.db._connection])

    def close(self) -> None:
        self.db.close()
        for each in self.connections:
            Connection.close(each)


class Actor(threading.Thread):
    """One invocation. ``work`` is the product's function. It runs in this thread while all others are stopped."""

    def __init__(
        self,
        world: "World",
        name: str,
        work: Callable[["Actor"], Any],
        environment: Environment,
        *,
        limit_s: float = 60,
        claimed: tuple[str, int] | None = None,
        when_over: Callable[["Actor"], None] = lambda _: None,
    ):
        super().__init__(name=name, daemon=True)
        self.world, self.environment, self.limit_s = world, environment, limit_s
        self.work = work
        self.began = world.now
        self.began_at_record = world.records_read
        self.waits_since: datetime = world.now
        self.operation: Operation | None = None
        self.query = ""
        self.claimed = claimed
        """The content of its message: a run and a slice, or a row of the outbox."""
        self.fates: list[str] = []
        self.has_sent = self.operations = 0
        self.doomed = self.frozen = self.is_over = False
        self.was_disturbed = self.was_blocked = False
        self.error: BaseException | None = None
        self.then: Callable[[], None] | None = None
        """A check that runs when the actor has ended and its changes are known."""
        self.when_over = when_over
        self.stands = threading.Event()
        self._go = threading.Semaphore(0)
        self._befall: Callable[[Actor, Operation], Any] | None = None
        environment.actor = self

    def run(self) -> None:
        try:
            self.work(self)
        except BaseException as exc:
            self.error = self.error or exc
        self.is_over = True
        self.stands.set()

    def remaining_s(self) -> float:
        return self.limit_s - (self.world.now - self.began).total_seconds()

    def stop_before(self, operation: Operation) -> Any:
        """Stop this thread until the play lets it continue, then apply the operation's fate."""
        if self.doomed:
            raise Killed
        self.operations += 1
        if self.operations > MOST_OPERATIONS:
            self.error = self.error or AssertionError(f"{self.name} goes on and on: {operation.name}")
            raise Killed
        self.operation, self.waits_since = operation, self.world.now
        self.stands.set()
        self._go.acquire()
        if self.doomed or self._befall is None:
            raise Killed
        try:
            return self._befall(self, operation)
        finally:
            if self.doomed:
                raise Killed

    def let_on(self, befall: Callable[["Actor", Operation], Any]) -> None:
        self._befall = befall
        self.waits_since = self.world.now
        self.stands.clear()
        self._go.release()

    def die(self) -> None:
        """End the process from within."""
        self.doomed = True
        self.end_sessions()
        raise Killed

    def kill(self) -> None:
        """End the process from outside."""
        self.doomed = True
        self.end_sessions()
        self._go.release()

    def end_sessions(self) -> None:
        for each in list(self.environment.connections):
            each.end(self.world)

    @property
    def is_blocked(self) -> bool:
        """Return whether its statement waits for a lock that another session holds."""
        return not self.stands.is_set()

    def blocking_pids(self) -> list[int]:
        open_ones = [each.pid for each in self.environment.connections]
        if not open_ones:
            return []
        pids = ", ".join(map(str, open_ones))
        found = self.world.owner.run_script(
            f"SELECT DISTINCT unnest(pg_blocking_pids(pid)) FROM unnest(ARRAY[{pids}]) AS pid"
        )
        return [pid for (pid,) in found]


def current() -> Actor | None:
    thread = threading.current_thread()
    return thread if isinstance(thread, Actor) else None


class SimulatedConnection(Connection):
    """A real connection to the real server. Its actor stops before each statement."""

    # Limits in real time. The simulator's clock replaces them.
    idle_limit_s: float | None = None

    @property
    def is_alive(self) -> bool:
        return self._usock is not None

    @property
    def pid(self) -> int:
        pid: int = struct.unpack("!i", self._backend_key_data[:4])[0]
        return pid

    def execute_named(self, *args: Any) -> Any:
        perform, actor = super().execute_named, current()
        kind = "statement" if self.is_in_transaction else "query"
        return self._stopping(actor.query if actor else "", kind, lambda: perform(*args))

    def run(self, sql: str, *args: Any, **kwargs: Any) -> Any:
        perform = super().run
        kind = {"COMMIT": "commit", "ROLLBACK": "rollback"}.get(sql, "statement")
        return self._stopping(sql.split()[0], kind, lambda: perform(sql, *args, **kwargs))

    def _stopping(self, name: str, kind: str, perform: Callable[[], Any]) -> Any:
        actor = current()
        if actor is None:
            return perform()

        def lose() -> None:
            self.end(actor.world)
            raise InterfaceError("network error") from ConnectionResetError("The answer was lost")

        return actor.stop_before(Operation(name, kind, perform, lose, self))

    def end(self, world: "World") -> None:
        """End the session on the server now. Its locks are free when this returns."""
        world.owner.run_script(f"SELECT pg_terminate_backend({self.pid})")
        # With a time-out, pg_terminate_backend would check only ten times a second.
        while world.owner.run_script(f"SELECT FROM pg_stat_activity WHERE pid = {self.pid}"):
            pass

    def close(self) -> None:
        actor = current()
        if actor and self in actor.environment.connections:
            actor.environment.connections.remove(self)
            if self.is_in_transaction:
                self.end(actor.world)  # the server notices now instead of a moment later
        super().close()


def connect(config: Any, startup_params: dict[str, str]) -> Connection:
    """Replace nightshift.database.connection.connect."""
    actor = current()
    if actor is None:
        return connection.connect(config, startup_params)
    known = list(actor.environment.connections)
    kept = {
        name: value for name, value in startup_params.items() if name not in ("idle_session_timeout", "lock_timeout")
    }

    def perform() -> SimulatedConnection:
        made = connection.connect(config, kept)
        assert isinstance(made, SimulatedConnection)
        if limit := startup_params.get("idle_session_timeout"):
            made.idle_limit_s = int(limit.removesuffix("ms")) / 1000
        actor.environment.connections.append(made)
        actor.world.sessions[made.pid] = actor.environment
        return made

    def lose() -> None:
        for each in [each for each in actor.environment.connections if each not in known]:
            each.end(actor.world)
            each.close()
        raise DatabaseGone("Cannot connect to the database: the answer was lost")

    return actor.stop_before(Operation("connect", "connect", perform, lose))


def named(run_prepared: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap Database._run_prepared, to tell the actor the name of its query."""

    def wrapped(self: Database, name: str, *args: Any) -> Any:
        if actor := current():
            actor.query = name
        return run_prepared(self, name, *args)

    return wrapped


def end_of(actor: Actor) -> None:
    """Let the thread of a dead or ended actor finish."""
    with suppress(RuntimeError):
        actor.join(10)
    assert not actor.is_alive(), f"{actor.name} does not end"

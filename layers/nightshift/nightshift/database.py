"""One Postgres connection and the queries in sql/queries, each a file, prepared once per connection.

Statements run in autocommit; a transaction is opened on purpose with ``begin`` or ``transaction``.
"""

import json
import os
import socket
import ssl
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import to_statement

from nightshift.errors import (
    BadQuery,
    ConfigurationError,
    DatabaseBusy,
    DatabaseExhausted,
    DatabaseGone,
    DatabaseLocked,
)
from nightshift.settings import Settings, settings
from nightshift.signin import passwords_for

Row = dict[str, Any]

# SQLSTATEs after which the session is over (classes 08 and 57P; 25P03 and 25P04 = the server ended a transaction that
# was idle or ran for too long; 53300 = no connection slot is left), and those that rolled the statement back for a
# passing reason: locks and time limits, or disk, memory and input and output (classes 53 and 58).
# https://www.postgresql.org/docs/16/errcodes-appendix.html
GONE = ("08", "57P", "25P03", "25P04", "53300")
LOCKED = ("40P01", "55P03", "55006")
BUSY = ("40001", "57014", *LOCKED)
EXHAUSTED = ("53", "58")
SIGN_IN_REFUSED = "28"
# DDL in the same moment: rows of the catalogue that two statements changed have the code of an internal error, and a
# plan that outlived a column has the code of what Postgres cannot do. The function that raised them, or their English
# words, tell them apart. https://www.postgresql.org/docs/16/protocol-error-fields.html
CHANGED_BY_DDL = {
    "XX000": ("simple_heap_", "tuple concurrently "),
    "0A000": ("RevalidateCachedQuery", "cached plan must "),
}
OUTDATED_PLAN = "0A000"

# Detail, context and internal query of an error: they quote rows and keys, which are no one's to read in a log.
# https://www.postgresql.org/docs/16/protocol-error-fields.html
QUOTING = ("D", "W", "q")

CONNECT_TIMEOUT_S = 5

# What may be talked to in plain text: nothing leaves the machine. The last is how a container calls it.
THIS_MACHINE = ("127.0.0.1", "localhost", "::1", "host.docker.internal")


@cache
def sql_directory() -> Path:
    """The folder that holds platform/, jobs/ and queries/: the sql layer in Lambda, the repository's sql/ elsewhere."""
    if configured := os.environ.get("NIGHTSHIFT_SQL_DIRECTORY"):
        return Path(configured)
    return Path(__file__).parents[3] / "sql"


@cache
def query_text(name: str) -> str:
    """The statement in sql/queries/<name>.sql, without its comments: the driver scans it letter by letter.

    Raises BadQuery where there is none.
    """
    try:
        lines = (sql_directory() / "queries" / f"{name}.sql").read_text().splitlines()
    except FileNotFoundError as exc:
        raise BadQuery(f"There is no query {name}: sql/queries/{name}.sql is not there") from exc
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))


@cache
def placeholders(statement: str) -> frozenset[str]:
    """The names of its parameters, as the driver reads them: it asks for the value of each."""
    asked: defaultdict[str, None] = defaultdict(lambda: None)
    to_statement(statement)[1](asked)
    return frozenset(asked)


class Database:
    """A connection that is made on first use and made again after it was lost.

    ``statements`` counts round trips, for those who promise a number of them.
    """

    def __init__(self, config: Settings, **startup_params: str):
        self._config = config
        self._startup_params = startup_params
        self._connection: pg8000.native.Connection | None = None
        self._prepared: dict[str, pg8000.native.PreparedStatement] = {}
        self.in_transaction = False
        self.statements = 0

    def query(self, name: str, /, *, again_if_gone: bool = False, **params: Any) -> list[Row]:
        """Run sql/queries/<name>.sql. Dicts go in as JSON text.

        ``again_if_gone`` is for the first statement of an invocation: the environment may have been frozen for an hour
        and its connection have died unseen. Only for a statement that may take effect twice.
        Raises BadQuery before anything is sent; DatabaseGone when the connection was lost, DatabaseBusy when the
        statement was rolled back for a passing reason, pg8000's DatabaseError, without the fields that quote a row's
        values, for everything else.
        """
        _check_parameters(name, params)
        values = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in params.items()}
        kept = self._connection is not None
        try:
            return self._run_prepared(name, values)
        except DatabaseGone:
            if not (again_if_gone and kept):
                raise
        except DatabaseBusy as exc:
            # The tables changed under a statement that was prepared before a migration. It did nothing: prepare anew.
            if _fields(exc.__cause__).get("C") != OUTDATED_PLAN:
                raise
            self._prepared.pop(name, None)
            if self.in_transaction:
                raise
        return self._run_prepared(name, values)

    def one(self, name: str, /, *, again_if_gone: bool = False, **params: Any) -> Row | None:
        """The first row of ``query``, or None."""
        rows = self.query(name, again_if_gone=again_if_gone, **params)
        return rows[0] if rows else None

    def run_script(self, script: str) -> list[Any]:
        """Run SQL without parameters, several statements allowed. Migrations and DDL only."""
        with self._translated_errors():
            self.statements += 1
            return self._connected().run(script) or []

    def sibling(self, *, user: str | None = None, host: str | None = None, **startup_params: str) -> "Database":
        """Another connection to the same database, in the same role or as ``user``, there or by way of ``host``."""
        config = replace(
            self._config,
            database_user=user or self._config.database_user,
            database_host=host or self._config.database_host,
        )
        return Database(config, **startup_params)

    def connect(self) -> None:
        """Open the connection now. Raises SignInRefused or DatabaseGone."""
        with self._translated_errors():
            self._connected()

    def begin(self) -> None:
        self.run_script("BEGIN")
        self.in_transaction = True

    def commit(self) -> None:
        """Raises DatabaseGone when nobody can know whether it took effect."""
        self.run_script("COMMIT")
        self.in_transaction = False

    def rollback(self) -> None:
        """Forget the open transaction. A connection that cannot even do that is closed, which does it too."""
        if not self.in_transaction:
            return
        try:
            self.run_script("ROLLBACK")
        except (DatabaseGone, DatabaseBusy):
            self.close()
        self.in_transaction = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared.clear()
        self.in_transaction = False
        if connection is None:
            return
        # The driver lets go of a dead connection's stream with its last words unsaid, and Python 3.13 complains when it
        # finds them: close it here.
        stream = connection._sock
        with suppress(InterfaceError, OSError):
            connection.close()
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()

    def _run_prepared(self, name: str, values: dict[str, Any]) -> list[Row]:
        with self._translated_errors():
            statement = self._prepared.get(name)
            if statement is None:
                statement = self._prepared[name] = self._connected().prepare(query_text(name))
            self.statements += 1
            rows = statement.run(**values)
            columns = statement.columns or []
        names = [column["name"] for column in columns]
        return [dict(zip(names, row, strict=True)) for row in rows or []]

    def _connected(self) -> pg8000.native.Connection:
        if self._connection is None:
            self._connection = _connect(self._config, self._startup_params)
        return self._connection

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as exc:
            if exc.args and isinstance(exc.args[0], dict):
                exc.args = ({field: value for field, value in exc.args[0].items() if field not in QUOTING},)
            detail = _fields(exc)
            state, message = detail.get("C", ""), detail.get("M", str(exc))
            if state.startswith(GONE):
                self.close()
                raise DatabaseGone(f"Lost the database connection: {message}") from exc
            if state in BUSY or _is_changed_by_ddl(detail):
                busy = DatabaseLocked if state in LOCKED else DatabaseBusy
                raise busy(f"The database was busy: {message}") from exc
            if state.startswith(EXHAUSTED):
                raise DatabaseExhausted(f"The database is short of disk, memory or connections: {message}") from exc
            raise
        except (InterfaceError, OSError) as exc:
            self.close()
            raise DatabaseGone(f"Lost the database connection: {exc}") from exc
        except Exception as exc:
            if self._connection is None or isinstance(exc, UnicodeEncodeError):
                raise  # nothing was sent
            # The driver stopped in the middle of an answer: the next statement would be given the rest of it.
            self.close()
            kind = type(exc).__name__  # its text may quote a row
            raise DatabaseGone(f"Lost the database connection: its answer cannot be read ({kind})") from exc


def _check_parameters(name: str, params: dict[str, Any]) -> None:
    try:
        wanted = placeholders(query_text(name))
    except InterfaceError as exc:
        raise BadQuery(f"Query {name} cannot be read: {exc}") from exc
    if params.keys() != wanted:
        wrong = {"missing": wanted - params.keys(), "unknown": params.keys() - wanted}
        said = "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in wrong.items() if names)
        raise BadQuery(f"Query {name} does not go with its parameters; {said}")


def _fields(exc: BaseException | None) -> dict[str, str]:
    return exc.args[0] if isinstance(exc, DatabaseError) and exc.args and isinstance(exc.args[0], dict) else {}


def _is_changed_by_ddl(fields: dict[str, str]) -> bool:
    raised_by, words = CHANGED_BY_DDL.get(fields.get("C", ""), ("-", "-"))
    return fields.get("R", "").startswith(raised_by) or fields.get("M", "").startswith(words)


def _connect(config: Settings, startup_params: dict[str, str]) -> pg8000.native.Connection:
    if not config.database_ca_file and config.database_host not in THIS_MACHINE:
        raise ConfigurationError(
            f"DATABASE_CA_FILE is not set: the connection to {config.database_host} would not be verified"
        )
    *others, last = passwords_for(config)
    for password in others:
        try:
            return _open(config, startup_params, password)
        except DatabaseError as exc:
            if not _fields(exc).get("C", "").startswith(SIGN_IN_REFUSED):
                raise
    return _open(config, startup_params, last)


def _open(config: Settings, startup_params: dict[str, str], password: str | None) -> pg8000.native.Connection:
    # Two time limits that the driver knows as one: a host that does not answer must be told apart early.
    connection = socket.create_connection((config.database_host, config.database_port), timeout=CONNECT_TIMEOUT_S)
    connection.settimeout(config.database_timeout_s)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: unacknowledged data for so long is a dead connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(config.database_timeout_s * 1000))
    try:
        return pg8000.native.Connection(
            config.database_user,
            host=config.database_host,
            sock=connection,
            database=config.database_name,
            password=password,
            # pg8000's default falls back to plain text in silence, and True does not verify: be explicit either way.
            ssl_context=ssl.create_default_context(cafile=config.database_ca_file)
            if config.database_ca_file
            else False,
            application_name="nightshift",
            startup_params=startup_params or None,
        )
    except BaseException:
        connection.close()
        raise


@cache
def database() -> Database:
    """This execution environment's connection: one, kept between invocations."""
    return Database(settings())

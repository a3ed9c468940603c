"""A Postgres connection and its queries: one file each, prepared by each connection.

Statements run in autocommit unless a transaction is opened with ``begin`` or ``transaction``.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pg8000.converters import make_params
from pg8000.exceptions import DatabaseError, InterfaceError

from nightshift.base.errors import (
    BadQuery,
    DatabaseBusy,
    DatabaseExhausted,
    DatabaseGone,
    DatabaseLocked,
    DatabaseReadOnly,
    NightshiftError,
    RowsHidden,
    SessionUnfit,
)
from nightshift.base.settings import Settings, settings
from nightshift.database.connection import FATAL, Connection, connect, fields_of, reason_of
from nightshift.database.statements import EngineCommand, NumberedParameter, Statement, parse
from nightshift.database.typed_rows import Typed, typed

Row = dict[str, Any]

# SQLSTATEs after which the session is over (classes 08 and 57P; 25P03 and 25P04 = the server ended a transaction that
# was idle or ran for too long; 53300 = no connection slot is left), and those of statements that were rolled back for a
# temporary reason: locks and time limits; or disk, memory and I/O (classes 53 and 58).
# https://www.postgresql.org/docs/16/errcodes-appendix.html
GONE = ("08", "57P", "25P03", "25P04", "53300")
LOCKED = ("40P01", "55P03", "55006")
BUSY = ("40001", "57014", *LOCKED)
EXHAUSTED = ("53", "58")

# SQLSTATEs of a session that responds but is unusable: it is read-only, as after a failover (25006); or, as behind a
# pooler, its prepared statements or portals are gone (26000, 34000) or belong to another client (42P05). The statement
# had no effect.
READ_ONLY = "25006"
UNFIT = (READ_ONLY, "26000", "34000", "42P05")
# SQLSTATE of a transaction that failed earlier: our own, or one that another invocation left open.
FAILED_TRANSACTION = "25P02"
# SQLSTATEs of missing objects and missing rights. They may also come from a session whose role or search_path was
# changed, so the statement is retried once in a new session.
DOUBTFUL = ("3F000", "42P01", "42704", "42883", "42501")

# Errors whose code is ambiguous: identified by the server routine that raises them, or by their English text.
# https://www.postgresql.org/docs/16/protocol-error-fields.html
PLAN_CHANGED = ("0A000", "RevalidateCachedQuery", "cached plan must not change")
CATALOGUE_CHANGED = ("XX000", "simple_heap_", "tuple concurrently ")
ROWS_HIDDEN = ("42501", "check_enable_rls", "query would be affected by row-level security")

# Statements of each run and each request. They find their rows by a key, so one plan is right for all values, and
# Postgres may keep it: planning costs more than such a statement.
PLANNED_ONCE = frozenset(
    (
        *("claim_slice", "save_progress", "end_slice", "end_run", "insert_run", "is_cancelled"),
        *("find_api_key", "find_session", "get_run", "claim_outbox", "end_outbox_attempt"),
    )
)
# Other statements are planned with their values: optional filters only fold away if the planner knows them. Postgres
# does so for the first five uses of a prepared statement (choose_custom_plan in its plancache.c); then it is prepared
# anew.
PLANNED_WITH_VALUES = 5

# Detail, context and internal query of an error. They quote rows and keys, which must not appear in a log.
# https://www.postgresql.org/docs/16/protocol-error-fields.html
QUOTING = ("D", "W", "q")


@cache
def sql_directory() -> Path:
    """Return the folder of platform/, jobs/ and queries/. It is beside this package, in Lambda as well."""
    return Path(__file__).parents[2] / "sql"


@cache
def query_files() -> dict[str, Path]:
    """Return the file of each query by its name: those of all subjects in sql/queries, and those beside each job.

    Raises BadQuery if two files have one name: a job's query must not replace another one.
    """
    roots = (sql_directory() / "queries", Path(__file__).parents[2] / "nightshift_jobs")
    files: dict[str, Path] = {}
    for path in (Path(folder, name) for root in roots for folder, _, names in os.walk(root) for name in names):
        if path.suffix == ".sql" and files.setdefault(path.stem, path) != path:
            raise BadQuery(f"Two queries are called {path.stem}: {files[path.stem]} and {path}. Rename one of them")
    return files


@cache
def query_text(name: str) -> str:
    """Return the statement in the file <name>.sql. Raises BadQuery if there is none."""
    if name not in query_files():
        raise BadQuery(f"Unknown query {name}: {name}.sql is neither in sql/queries nor beside a job")
    return query_files()[name].read_text()


@cache
def _parsed(query: str) -> Statement:
    return parse(query)


@dataclass
class _Prepared:
    """A statement that the server has prepared, with the name and the column readers that the driver assigned."""

    name: bytes
    text: str
    columns: list[dict[str, Any]] | None
    readers: list[Any]
    uses: int = 0


class Database:
    """A connection that is opened on first use and reopened after it was lost.

    Threads may share it: each statement uses the connection exclusively until the last row of its result.
    ``statements`` counts round trips, for tests that limit them.
    """

    def __init__(self, config: Settings, **startup_params: str):
        self._config = config
        self._startup_params = startup_params
        self._connection: Connection | None = None
        self._prepared: dict[str, _Prepared] = {}
        self._turn = threading.RLock()
        self.in_transaction = False
        """Stays true after the connection is lost, until rollback or close: later statements must not commit alone."""
        self.statements = 0

    def query(self, name: str, /, *, again_if_gone: bool = False, **params: Any) -> list[dict[str, Any]]:
        """Run the query in the file <name>.sql and return its rows. Dicts are passed as JSON text.

        If two columns have one name, the row has the later one: ``SELECT run.*, home.team_id`` overrides a column.

        Set ``again_if_gone`` for the first statement of an invocation: the environment may have been frozen for an hour
        while its connection died, or an earlier invocation may have left a transaction open. Only use it for statements
        that may take effect twice.

        Raises BadQuery before anything is sent; DatabaseGone if the connection was lost; DatabaseBusy if the statement
        was rolled back for a temporary reason; RowsHidden if row-level security would hide rows; SignInRefused if the
        server refuses the role; and for everything else pg8000's DatabaseError, without the fields that quote a row's
        values.
        """
        statement = _checked(name, params)
        values = [
            json.dumps(value) if isinstance(value, dict) else value
            for value in (params[parameter] for parameter in statement.names)
        ]
        with self._turn:
            if again_if_gone and self.in_transaction:
                self.close()
            self._leave_stray_transaction()
            # In a transaction, earlier statements would be lost. On a new connection, a retry would fail again.
            may_repeat = self._connection is not None and not self.in_transaction
            try:
                return self._run_prepared(name, statement, values)
            except (SessionUnfit, _PlanChanged):
                if not may_repeat:
                    raise
            except DatabaseGone:
                if not (may_repeat and again_if_gone):
                    raise
            except DatabaseError as exc:
                if not (may_repeat and fields_of(exc).get("C") in DOUBTFUL):
                    raise
                self.close()
            return self._run_prepared(name, statement, values)

    def one(self, name: str, /, *, again_if_gone: bool = False, **params: Any) -> dict[str, Any] | None:
        """Return the first row of ``query``, or None."""
        rows = self.query(name, again_if_gone=again_if_gone, **params)
        return rows[0] if rows else None

    def query_as(self, kind: type[Typed], name: str, /, *, again_if_gone: bool = False, **params: Any) -> list[Typed]:
        """Return the rows of ``query`` as ``kind``, a NamedTuple whose fields are columns (typed_rows.py)."""
        return [typed(kind, row) for row in self.query(name, again_if_gone=again_if_gone, **params)]

    def one_as(self, kind: type[Typed], name: str, /, *, again_if_gone: bool = False, **params: Any) -> Typed | None:
        """Return the first row of ``query_as``, or None."""
        row = self.one(name, again_if_gone=again_if_gone, **params)
        return None if row is None else typed(kind, row)

    def run_script(self, script: str) -> list[Any]:
        """Run one or more SQL statements without parameters. For migrations and DDL only."""
        with self._turn, self._translated_errors():
            self.statements += 1
            return self._connected().run(script) or []

    def require_writable(self) -> None:
        """Raise DatabaseReadOnly if a new session is read-only, too. Also raises the errors of ``query``."""
        for _ in range(2):
            if not self.query("ping", again_if_gone=True)[0]["only_reads"]:
                return
            self.close()
        raise DatabaseReadOnly

    def sibling(
        self, *, user: str | None = None, host: str | None = None, port: int = 5432, **startup_params: str
    ) -> "Database":
        """Return another connection to the same database, optionally as ``user``, or past a pooler at ``host``."""
        config = replace(self._config, database_user=user or self._config.database_user)
        if host:
            config = replace(config, database_host=host, database_port=port, database_server_name="")
        return Database(config, **startup_params)

    def connect(self) -> None:
        """Open the connection now. Raises SignInRefused or DatabaseGone."""
        with self._turn, self._translated_errors():
            self._connected()

    def begin(self) -> None:
        with self._turn:
            self._leave_stray_transaction()
            kept = self._connection is not None
            try:
                self.run_script("BEGIN")
            except DatabaseGone:
                if not kept or self.in_transaction:
                    raise
                self.run_script("BEGIN")
            self.in_transaction = True

    def commit(self) -> None:
        """Commit. Raises DatabaseGone if it is unknown whether the commit took effect."""
        with self._turn:
            try:
                self.run_script("COMMIT")
            finally:
                self.in_transaction = False

    def rollback(self) -> None:
        """Roll the open transaction back. If that fails, close the connection, which has the same effect."""
        with self._turn:
            try:
                if self.in_transaction and self._connection is not None:
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
        with self._turn:
            self._disconnect()
            self.in_transaction = False

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared.clear()
        if connection is not None:
            connection.close()

    def _run_prepared(self, name: str, statement: Statement, values: list[Any]) -> list[dict[str, Any]]:
        with self._translated_errors(name):
            connection = self._connected()
            prepared = self._prepared.get(name)
            if prepared is None:
                server_name, answer = connection.prepare_named(statement.text)
                prepared = self._prepared[name] = _Prepared(
                    server_name, statement.text, answer.columns, answer.input_funcs
                )
            self.statements += 1
            prepared.uses += 1
            is_anew = prepared.uses > PLANNED_WITH_VALUES and name not in PLANNED_ONCE
            if is_anew:
                connection.prepare_with_next(prepared.name, prepared.text)
            result = connection.execute_named(
                prepared.name,
                make_params(connection.py_types, values),
                prepared.columns,
                prepared.readers,
                prepared.text,
            )
            if is_anew:
                prepared.columns, prepared.readers, prepared.uses = result.columns, result.input_funcs, 1
        names = [column["name"] for column in prepared.columns or []]
        return [dict(zip(names, row, strict=True)) for row in result.rows or []]

    def _leave_stray_transaction(self) -> None:
        """Close a session whose open transaction was not begun here: nothing would ever commit it."""
        if self._connection and self._connection.is_in_transaction and not self.in_transaction:
            self._disconnect()

    def _connected(self) -> Connection:
        if self._connection is None and self.in_transaction:
            raise DatabaseGone("Lost the database connection in the middle of a transaction")
        if self._connection is None:
            self._connection = connect(self._config, self._startup_params)
        return self._connection

    @contextmanager
    def _translated_errors(self, name: str | None = None) -> Iterator[None]:
        """Translate the driver's errors. ``name`` is the query, whose prepared statement may have to be dropped."""
        try:
            yield
        except DatabaseError as exc:
            translated = self._translated(exc, name)
            if translated is None:
                raise
            raise translated from exc
        except (InterfaceError, OSError) as exc:
            said = self._connection.last_words() if self._connection else None
            self._disconnect()
            raise DatabaseGone(f"Lost the database connection: {said or reason_of(exc)}") from exc
        except Exception as exc:
            if self._connection is None or isinstance(exc, UnicodeEncodeError):
                raise  # nothing was sent
            # The driver stopped in the middle of an answer: the next statement would receive the rest of it.
            self._disconnect()
            kind = type(exc).__name__  # its text may quote a row
            raise DatabaseGone(f"Lost the database connection: the driver could not read the answer ({kind})") from exc

    def _translated(self, exc: DatabaseError, name: str | None) -> NightshiftError | None:
        """Return our error for the server's, or None to keep it. Disconnect if the session is over or unusable."""
        if exc.args and isinstance(exc.args[0], dict):
            exc.args = ({field: value for field, value in exc.args[0].items() if field not in QUOTING},)
        detail = fields_of(exc)
        state, message = detail.get("C", ""), detail.get("M", str(exc))
        if state in UNFIT or (state == FAILED_TRANSACTION and not self.in_transaction):
            self._disconnect()
            if state == READ_ONLY:
                return DatabaseReadOnly(f"The database can only be read at the moment: {message}")
            return SessionUnfit(f"The database session was unusable: {message}")
        if state.startswith(GONE) or detail.get("V") in FATAL:
            self._disconnect()
            return DatabaseGone(f"Lost the database connection: {message}")
        if state in BUSY:
            busy = DatabaseLocked if state in LOCKED else DatabaseBusy
            return busy(f"The database was busy: {message}")
        if state.startswith(EXHAUSTED):
            return DatabaseExhausted(f"The database is short of disk, memory or connections: {message}")
        if _is(detail, PLAN_CHANGED):
            self._prepared.pop(name or "", None)
            return _PlanChanged(f"The database was busy: {message}")
        if _is(detail, CATALOGUE_CHANGED):
            return DatabaseBusy(f"The database was busy: {message}")
        if _is(detail, ROWS_HIDDEN):
            return RowsHidden(
                f"Row-level security hides rows from {self._config.database_user}: {message}. As a superuser: "
                f"ALTER ROLE {self._config.database_user} BYPASSRLS"
            )
        return None


class _PlanChanged(DatabaseBusy):
    """A table has changed since the statement was prepared"""


def _is(fields: dict[str, str], kind: tuple[str, str, str]) -> bool:
    code, routine, words = kind
    return fields.get("C") == code and (
        fields.get("R", "").startswith(routine) or fields.get("M", "").startswith(words)
    )


def _checked(name: str, params: dict[str, Any]) -> Statement:
    try:
        statement = _parsed(query_text(name))
    except (EngineCommand, NumberedParameter) as exc:
        raise BadQuery(f"Query {name} cannot be used: {name}.sql, {exc}") from exc
    wanted = frozenset(statement.names)
    if params.keys() != wanted:
        wrong = {"missing": wanted - params.keys(), "unknown": params.keys() - wanted}
        said = "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in wrong.items() if names)
        raise BadQuery(f"Query {name} was called with the wrong parameters; {said}")
    return statement


@cache
def database() -> Database:
    """Return the connection of this execution environment. It is kept between invocations."""
    return Database(settings())

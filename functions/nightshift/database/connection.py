"""Opens connections, parses dates, and reads the server's reason for ending a session."""

import hashlib
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pg8000.native
from pg8000.converters import _array_in
from pg8000.core import CLOSE, STATEMENT, SYNC, Context
from pg8000.exceptions import DatabaseError, InterfaceError

from nightshift.base.errors import ConfigurationError, DatabaseGone, SignInRefused
from nightshift.base.settings import Settings
from nightshift.database.signin import passwords_for

CONNECT_TIMEOUT_S = 5

# Hosts that may be reached in plain text, because nothing leaves the machine. Containers use the last name.
THIS_MACHINE = ("127.0.0.1", "localhost", "::1", "host.docker.internal")

# SQLSTATEs after which another attempt to connect may succeed: network errors (08), a server that starts, stops or
# recovers (57P), and no free slot (53). All other errors concern the role, its password or the database.
# https://www.postgresql.org/docs/16/errcodes-appendix.html
PASSING = ("08", "57P", "53")
SIGN_IN_REFUSED = "28"

# Severities after which the server closes the connection.
FATAL = ("FATAL", "PANIC")


def fields_of(exc: DatabaseError) -> dict[str, str]:
    """Return the fields of the server's error: https://www.postgresql.org/docs/16/protocol-error-fields.html"""
    return exc.args[0] if exc.args and isinstance(exc.args[0], dict) else {}


class Connection(pg8000.native.Connection):
    """pg8000's connection, which also parses every timestamp and reads the reason when the server ends the session."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for oid, array_oid, read in (
            (pg8000.native.DATE, 1182, _reader(date.fromisoformat, date.min, date.max)),
            (pg8000.native.TIMESTAMP, 1115, _reader(datetime.fromisoformat, datetime.min, datetime.max)),
            (pg8000.native.TIMESTAMPTZ, 1185, _reader(datetime.fromisoformat, EARLIEST, LATEST)),
        ):
            self.register_in_adapter(oid, read)
            self.register_in_adapter(array_oid, _array_in(read))

    @property
    def is_in_transaction(self) -> bool:
        """Whether the server's last response reported an open transaction."""
        return self._transaction_status not in (None, b"I")

    def handle_ERROR_RESPONSE(self, data: bytes, context: Context) -> None:
        """Raise a FATAL error at once: the server then closes the connection, and the driver would report only that."""
        super().handle_ERROR_RESPONSE(data, context)
        if fields_of(context.error).get("V") in FATAL:
            raise context.error

    def prepare_named(self, text: str) -> tuple[bytes, Context]:
        """Prepare the statement. Return its name and the answer.

        The name follows from the text. Behind a pooler, the next execution may reach a session in which another client
        has prepared its statements: under the same name, it has prepared the same statement. The driver's own names are
        numbers, by which another statement would run.
        """
        name = b"nightshift_" + hashlib.sha256(text.encode()).hexdigest()[:32].encode() + b"\x00"
        self.prepare_with_next(name, text)
        self._send_message(SYNC, b"")
        if self._sock is None:
            raise InterfaceError("connection is closed")
        self._sock.flush()
        answer = Context(text)
        self.handle_messages(answer)
        return name, answer

    def prepare_with_next(self, name: bytes, text: str) -> None:
        """Prepare the statement anew under its name, in the round trip of its next execution."""
        self._send_message(CLOSE, STATEMENT + name)
        self.send_PARSE(name, text)
        self.send_DESCRIBE_STATEMENT(name)

    def last_words(self) -> str | None:
        """Return the server's reason for ending the session, which is still unread if a write failed. Never blocks."""
        try:
            self._usock.settimeout(0)
            self.handle_messages(Context(None))
        except DatabaseError as exc:
            return fields_of(exc).get("M")
        except Exception:
            return None
        return None

    def close(self) -> None:
        """Close the connection and its stream: Python 3.13 warns about a stream with unsent data. Never raises."""
        stream = self._sock
        with suppress(InterfaceError, OSError):
            super().close()
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()


EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _reader(parse: Callable[[str], date], earliest: date, latest: date) -> Callable[[str], date]:
    """Return a parser that accepts ISO 8601 only: guessing another DateStyle could silently swap day and month.

    Postgres has ``infinity``, years after 9999 and years BC. These become Python's first or last date, so that they
    still sort before or after all others.
    """

    def read(text: str) -> date:
        try:
            return parse(text)
        except ValueError:
            if text == "-infinity" or text.endswith(" BC"):
                return earliest
            if text == "infinity" or text.partition("-")[0][4:].isdigit():
                return latest
        raise InterfaceError("it sent a date that is not ISO 8601. Set its DateStyle to ISO")

    return read


def connect(config: Settings, startup_params: dict[str, str]) -> Connection:
    """Open a connection.

    Raises SignInRefused if the server refuses the role, its password or the database; DatabaseGone if another attempt
    may succeed; ConfigurationError if the server's certificate would not be verified.
    """
    if not config.database_ca_file and config.database_host not in THIS_MACHINE:
        raise ConfigurationError(
            f"DATABASE_CA_FILE is not set: the connection to {config.database_host} would not be verified"
        )
    refused: list[DatabaseError] = []
    try:
        for password in passwords_for(config):
            try:
                return _open(config, startup_params, password)
            except DatabaseError as exc:
                refused.append(exc)
                if not fields_of(exc).get("C", "").startswith(SIGN_IN_REFUSED):
                    break
        raise _refusal(refused, config) from refused[-1]
    except (InterfaceError, OSError) as exc:
        raise DatabaseGone(f"Cannot connect to the database at {_place(config)}: {reason_of(exc)}") from exc


def reason_of(exc: Exception) -> str:
    """Return the operating system's error message, which the driver hides behind ``network error``."""
    cause = exc.__cause__ or exc
    said = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return "the server closed it without a reason" if said == "network error" else said


def _refusal(refused: Sequence[DatabaseError], config: Settings) -> DatabaseGone | SignInRefused:
    """Return our error for the last attempt. If sign-in was refused, it gives the reasons of all attempts.

    With several passwords, the last may simply be wrong, and the first was refused for the reason that matters.
    """
    state, message = fields_of(refused[-1]).get("C", ""), _message_of(refused[-1])
    if state.startswith(PASSING):
        return DatabaseGone(f"Cannot connect to the database at {_place(config)}: {message}")
    if state.startswith(SIGN_IN_REFUSED):
        message = "; ".join(dict.fromkeys(map(_message_of, refused)))
        advice = {
            "iam": "Check that the role exists, is a member of rds_iam, and that the function's policy allows "
            "rds-db:connect for it.",
            "none": "Check that the role exists, its password (DATABASE_PASSWORD) and pg_hba.conf.",
        }.get(
            config.database_auth,
            "Check that the role exists, that it may log in, and that the secret holds its password.",
        )
    elif state == "3D000":
        advice = "Create the database, or correct DATABASE_NAME."
    elif state == "42501":
        advice = f"As the database's owner: GRANT CONNECT ON DATABASE {config.database_name} TO {config.database_user}"
    else:
        advice = "Correct this on the server or in the role's settings."
    return SignInRefused(
        f"The database at {_place(config)} does not let {config.database_user} sign in: {message}. {advice}"
    )


def _message_of(exc: DatabaseError) -> str:
    return fields_of(exc).get("M", str(exc))


def _place(config: Settings) -> str:
    return f"{config.database_host}:{config.database_port}"


def _open(config: Settings, startup_params: dict[str, str], password: str | None) -> Connection:
    # The driver has one timeout for connecting and reading. A host that does not respond must be detected sooner.
    connection = socket.create_connection((config.database_host, config.database_port), timeout=CONNECT_TIMEOUT_S)
    connection.settimeout(config.database_timeout_s)
    # The driver sends a statement in pieces. Without this, the last piece of a large one waits until the server has
    # acknowledged the others, which it may delay by 40 ms.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: data unacknowledged for this long means a dead connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(config.database_timeout_s * 1000))
    try:
        return Connection(
            config.database_user,
            # Only for the server's certificate: the connection is open.
            host=config.database_server_name or config.database_host,
            sock=connection,
            database=config.database_name,
            # Without a password, the driver would fail by itself when the server asks for one.
            password=password or "",
            # pg8000's default silently falls back to plain text, and True does not verify, so pass a context or False.
            ssl_context=ssl.create_default_context(cafile=config.database_ca_file)
            if config.database_ca_file
            else False,
            application_name="nightshift",
            startup_params=startup_params or None,
        )
    except BaseException:
        connection.close()
        raise

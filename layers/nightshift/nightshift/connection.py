"""How a connection is opened, what it reads, and what a server that ends it says last."""

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pg8000.native
from pg8000.converters import _array_in
from pg8000.core import Context
from pg8000.exceptions import DatabaseError, InterfaceError

from nightshift.errors import ConfigurationError, DatabaseGone, SignInRefused
from nightshift.settings import Settings
from nightshift.signin import passwords_for

CONNECT_TIMEOUT_S = 5

# What may be talked to in plain text: nothing leaves the machine. The last is how a container calls it.
THIS_MACHINE = ("127.0.0.1", "localhost", "::1", "host.docker.internal")

# SQLSTATEs of a connection that another attempt may get: the network (08), a server that starts, stops or recovers
# (57P), and no free slot (53). Every other answer to a sign-in is about the role, its password or the database.
# https://www.postgresql.org/docs/16/errcodes-appendix.html
PASSING = ("08", "57P", "53")
SIGN_IN_REFUSED = "28"

# Severities after which the server hangs up.
FATAL = ("FATAL", "PANIC")


def fields_of(exc: DatabaseError) -> dict[str, str]:
    """The fields of the server's error: https://www.postgresql.org/docs/16/protocol-error-fields.html"""
    return exc.args[0] if exc.args and isinstance(exc.args[0], dict) else {}


class Connection(pg8000.native.Connection):  # type: ignore[misc]
    """pg8000's, which reads every timestamp and hears the reason when the server ends the session."""

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
        """As the server said with its last answer."""
        return self._transaction_status not in (None, b"I")

    def handle_ERROR_RESPONSE(self, data: bytes, context: Context) -> None:
        """Raise a FATAL error at once: the server hangs up after it, and the driver would report the silence."""
        super().handle_ERROR_RESPONSE(data, context)
        if fields_of(context.error).get("V") in FATAL:
            raise context.error

    def last_words(self) -> str | None:
        """The server's reason for ending the session, which waits unread where a write failed; never blocks."""
        try:
            self._usock.settimeout(0)
            self.handle_messages(Context(None))
        except DatabaseError as exc:
            return fields_of(exc).get("M")
        except Exception:
            return None
        return None

    def close(self) -> None:
        """Never raises. The stream is closed too: Python 3.13 complains of one that still has something to say."""
        stream = self._sock
        with suppress(InterfaceError, OSError):
            super().close()
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()


EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _reader(parse: Callable[[str], date], earliest: date, latest: date) -> Callable[[str], date]:
    """Read ISO 8601 alone: a guess at another DateStyle would swap day and month in silence.

    Postgres knows ``infinity``, years beyond 9999 and years before Christ. These become the nearest that Python has, so
    that they keep their place before or after every other date.
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
    """Raises SignInRefused where the server knows no such role, password or database, DatabaseGone where another
    attempt may succeed, ConfigurationError where the connection would not be verified.
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
    """The sentence of the system's error where the driver hides it behind ``network error``."""
    cause = exc.__cause__ or exc
    said = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return "the server closed it without a reason" if said == "network error" else said


def _refusal(refused: Sequence[DatabaseError], config: Settings) -> DatabaseGone | SignInRefused:
    """Our error for the last of the attempts, with the reasons of all where each was refused.

    The second of two passwords may be refused for being none of the server's, and the first for the reason that counts.
    """
    state, message = fields_of(refused[-1]).get("C", ""), _message_of(refused[-1])
    if state.startswith(PASSING):
        return DatabaseGone(f"Cannot connect to the database at {_place(config)}: {message}")
    if state.startswith(SIGN_IN_REFUSED):
        message = "; ".join(dict.fromkeys(map(_message_of, refused)))
        advice = {
            "iam": "Check that the role exists, is a member of rds_iam, and that the function's policy allows "
            "rds-db:connect for it.",
            "secret": "Check that the role exists, that it may log in, and that the secret holds its password.",
        }.get(config.database_auth, "Check that the role exists, its password (DATABASE_PASSWORD) and pg_hba.conf.")
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
    # Two time limits that the driver knows as one: a host that does not answer must be told apart early.
    connection = socket.create_connection((config.database_host, config.database_port), timeout=CONNECT_TIMEOUT_S)
    connection.settimeout(config.database_timeout_s)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: unacknowledged data for so long is a dead connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(config.database_timeout_s * 1000))
    try:
        return Connection(
            config.database_user,
            host=config.database_host,
            sock=connection,
            database=config.database_name,
            # Without one the driver would stumble over a server that asks for it, before the server can refuse.
            password=password or "",
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

from collections.abc import Callable, Sequence
from socket import socket
from ssl import SSLContext
from typing import Any, BinaryIO, Literal

from pg8000.core import Context
from pg8000.exceptions import DatabaseError as DatabaseError
from pg8000.exceptions import InterfaceError as InterfaceError

DATE: int
TIMESTAMP: int
TIMESTAMPTZ: int

class Connection:
    py_types: dict[type, Callable[[object], object]]
    _transaction_status: bytes | None
    _usock: socket
    _sock: BinaryIO | None
    def __init__(
        self,
        user: str,
        host: str | None = ...,
        database: str | None = ...,
        port: int = ...,
        password: str | None = ...,
        *,
        ssl_context: SSLContext | Literal[False] | None = ...,
        application_name: str | None = ...,
        startup_params: dict[str, str] | None = ...,
        sock: socket | None = ...,
        unix_sock: str | None = ...,
        timeout: float | None = ...,
    ) -> None: ...
    def register_in_adapter(self, oid: int, adapter: Callable[[str], object]) -> None: ...
    def handle_ERROR_RESPONSE(self, data: bytes, context: Context) -> None: ...
    def handle_messages(self, context: Context) -> None: ...
    def _send_message(self, code: bytes, data: bytes) -> None: ...
    def send_PARSE(self, statement_name_bin: bytes, statement: str, oids: Sequence[int] = ...) -> None: ...
    def send_DESCRIBE_STATEMENT(self, statement_name_bin: bytes) -> None: ...
    def execute_named(
        self,
        statement_name_bin: bytes,
        params: Sequence[object],
        columns: list[dict[str, Any]] | None,
        input_funcs: list[Callable[[str], object]],
        statement: str,
    ) -> Context: ...
    # None for a statement without rows, which our callers do not look at.
    def run(self, sql: str, stream: object = ..., types: object = ..., **params: object) -> list[list[Any]]: ...
    def close(self) -> None: ...

def literal(value: object) -> str: ...

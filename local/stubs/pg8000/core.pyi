from collections.abc import Callable
from typing import Any

from pg8000.exceptions import DatabaseError

CLOSE: bytes
STATEMENT: bytes
SYNC: bytes

class Context:
    rows: list[list[object]] | None
    columns: list[dict[str, Any]]
    input_funcs: list[Callable[[str], object]]
    error: DatabaseError  # set by handle_ERROR_RESPONSE
    def __init__(self, statement: str | None) -> None: ...

from pg8000.exceptions import DatabaseError

class Context:
    rows: list[list[object]] | None
    error: DatabaseError  # set by handle_ERROR_RESPONSE
    def __init__(self, statement: str | None) -> None: ...

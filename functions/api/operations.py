"""Operations of the API: a decorator beside each handler declares its route and its entry in the OpenAPI document."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.parsing import MAX_LISTED, MAX_SEARCH

# Statuses of errors.
USUAL = (400, 401, 403, 404)
OF_A_RUN = (*USUAL, 409, 422)

# A query parameter: its name, its description and its schema.
Parameter = tuple[str, str, dict[str, Any]]

TEXT = {"type": "string"}
# Postgres cannot store NUL.
SEARCHED = TEXT | {"pattern": r"^[^\u0000]*$"}
UUID = TEXT | {"format": "uuid"}
MOMENT = {"anyOf": [TEXT | {"format": "date-time"}, TEXT | {"pattern": "^[0-9]{1,5}[smhdw]$"}]}
WINDOW = "ISO 8601, or relative to now: 30s, 30m, 1h, 7d, 2w"
CURSOR = "The cursor that the previous page returned"


@dataclass(frozen=True)
class Operation:
    """One operation. Models are named and not imported: only the document needs them, and pydantic imports slowly."""

    method: str
    path: str
    handler: Callable[..., Any]
    """Receives the Request and the ids in the path, and returns the body of the answer, or a Response."""
    summary: str
    answer: str | None = None
    """The name in schemas.py of the answer's model. None: the document does not mention the operation."""
    status: int = 200
    body: str | None = None
    """The name in bodies.py of the model of the request's body."""
    query: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = USUAL
    makes_a_run: bool = False
    is_limited: bool = False
    """Whether the handler itself may answer 429, beside API Gateway."""
    needs_token: bool = True


def operation(method: str, path: str, **entry: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Make an Operation of a handler. ``entry`` holds the operation's other fields."""
    return lambda handler: Operation(method, path, handler, **entry)


def searched(what: str) -> tuple[Parameter, ...]:
    """Return the query parameters of a list whose length grows with the team."""
    most = {"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "default": MAX_LISTED}
    return (
        ("q", f"Only {what}", SEARCHED | {"maxLength": MAX_SEARCH}),
        ("limit", f"Maximum number of entries, 1 to {MAX_LISTED:,} (the default)", most),
    )

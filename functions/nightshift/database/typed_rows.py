"""Rows with types: a query's row becomes a NamedTuple, whose fields are the columns that the code reads."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple, TypeVar, get_args

from nightshift.base.errors import BadQuery

Typed = TypeVar("Typed", bound=NamedTuple)


def typed(kind: type[Typed], row: Mapping[str, object]) -> Typed:
    """Return the row as ``kind``, by the names of the columns. Columns that it does not have are ignored.

    A field whose type is itself a NamedTuple is filled from the same row; it is None if its first column is null, as
    after a LEFT JOIN. Raises BadQuery if a column is missing.
    """
    return kind._make(_value(name, inner, row) for name, inner in _fields(kind))


def _value(name: str, inner: type[NamedTuple] | None, row: Mapping[str, object]) -> object:
    if inner:
        return None if _value(*_fields(inner)[0], row) is None else typed(inner, row)
    if name not in row:
        raise BadQuery(f"The query returns no column {name}. Add it to the query or to the view that it reads")
    return row[name]


@cache
def _fields(kind: type[NamedTuple]) -> list[tuple[str, type[NamedTuple] | None]]:
    """Return the name of each field, with the NamedTuple that it holds, if any."""
    return [(name, _inner(kind.__annotations__[name])) for name in kind._fields]


def _inner(annotation: object) -> type[NamedTuple] | None:
    """``RunRow`` and ``RunRow | None`` → RunRow; any other type → None."""
    return next((part for part in (annotation, *get_args(annotation)) if hasattr(part, "_fields")), None)

"""The base of all models of parameters, which are validated on a trigger and published as JSON Schema."""

import math
import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

WHOLE = re.compile(r"[+-]?[0-9]{1,300}", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)


class NoParams(BaseModel):
    """This job type takes no parameters."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _read_text(cls, given: Any, info: ValidationInfo) -> Any:
        """Convert a boolean or a number that was sent as text: some clients send every value as text."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        return given if not isinstance(given, str) or str in kinds else _value_of(given.strip(), kinds, otherwise=given)


def _value_of(text: str, kinds: set[Any], *, otherwise: Any) -> Any:
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if int in kinds and WHOLE.fullmatch(text):
        return int(text)
    if float in kinds and NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return otherwise


def _kinds(annotation: Any) -> set[Any]:
    """Return the plain types that a field accepts: ``{int, NoneType}`` for ``Annotated[int, Ge(1)] | None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return {kind for each in get_args(annotation) for kind in _kinds(each)}
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    return {annotation}

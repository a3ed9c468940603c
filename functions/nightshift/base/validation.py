"""Validate input. A message about invalid input is one sentence that names the field and the value."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from nightshift.base.addresses import BadAddress, ascii_address
from nightshift.base.errors import Refused

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")

# Characters that JSON can hold and Postgres cannot: NUL, and half of a surrogate pair.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Fields whose values a message must not repeat: it may end up in a terminal's history or in a CI log.
SECRET = {"revenuecat_key", "ends", "prefix"}
# By pydantic's type of error. https://docs.pydantic.dev/latest/errors/validation_errors/
WHOLE, SWITCH, UUID = "must be a whole number", "must be true or false", "must be a UUID"
NUMBER = "must be a number"
MUST = {
    "bool_parsing": SWITCH,
    "bool_type": SWITCH,
    "dict_type": "must be a JSON object",
    "finite_number": NUMBER,
    "float_parsing": NUMBER,
    "float_type": NUMBER,
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": WHOLE,
    "int_parsing": WHOLE,
    "int_type": WHOLE,
    "less_than_equal": "must be {le} or less",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} character",
    "string_type": "must be text",
    "uuid_parsing": UUID,
    "uuid_type": UUID,
}


def validate(model: "type[Model]", value: object, *, prefix: str = "", quoting: bool = True) -> "Model":
    """Validate with the model. Raise Refused with the first invalid field.

    Without ``quoting``, nothing of the value is repeated, and the error names the field in ``field``.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(value)
    except ValidationError as exc:
        if quoting:
            raise Refused(refusal(exc, prefix=prefix, model=model)) from None
        said, field = unquoted(exc, prefix=prefix)
        raise Refused(said, field=field) from None


def parse_text(field: str, value: str | None) -> str | None:
    """Return the text. Raise Refused if Postgres cannot store it."""
    if value is not None and UNSTORABLE.search(value):
        got = "" if field in SECRET else f", got {shown(value)}"
        raise Refused(f"{field} must not contain NUL characters or broken surrogate pairs{got}")
    return value


def parse_uuid(field: str, value: object) -> str:
    """Return the id in its canonical spelling."""
    try:
        if isinstance(value, str) and len(value) == 36:
            return str(uuid.UUID(value))
    except ValueError:
        pass
    raise Refused(f"{field} must be a UUID, got {shown(value)}")


def refusal(exc: "ValidationError", *, prefix: str = "", model: "type[BaseModel] | None" = None) -> str:
    """Return a message about the first error. ``prefix`` is put before the field: ``params`` makes ``params.x``.

    With a ``model``, the message about an unknown field lists the known ones.
    """
    first = exc.errors(include_url=False)[0]
    field = clipped(".".join(str(part) for part in (*filter(None, [prefix]), *first["loc"])) or "body")
    kind, limits = first["type"], first.get("ctx", {})
    if kind == "missing":
        return f"{field} is required"
    got = "" if field in SECRET else f", got {shown(first['input'])}"
    known = _known(model) if model and kind == "extra_forbidden" and len(first["loc"]) == 1 else ""
    return f"{field}{_reason(kind, limits, said=first['msg'])}{got}{known}"


def unquoted(exc: "ValidationError", *, prefix: str = "") -> tuple[str, str]:
    """Return a message about the first error that repeats nothing of the input, and the field's name.

    The name of an unknown field is the caller's own text, so it is left out, too.
    """
    first = exc.errors(include_url=False, include_input=False)[0]
    kind, is_unknown = first["type"], first["type"] == "extra_forbidden"
    places = first["loc"][:-1] if is_unknown else first["loc"]
    field = ".".join(str(part) for part in (*filter(None, [prefix]), *places)) or "body"
    if is_unknown:
        return f"{field} has a field that is not known", field
    if kind == "missing":
        return f"{field} is required", field
    return f"{field}{_reason(kind, first.get('ctx', {}), said=first['msg'])}", field


def shown(value: object) -> str:
    """Return the value as JSON for a message; a long one is cut."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "a deeply nested value"
    return clipped(text)


def clipped(text: str) -> str:
    """Return the caller's text, cut to the length that a message repeats."""
    return text if len(text) <= 80 else text[:77] + "…"


def is_mail_address(text: str) -> bool:
    """Return whether ``text`` has the form of a mail address. It may still not exist."""
    try:
        return bool(ascii_address(text))
    except BadAddress:
        return False


def _known(model: "type[BaseModel]") -> str:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return f". Known: {', '.join(names)}" if names else ". It takes none."


def _reason(kind: str, limits: Mapping[str, Any], *, said: str) -> str:
    if kind == "extra_forbidden":
        return " is not a known field"
    if kind == "literal_error":
        choices = str(limits["expected"]).replace(" or ", ", ").replace("'", "")
        return f" must be one of {choices}"
    if kind in MUST:
        return f" {MUST[kind].format(**limits)}"
    return f": {said[0].lower()}{said[1:]}"

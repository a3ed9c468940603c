"""What somebody sent that is not what it should be, in one sentence that names the field and the value."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nightshift.addresses import BadAddress, ascii_address

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

# What a sentence must not repeat: it ends in a terminal's history, or in a log of somebody's CI.
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


def refusal(exc: "ValidationError", *, prefix: str = "", model: "type[BaseModel] | None" = None) -> str:
    """Name the first thing that is wrong; ``prefix`` stands before its field, as ``params`` does in ``params.x``.

    With the ``model``, an unknown field is told beside those that exist.
    """
    first = exc.errors(include_url=False)[0]
    field = clipped(".".join(str(part) for part in (*filter(None, [prefix]), *first["loc"])) or "body")
    kind, limits = first["type"], first.get("ctx", {})
    if kind == "missing":
        return f"{field} is required"
    got = "" if field in SECRET else f", got {shown(first['input'])}"
    known = _known(model) if model and kind == "extra_forbidden" and len(first["loc"]) == 1 else ""
    return f"{field}{_reason(kind, limits, said=first['msg'])}{got}{known}"


def shown(value: object) -> str:
    """The value as it goes into a sentence: JSON, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "something nested very deep"
    return clipped(text)


def clipped(text: str) -> str:
    """Of a caller's text, as much as a sentence repeats."""
    return text if len(text) <= 80 else text[:77] + "…"


def is_mail_address(text: str) -> bool:
    """Whether it could be one; whether a person reads there only a mail can tell."""
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

"""A job's parameters as a table, made from its JSON Schema."""

from typing import Any

from nightshift_cli.base.text import clean

HEADERS = ("PARAM", "TYPE", "DEFAULT", "DESCRIPTION")


def param_rows(schema: object) -> list[list[object]]:
    """Return rows in the order of HEADERS; [] if there are no parameters."""
    if not isinstance(schema, dict) or not isinstance(properties := schema.get("properties"), dict):
        return []
    required = schema["required"] if isinstance(schema.get("required"), list) else []
    definitions = schema["$defs"] if isinstance(schema.get("$defs"), dict) else {}
    rows: list[list[object]] = []
    for name, told in properties.items():
        if isinstance(told, dict):
            default = "required" if name in required else clean(told.get("default"))
            rows.append([name, _kind(told, definitions), default, told.get("description") or told.get("title")])
    return rows


def _kind(told: Any, definitions: dict[str, Any]) -> str:
    """Return a type such as ``boolean``, ``a | b`` or ``array of string``; ``any`` for other schemas."""
    if not isinstance(told, dict):
        return "any"
    if isinstance(reference := told.get("$ref"), str):
        # Remove the definition from the lookup, so that a recursive one ends.
        name = reference.rpartition("/")[2]
        return _kind(definitions.get(name), {key: of for key, of in definitions.items() if key != name})
    if isinstance(choices := told.get("enum"), list):
        return " | ".join(clean(choice) for choice in choices)
    if isinstance(kinds := told.get("anyOf"), list):
        return " | ".join(_kind(kind, definitions) for kind in kinds)
    if told.get("type") == "array":
        return f"array of {_kind(told.get('items'), definitions)}"
    return clean(told.get("type")) or "any"

"""Expand the loops of template.yaml as AWS::LanguageExtensions does, for SAM's translator, which does not know them.

AWS fills in a loop's word in the names of the loop's resources, in ``!Sub`` and in ``!Ref``. It leaves other texts as
they are, so a placeholder there is an error.
"""

import re
from collections.abc import Mapping
from typing import Any

Template = dict[str, Any]

LOOP = "Fn::ForEach::"


class BadLoop(ValueError):
    """The template has a loop that cannot be expanded"""


def expanded(template: Template) -> Template:
    """Return the template with a copy of each loop's resources for each of its words. Raise BadLoop."""
    mappings = template.get("Mappings", {})
    return {name: _expanded(section, words={}, mappings=mappings) for name, section in template.items()}


def _expanded(node: Any, *, words: Mapping[str, str], mappings: Template) -> Any:
    match node:
        case str():
            return _without_placeholder(node, words)
        case list():
            return [_expanded(item, words=words, mappings=mappings) for item in node]
        case {"Ref": str(name)} if name in words:
            return words[name]
        case {"Fn::Sub": str() | [str(), dict()] as argument}:
            text, values = (argument, {}) if isinstance(argument, str) else argument
            return _substituted(text, _expanded(values, words=words, mappings=mappings), words)
        case {"Fn::FindInMap": keys}:
            return _found(_expanded(keys, words=words, mappings=mappings), mappings)
        case dict():
            return _members(node, words=words, mappings=mappings)
    return node


def _members(node: Template, *, words: Mapping[str, str], mappings: Template) -> Template:
    members: Template = {}
    for key, value in node.items():
        copies = _copies(key, value, words=words) if key.startswith(LOOP) else [(key, value, words)]
        for name, body, inner in copies:
            if name in members:
                raise BadLoop(f"{key} makes {name}, which exists already: choose another word or another name.")
            members[name] = _expanded(body, words=inner, mappings=mappings)
    return members


def _copies(key: str, loop: Any, *, words: Mapping[str, str]) -> list[tuple[str, Any, Mapping[str, str]]]:
    """Return the name and the body of each copy, with the words that apply in it."""
    match loop:
        case [str(variable), [*collection], dict(bodies)] if all(
            isinstance(word, str) for word in collection
        ) and not any(name.startswith(LOOP) for name in bodies):
            return [
                (_filled(name, inner), body, inner)
                for word in collection
                for inner in [{**words, variable: word}]
                for name, body in bodies.items()
            ]
    raise BadLoop(
        f"{key} must have a variable, a list of words, and resources by name with no loop inside, got {loop!r}"
    )


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)


def _without_placeholder(text: str, words: Mapping[str, str]) -> str:
    if _filled(text, words) != text:
        raise BadLoop(f"AWS does not fill in the words of a loop in {text!r}: write !Sub before it.")
    return text


def _substituted(text: str, values: Template, words: Mapping[str, str]) -> Any:
    """Fill in what is known. Return a plain text if nothing else is left: names of resources must be plain."""
    known = dict(words)
    unknown: Template = {}
    for name, value in values.items():
        match value:
            case str():
                known[name] = value
            case {"Ref": str(other)}:
                known[name] = f"${{{other}}}"
            case _:
                unknown[name] = value
    text = _filled(text, known)
    if unknown:
        return {"Fn::Sub": [text, unknown]}
    return {"Fn::Sub": text} if "${" in text else text


def _found(keys: Any, mappings: Template) -> Any:
    """Look up a value if all three keys are known. Fn::Split takes no function as its delimiter."""
    match keys:
        case [str(name), str(row), str(column)]:
            try:
                return mappings[name][row][column]
            except KeyError:
                missing = f"{name}.{row}.{column}"
                raise BadLoop(f"Mappings has no {missing}: add it, or remove {row} from its loop.") from None
    return {"Fn::FindInMap": keys}

"""The tables of mutants: a file for each subject, and a line for each mutant with its killing test or its reason."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "table"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """``killed_by`` is a test as pytest names it; ``same_because`` says why the mutant behaves like the original."""

    killed_by: str = ""
    same_because: str = ""


def read(subject: str) -> dict[str, Entry]:
    """Return the entries by mutant; none for a subject without a table. Raise ValueError for an incomplete entry."""
    path = FOLDER / f"{subject}.toml"
    if not path.exists():
        return {}
    entries = {}
    for name, fields in tomllib.loads(path.read_text()).items():
        if set(fields) not in ({"killed_by"}, {"same_because"}) or not all(fields.values()):
            raise ValueError(f"{path.name}: {name} must have either killed_by or same_because")
        entries[name] = Entry(**fields)
    return entries


def write(subject: str, entries: Mapping[str, Entry]) -> None:
    lines = [f"{_quoted(name)} = {{ {_field(entry)} }}\n" for name, entry in entries.items()]
    (FOLDER / f"{subject}.toml").write_text("".join(lines))


def _field(entry: Entry) -> str:
    if entry.same_because:
        return f"same_because = {_quoted(entry.same_because)}"
    return f"killed_by = {_quoted(entry.killed_by)}"


def _quoted(text: str) -> str:
    """Quote a string as JSON, which is also a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False)

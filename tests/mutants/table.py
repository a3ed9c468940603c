"""The tables of mutants: one file a subject, one line a mutant, with the test that kills it or why it is the same."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "table"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """``killed_by`` is a test as pytest names it, ``same_because`` what makes the mutant do as the original does."""

    killed_by: str = ""
    same_because: str = ""


def read(subject: str) -> dict[str, Entry]:
    """The entries by mutant; none where the subject has no table. Raises ValueError for an entry that says nothing."""
    path = FOLDER / f"{subject}.toml"
    if not path.exists():
        return {}
    entries = {}
    for name, fields in tomllib.loads(path.read_text()).items():
        if set(fields) not in ({"killed_by"}, {"same_because"}) or not all(fields.values()):
            raise ValueError(f"{path.name}: {name} needs either killed_by or same_because")
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
    """A basic string of TOML is written as one of JSON."""
    return json.dumps(text, ensure_ascii=False)

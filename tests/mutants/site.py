"""A mutant: a name that says what was altered, stable between releases, and the altered text."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Mutant:
    name: str
    text: str


def numbered(mutants: Iterable[Mutant]) -> list[Mutant]:
    """Number repeated names from 2 on, because a name in a table stands for one mutant."""
    seen: Counter[str] = Counter()
    found = []
    for mutant in mutants:
        seen[mutant.name] += 1
        number = seen[mutant.name]
        found.append(mutant if number == 1 else replace(mutant, name=f"{mutant.name} ({number})"))
    return found

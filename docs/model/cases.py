"""The cases of a machine: its promises hold under all rules, and each rule that is left out breaks one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from docs.model.checker import Machine


@dataclass(frozen=True)
class Knockout:
    """``rules`` that are left out together, the promise that this breaks, and the steps of the shortest schedule."""

    rules: tuple[str, ...]
    breaks: str
    steps: int
    machine: Machine[Any]

    @property
    def without(self) -> Machine[Any]:
        machine: Any = self.machine
        without: Machine[Any] = replace(machine, rules=replace(machine.rules, **dict.fromkeys(self.rules, False)))
        return without


@dataclass(frozen=True)
class Cases:
    """``holds`` are searched by each test run, ``proofs`` by `make prove`."""

    rules: type
    holds: Mapping[str, Machine[Any]]
    proofs: Mapping[str, Machine[Any]]
    knockouts: tuple[Knockout, ...]

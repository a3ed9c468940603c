"""The cases of a machine: its promises hold under all rules, and leaving out any rule breaks one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tools.model.checker import Machine


@dataclass(frozen=True)
class Knockout:
    """``rules`` that are left out together, the promise that then breaks, and the steps of the shortest schedule."""

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
    """A machine's cases. Each test run searches ``holds``; `make prove` searches ``proofs``."""

    rules: type
    holds: Mapping[str, Machine[Any]]
    proofs: Mapping[str, Machine[Any]]
    knockouts: tuple[Knockout, ...]

"""The machines by name."""

from collections.abc import Mapping

from tools.model import (
    checkpoint_machine,
    digest_machine,
    outbox_machine,
    slots_machine,
    starts_machine,
    system_machine,
)
from tools.model.cases import Cases
from tools.model.run import run_cases

MACHINES: Mapping[str, Cases] = {
    "run": run_cases.CASES,
    "checkpoint": checkpoint_machine.CASES,
    "starts": starts_machine.CASES,
    "slots": slots_machine.CASES,
    "outbox": outbox_machine.CASES,
    "digest": digest_machine.CASES,
    "system": system_machine.CASES,
}

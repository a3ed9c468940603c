"""The machines by name."""

from collections.abc import Mapping

from tools.model import checkpoint, digest, outbox, slots, starts, system
from tools.model.cases import Cases
from tools.model.run import cases as run

MACHINES: Mapping[str, Cases] = {
    "run": run.CASES,
    "checkpoint": checkpoint.CASES,
    "starts": starts.CASES,
    "slots": slots.CASES,
    "outbox": outbox.CASES,
    "digest": digest.CASES,
    "system": system.CASES,
}

"""The checkpoint machine: one run's cursor with the version of its code, its retries by policy, and a rerun.

The run machine proves that only one worker at a time holds the run. Here, releases change during the run, code and
layer separately, and slices end in every possible way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step

LIVE, COMPLETED, FAILED = "live", "completed", "failed"

BUSY, JOB, MISFIT = 0, 1, 2
ATTEMPTS = (2, 1, 1)
"""The number of retries of each policy since the cursor moved."""
KINDS = {"busy database": (BUSY,), "exception": (JOB,), "missing code": (MISFIT, JOB)}
"""The policies of each failure, in order."""
NONE_YET = (0, 0, 0)


@dataclass(frozen=True)
class Rules:
    version_compared: bool = True
    """A slice whose code has another version than the cursor starts from the beginning."""
    version_of_code: bool = True
    """The version is defined in the job's module, not in the layer, which is deployed separately."""
    retry_keeps_version: bool = True
    """A slice end without a checkpoint does not change the stored version."""
    retry_keeps_cursor: bool = True
    """A slice end without a checkpoint does not change the stored cursor; the job's memory may be ahead of it."""
    failures_apart: bool = True
    """Each policy counts its attempts separately."""
    failures_counted: bool = True
    """The slice end counts the attempt."""
    failures_forgotten: bool = True
    """A moved cursor resets the counts."""
    failures_moved_alone: bool = True
    """A yield that did not move the cursor keeps the counts."""
    rerun_with_version: bool = True
    """A rerun from the cursor copies the cursor's version."""
    wait_moves: bool = True
    """A Wait with the cursor that its slice began with is refused."""


class Row(NamedTuple):
    status: str = LIVE
    cursor: int = 0
    version: int = 0
    failed: tuple[int, ...] = NONE_YET
    writer: int = 0
    """The release whose code wrote the cursor; ``version`` should be equal."""
    committed: int = 0
    """The number of committed steps; ``cursor`` should be equal."""
    tried: tuple[int, ...] = NONE_YET
    """The attempts since the cursor moved; ``failed`` should be equal."""


class Slice(NamedTuple):
    code: int
    version: int
    began_with: int
    cursor: int
    held: int
    """The cursor in the job's memory. During a step it is ahead of the committed cursor."""
    stepped: bool = False
    """It has committed a step; only then can it run out of time."""


class State(NamedTuple):
    row: Row
    slice: Slice | None
    code: int
    layer: int
    deployments: int
    reruns: int


@dataclass(frozen=True)
class CheckpointMachine:
    """``job`` has one letter for each step: s is a yield, w a Wait with the next cursor, v a Wait with the same one."""

    rules: Rules = Rules()
    job: str = "sws"
    deployments: int = 3
    reruns: int = 1

    def starts(self) -> list[Step[State]]:
        return [Step("INSERT", State(Row(), None, 1, 1, self.deployments, self.reruns))]

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        if faults:
            yield from self.deploy(state)
            yield from self.rerun(state)
        if state.row.status != LIVE:
            return
        if state.slice is None:
            yield self.claim(state)
            return
        yield from self.work(state, state.slice)
        if faults:
            yield self.save(state, state.slice, state.slice.cursor)
            yield Step("CRASH", state._replace(slice=None))
        for kind, policies in KINDS.items():
            yield self.retry(state, state.slice, kind, policies)

    def owes(self, state: State) -> bool:
        return state.row.status == LIVE

    def calm(self, state: State) -> State:
        return state._replace(deployments=0, reruns=0)

    def deploy(self, state: State) -> Iterator[Step[State]]:
        """Deploy a release or roll it back: code and layer one after the other, in either order."""
        if state.deployments:
            left = state.deployments - 1
            yield Step(f"code {3 - state.code}", state._replace(code=3 - state.code, deployments=left))
            yield Step(f"layer {3 - state.layer}", state._replace(layer=3 - state.layer, deployments=left))

    def claim(self, state: State) -> Step[State]:
        """``claim_slice.sql`` and ``Slice.start``: start from the cursor, or anew if another version wrote it."""
        row = state.row
        version = state.code if self.rules.version_of_code else state.layer
        goes_on = row.version == version or not self.rules.version_compared
        cursor = row.cursor if goes_on else 0
        broken = ""
        if cursor and row.writer != state.code:
            broken = f"mixed cursor: release {state.code} goes on from a cursor of release {row.writer}"
        elif cursor > row.committed:
            broken = f"step skipped: the cursor is at {cursor}, {row.committed} steps are committed"
        begun = Slice(state.code, version, cursor, cursor, cursor)
        return Step(f"claim by release {state.code}", state._replace(slice=begun), "claim", broken)

    def work(self, state: State, current: Slice) -> Iterator[Step[State]]:
        """Run the job's next line: a step in memory, then the yield that commits it; a Wait; or its return."""
        letter = self.job[current.held] if current.held < len(self.job) else "."
        if current.held > current.cursor:
            yield self.save(state, current, current.held)
            return
        if letter == ".":
            yield Step("return", state._replace(row=state.row._replace(status=COMPLETED), slice=None), "work")
            return
        if letter == "s":
            yield Step("step", state._replace(slice=current._replace(held=current.held + 1)), "work")
        else:
            yield self.wait(state, current, current.cursor + (letter == "w"))
        if current.stepped:
            yield Step("out of time", state._replace(slice=None, row=self._handed_over(state.row, current)))

    def save(self, state: State, current: Slice, cursor: int) -> Step[State]:
        """``save_progress.sql``: commit cursor, version and the step in one transaction."""
        moved = cursor != current.cursor
        saved = current._replace(cursor=cursor, held=cursor, stepped=True)
        row = self._stored(state.row, current, cursor)
        return Step(f"yield {cursor}", state._replace(row=row, slice=saved), "work" if moved else "")

    def wait(self, state: State, current: Slice, cursor: int) -> Step[State]:
        """``end_slice.sql`` with a Wait's checkpoint."""
        if cursor == current.began_with and self.rules.wait_moves:
            return Step("Wait refused", state._replace(row=state.row._replace(status=FAILED), slice=None), "work")
        return Step(f"Wait {cursor}", state._replace(row=self._stored(state.row, current, cursor), slice=None), "work")

    def retry(self, state: State, current: Slice, kind: str, policies: tuple[int, ...]) -> Step[State]:
        """``end_slice.sql`` without a checkpoint if a policy has an attempt left, otherwise ``end_run.sql``."""
        row = self._handed_over(state.row, current)
        for policy in policies:
            used = row.failed[policy] if self.rules.failures_apart else sum(row.failed)
            if used >= ATTEMPTS[policy]:
                continue
            failed = _one_more(row.failed, policy) if self.rules.failures_counted else row.failed
            broken = ""
            if row.tried[policy] >= ATTEMPTS[policy]:
                broken = f"retry without end: {row.tried[policy] + 1} attempts after '{kind}', and the cursor stands"
            row = row._replace(failed=failed, tried=_one_more(row.tried, policy))
            return Step(f"{kind}: retry", state._replace(row=row, slice=None), broken=broken)
        left = [policy for policy in policies if row.tried[policy] < ATTEMPTS[policy]]
        broken = f"failed too early: an attempt after '{kind}' was left" if left else ""
        return Step(f"{kind}: failed", state._replace(row=row._replace(status=FAILED), slice=None), broken=broken)

    def rerun(self, state: State) -> Iterator[Step[State]]:
        """``insert_run.sql`` from the cursor of an ended run, with the cursor's version."""
        if state.row.status == LIVE or not state.reruns:
            return
        old = state.row
        version = old.version if self.rules.rerun_with_version else state.layer
        row = Row(cursor=old.cursor, version=version, writer=old.writer, committed=old.committed)
        yield Step("RERUN from the cursor", state._replace(row=row, slice=None, reruns=state.reruns - 1))

    def _stored(self, row: Row, current: Slice, cursor: int) -> Row:
        moved = cursor != row.cursor
        forgotten = moved if self.rules.failures_moved_alone else True
        failed = NONE_YET if forgotten and self.rules.failures_forgotten else row.failed
        tried = NONE_YET if moved else row.tried
        return Row(LIVE, cursor, current.version, failed, current.code, cursor, tried)

    def _handed_over(self, row: Row, current: Slice) -> Row:
        if not self.rules.retry_keeps_version:
            row = row._replace(version=current.version)
        if not self.rules.retry_keeps_cursor:
            row = row._replace(cursor=current.held, version=current.version, writer=current.code)
        return row


def _one_more(counts: tuple[int, ...], policy: int) -> tuple[int, ...]:
    return tuple(count + (i == policy) for i, count in enumerate(counts))


ORDINARY = CheckpointMachine()
CARELESS = CheckpointMachine(job="sv")

CASES = Cases(
    rules=Rules,
    holds={"steps and a Wait": ORDINARY, "a Wait that moves nothing": CARELESS},
    proofs={"a longer job": CheckpointMachine(job="swsws", deployments=5, reruns=2)},
    knockouts=(
        Knockout(("version_compared",), "mixed cursor", 7, ORDINARY),
        Knockout(("version_of_code",), "mixed cursor", 7, ORDINARY),
        Knockout(("retry_keeps_version",), "mixed cursor", 9, ORDINARY),
        Knockout(("retry_keeps_cursor",), "step skipped", 5, ORDINARY),
        Knockout(("failures_apart",), "failed too early", 5, ORDINARY),
        Knockout(("failures_counted",), "retry without end", 5, ORDINARY),
        Knockout(("failures_forgotten",), "failed too early", 7, ORDINARY),
        Knockout(("failures_moved_alone",), "retry without end", 6, ORDINARY),
        Knockout(("rerun_with_version",), "mixed cursor", 11, ORDINARY),
        Knockout(("wait_moves",), "stuck", 5, CARELESS),
    ),
)

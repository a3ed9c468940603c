"""The run machine: one run's row, its messages and its workers, with the statements of docs/protocol.md."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.model.checker import Step
from tools.model.run import others, worker
from tools.model.run.run_state import ASKING, CURRENT, LIVE, SWEEPING, Faults, Message, Row, Rules, Sizes, State
from tools.model.run.scene import Scene

EVENTS = (
    others.pass_time,
    others.deliver,
    others.resend,
    others.expire,
    others.end_overlong,
    others.call,
    others.cancel,
    others.clean,
)
ACTIONS = worker.ACTIONS | {ASKING: others.ask, SWEEPING: others.act_on_picked}


@dataclass(frozen=True)
class RunMachine:
    rules: Rules = field(default=Rules())
    sizes: Sizes = field(default=Sizes())
    faults: Faults = field(default=Faults(lost=1, doubled=1, crashes=1, cancels=1, early=1, exceptions=0))

    def starts(self) -> list[Step[State]]:
        """``insert_run.sql``, ``insert_system_run.sql`` or a schedule's, and the run's first message.

        A schedule's: ``insert_scheduled_run.sql``, ``start_due_schedules.sql``. A bulk action's:
        ``rerun_bulk_items.sql``, with the checkpoint of the old run.
        """
        empty = State(Row(resend=self.sizes.resend), (), (), self.faults)
        return list(self._scene(empty, faults=True).sends("INSERT, send", Message(CURRENT, 0)))

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        scene = self._scene(state, faults=faults)
        for event in EVENTS:
            yield from event(scene)
        for i, one in enumerate(state.workers):
            if i and one == state.workers[i - 1]:
                continue
            rest = [*state.workers[:i], *state.workers[i + 1 :]]
            if one.is_frozen:
                yield from worker.thaw(scene, one, rest)
                continue
            yield from ACTIONS[one.at](scene, one, rest)
            if one.at not in (ASKING, SWEEPING):
                yield from worker.crash(scene, one, rest)

    def owes(self, state: State) -> bool:
        return state.row.status in LIVE

    def calm(self, state: State) -> State:
        return state._replace(left=Faults())

    def _scene(self, state: State, *, faults: bool) -> Scene:
        return Scene(self.rules, self.sizes, state, faults, self.faults)

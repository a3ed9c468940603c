"""The slots machine: a system job's schedule, EventBridge's deliveries, sweeps, the pause and the live run.

Slot n is due at tick n. A statement reads when it begins and inserts later. A sweep decides its slots in one
transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step

# The outcome in a slot's row: RAN stands for started and caught_up, IDLE for skipped and missed.
RAN, IDLE = "ran", "idle"


@dataclass(frozen=True)
class Rules:
    slot_once: bool = True
    """The primary key of job_schedule_slots."""
    run_with_slot: bool = True
    """One statement inserts the slot's row and its run."""
    live_once: bool = True
    """The unique index job_runs_one_live."""
    fire_grace: bool = True
    """A late delivery is left to the sweep."""
    sweep_grace: bool = True
    """The sweep ignores slots that EventBridge may still deliver."""
    schedule_locked: bool = True
    """Only one sweep at a time handles a schedule."""
    moved_with_slots: bool = True
    """The schedule moves on in the transaction that decides the slots."""
    told_as_inserted: bool = True
    """The sweep reports only missed slots that it inserted itself."""
    latest_alone: bool = True
    """The sweep does not catch up a slot if a later slot was decided."""
    schedule_pause: bool = True
    """The inserting statement checks the pause itself."""


LOOKS, INSERTS, SKIPS, NOTES = "looks", "inserts", "skips", "notes"
NONE = -1


class Fire(NamedTuple):
    """A delivery in the schedule function. It skips the slot if its snapshot shows a pause or a live run."""

    slot: int
    at: str = LOOKS
    is_late: bool = False
    is_paused: bool = False
    """The schedule was paused when the statement began; with a separate check, when the function began."""


class Sweep(NamedTuple):
    """A sweep. ``open``: the slots without a row when it looked; ``catches_up``: the slot for which it starts a run."""

    open: tuple[int, ...]
    next_slot: int
    catches_up: int
    paused_since: int
    is_out_of_order: bool
    at: str = LOOKS


class Faults(NamedTuple):
    lost: int = 0
    doubled: int = 0
    pauses: int = 0
    crashes: int = 0


class State(NamedTuple):
    slots: tuple[str, ...]
    """The outcome of each slot; empty if it is not decided."""
    left: Faults
    now: int = -1
    next_slot: int = 0
    live: int = 0
    paused_since: int = NONE
    deliveries: tuple[int, ...] = ()
    fires: tuple[Fire, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    ran: tuple[int, ...] = ()
    """The slots that have started a run but have no row yet."""
    told: tuple[int, ...] = ()
    """The slots reported to the operator, tracked only if two sweeps may report the same slot."""


@dataclass(frozen=True)
class SlotsMachine:
    rules: Rules = Rules()
    faults: Faults = field(default=Faults())
    slots: int = 3
    grace: int = 1
    functions: int = 2

    def starts(self) -> list[Step[State]]:
        return [Step("the schedule becomes active", State(("",) * self.slots, self.faults))]

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        yield from self.pass_time(state)
        yield from self.happen(state, faults)
        yield from self.find(state)
        for fire in state.fires:
            rest = _without(state.fires, fire)
            yield self.decide(state._replace(fires=rest), fire)
            if faults and state.left.crashes:
                # Lambda calls an asynchronous function again.
                again = tuple(sorted((*state.deliveries, fire.slot)))
                yield Step("CRASH of a fire", _spent(state, "crashes", fires=rest, deliveries=again))
        for sweep in state.sweeps:
            rest = _without(state.sweeps, sweep)
            yield self.account(state._replace(sweeps=rest), sweep)
            if faults and state.left.crashes:
                yield Step("CRASH of a sweep", _spent(state, "crashes", sweeps=rest))

    def owes(self, state: State) -> bool:
        """Return whether a slot has no row yet."""
        return not all(state.slots)

    def calm(self, state: State) -> State:
        return state._replace(left=Faults())

    def pass_time(self, state: State) -> Iterator[Step[State]]:
        """Let one tick pass. At a slot's tick, EventBridge has a delivery."""
        now = state.now + 1
        if now <= self.slots + self.grace:
            due = (now,) if now < self.slots else ()
            later = state._replace(now=now, deliveries=tuple(sorted(state.deliveries + due)))
            yield Step("tick", later, "tick")

    def happen(self, state: State, faults: bool) -> Iterator[Step[State]]:
        """Let EventBridge deliver once, twice or not at all; end a run; pause and resume."""
        for slot in sorted(set(state.deliveries)):
            yield from self.deliver(state, slot, faults)
        if state.live:
            yield Step("its run ends", state._replace(live=state.live - 1))
        if state.paused_since != NONE:
            yield Step("RESUME", state._replace(paused_since=NONE))
        elif faults and state.left.pauses and state.now >= 0:
            yield Step("PAUSE", _spent(state, "pauses", paused_since=state.now))

    def deliver(self, state: State, slot: int, faults: bool) -> Iterator[Step[State]]:
        """``get_schedule.sql``: leave a slot whose grace period is over to the sweep."""
        rest, fires = _without(state.deliveries, slot), state.fires
        is_late = state.now - slot > self.grace
        if not is_late or not self.rules.fire_grace:
            if len(fires) == self.functions:
                return
            is_paused = not self.rules.schedule_pause and state.paused_since != NONE
            fires = _with(fires, Fire(slot, is_late=is_late, is_paused=is_paused))
        yield Step(f"slot {slot} fires", state._replace(deliveries=rest, fires=fires), f"deliver {slot}")
        if faults and state.left.lost:
            yield Step(f"slot {slot} LOST", _spent(state, "lost", deliveries=rest))
        if faults and state.left.doubled:
            yield Step(f"slot {slot} fires, TWICE", _spent(state, "doubled", fires=fires))

    def decide(self, state: State, fire: Fire) -> Step[State]:
        """``insert_scheduled_run.sql``: insert both, under ``job_schedule_slots_pkey`` and ``job_runs_one_live``."""
        name = f"fire {fire.slot}"
        if fire.at == LOOKS:
            is_paused = state.paused_since != NONE
            is_stopped = is_paused if self.rules.schedule_pause else fire.is_paused
            at = SKIPS if is_stopped or state.live else INSERTS
            begins = fire._replace(at=at, is_paused=is_paused and not self.rules.schedule_pause)
            return Step(f"{name}: begins its statement", state._replace(fires=_with(state.fires, begins)), name)
        if fire.at == NOTES:
            outcome = state.slots[fire.slot] or RAN
            return Step(f"{name}: writes its row", state._replace(slots=_decide(state, fire.slot, outcome)), name)
        if state.slots[fire.slot] and self.rules.slot_once and (self.rules.run_with_slot or fire.at == SKIPS):
            return Step(f"{name}: decided before", state, name)
        if fire.at == SKIPS or (state.live and self.rules.live_once):
            return Step(f"{name}: skipped", state._replace(slots=_decide(state, fire.slot, IDLE)), name)
        broken = self._wrong_start(state, fire.slot, is_paused=fire.is_paused)
        if fire.is_late:
            broken = broken or "late start: an old delivery starts a run"
        begun = state._replace(live=state.live + 1)
        if self.rules.run_with_slot:
            begun = begun._replace(slots=_decide(begun, fire.slot, RAN))
        else:
            ran, fires = _with(begun.ran, fire.slot), _with(begun.fires, fire._replace(at=NOTES))
            begun = begun._replace(ran=ran, fires=fires)
        return Step(f"{name}: starts a run", begun, name, broken)

    def find(self, state: State) -> Iterator[Step[State]]:
        """``overdue_schedules.sql``, ``lock_overdue_schedule.sql``, ``decided_slots.sql``, ``get_pause.sql``."""
        until = min(state.now - (self.grace if self.rules.sweep_grace else 0), self.slots - 1)
        most = 1 if self.rules.schedule_locked else 2
        if state.next_slot > until or len(state.sweeps) >= most:
            return
        is_open = tuple(slot for slot in range(state.next_slot, until + 1) if not state.slots[slot])
        later = [slot for slot in range(state.next_slot, self.slots) if state.slots[slot]]
        since = state.paused_since
        in_order = bool(is_open) and all(slot < is_open[-1] for slot in later)
        may = bool(is_open) and since == NONE and (in_order or not self.rules.latest_alone)
        sweep = Sweep(is_open, until + 1, is_open[-1] if may else NONE, since, may and not in_order)
        next_slot = state.next_slot if self.rules.moved_with_slots else until + 1
        found = state._replace(sweeps=_with(state.sweeps, sweep), next_slot=next_slot)
        yield Step("sweep: finds slots that are over", found, "sweep")

    def account(self, state: State, sweep: Sweep) -> Step[State]:
        """``insert_slots.sql``, ``move_schedule.sql``, ``insert_scheduled_run.sql`` and the alert: one transaction."""
        if sweep.at == LOOKS:
            at = SKIPS if state.paused_since != NONE or state.live else INSERTS
            begun = state._replace(sweeps=_with(state.sweeps, sweep._replace(at=at)))
            return Step("sweep: begins its last statement", begun, "sweep")
        since = sweep.paused_since
        skipped = {slot for slot in sweep.open if since != NONE and slot >= since}
        missed = set(sweep.open) - skipped - {sweep.catches_up}
        done = state._replace(next_slot=max(state.next_slot, sweep.next_slot))
        for slot in sweep.open:
            if not done.slots[slot] and slot != sweep.catches_up:
                done = done._replace(slots=_decide(done, slot, IDLE))
        if self.rules.told_as_inserted:
            missed = {slot for slot in missed if not state.slots[slot]}
        told = missed | {slot for slot in sweep.open if slot == sweep.catches_up}
        broken = ""
        if told & set(state.told):
            broken = "told twice: two concurrent sweeps report a slot"
        elif any(state.slots[slot] for slot in missed):
            broken = "false alarm: the sweep reports a slot that was decided in the meantime"
        elif any(slot in state.deliveries and state.now - slot < self.grace for slot in told):
            broken = "false alarm: the sweep reports a slot whose delivery is under way"
        if not self.rules.schedule_locked:
            done = done._replace(told=tuple(sorted({*state.told, *told})))
        slot = sweep.catches_up
        if slot == NONE:
            return Step("sweep: COMMIT", done, "sweep", broken)
        if state.slots[slot] and self.rules.slot_once:
            return Step("sweep: a delivery came first, ROLLBACK", state, "sweep")
        if sweep.at == SKIPS or (state.live and self.rules.live_once):
            return Step("sweep: COMMIT, skipped", done._replace(slots=_decide(done, slot, IDLE)), "sweep", broken)
        broken = broken or self._wrong_start(state, slot, is_paused=False)
        if sweep.is_out_of_order:
            broken = broken or "out of order: an old slot is caught up after a later one was decided"
        begun = done._replace(slots=_decide(done, slot, RAN), live=done.live + 1)
        return Step(f"sweep: COMMIT, catches up slot {slot}", begun, "sweep", broken)

    def _wrong_start(self, state: State, slot: int, *, is_paused: bool) -> str:
        if state.live:
            return "two live runs: of one system job"
        if slot in state.ran or state.slots[slot] == RAN:
            return f"slot run twice: slot {slot} has started a run before"
        if is_paused:
            return "started while paused: by a statement that began after the pause"
        return ""


def _decide(state: State, slot: int, outcome: str) -> tuple[str, ...]:
    return (*state.slots[:slot], outcome, *state.slots[slot + 1 :])


def _with(some: tuple[Any, ...], one: object) -> tuple[Any, ...]:
    return tuple(sorted([*some, one]))


def _without(some: tuple[Any, ...], one: object) -> tuple[Any, ...]:
    place = some.index(one)
    return some[:place] + some[place + 1 :]


def _spent(state: State, fault: str, **then: Any) -> State:
    left: int = getattr(state.left, fault)
    return state._replace(left=state.left._replace(**{fault: left - 1}), **then)


THREE_SLOTS = SlotsMachine()
FAULTS = SlotsMachine(faults=Faults(lost=1, doubled=1, crashes=1), slots=2)
PAUSED = SlotsMachine(faults=Faults(lost=1, pauses=1), slots=2)
NO_FIRE = SlotsMachine(faults=Faults(pauses=1), slots=2, functions=0)

CASES = Cases(
    rules=Rules,
    holds={"three slots": THREE_SLOTS, "lost, doubled, crashed": FAULTS, "a pause": PAUSED},
    proofs={
        "three slots, one lost, a crash": SlotsMachine(faults=Faults(lost=1, crashes=1)),
        "three slots, one doubled": SlotsMachine(faults=Faults(doubled=1)),
        "two slots, all faults": SlotsMachine(faults=Faults(1, 1, 1, 1), slots=2),
    },
    knockouts=(
        Knockout(("slot_once",), "slot run twice", 9, FAULTS),
        Knockout(("run_with_slot",), "slot run twice", 9, FAULTS),
        Knockout(("live_once",), "two live runs", 9, FAULTS),
        Knockout(("fire_grace",), "late start", 7, THREE_SLOTS),
        Knockout(("sweep_grace",), "false alarm", 5, THREE_SLOTS),
        Knockout(("schedule_locked", "told_as_inserted"), "told twice", 10, NO_FIRE),
        Knockout(("moved_with_slots",), "stuck", 9, FAULTS),
        Knockout(("told_as_inserted",), "false alarm", 10, THREE_SLOTS),
        Knockout(("latest_alone",), "out of order", 10, FAULTS),
        Knockout(("schedule_pause",), "started while paused", 6, PAUSED),
    ),
)

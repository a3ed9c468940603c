"""Follow every schedule of a small machine. Find the shortest one that breaks a promise, and fair ones that never end.

A machine is a set of steps from state to state. Some steps are faults (a crash, a lost message); a state holds how many
faults are left. When no fault is left, everything owed must happen. A cycle is fair if it takes each step that stays
possible in it. A fair cycle in which something is still owed means that a run is stuck.
"""

import random
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)

STUCK = "stuck"


class Step(NamedTuple, Generic[S]):
    """A step to ``state``.

    ``fair``: a possible step under this name is taken eventually; without a name, the step may never happen.
    ``broken``: the promise that the step breaks, a colon, and how. The search does not continue after it.
    """

    label: str
    state: S
    fair: str = ""
    broken: str = ""


class Machine(Protocol[S]):
    def starts(self) -> list[Step[S]]: ...

    def steps(self, state: S, *, faults: bool = True) -> Iterator[Step[S]]: ...

    def owes(self, state: S) -> bool:
        """Return whether something still has to happen in this state."""

    def calm(self, state: S) -> S:
        """Return the state with no fault left."""


@dataclass(frozen=True)
class Broken:
    """A promise, how it was broken, and the shortest schedule that leads there."""

    promise: str
    how: str
    schedule: list[str]

    @property
    def steps(self) -> int:
        return len(self.schedule)

    def __str__(self) -> str:
        return f"{self.promise}: {self.how} [{self.steps} steps]\n    " + " / ".join(_short(self.schedule))


@dataclass(frozen=True)
class Search:
    states: int
    edges: int
    depth: int
    is_complete: bool
    broken: Broken | None


def search(machine: Machine[S], *, most: int = 3_000_000) -> Search:
    """Follow all schedules, shortest first, until a promise is broken or ``most`` states have been seen.

    If no schedule breaks a promise, look for fair schedules that never end.
    """
    states: list[S] = []
    depth: list[int] = []
    came_by: list[tuple[int, str]] = []
    known: set[S] = set()
    edges = 0

    def schedule(index: int) -> list[str]:
        labels = []
        while index >= 0:
            index, label = came_by[index]
            labels.append(label)
        return labels[::-1]

    def add(state: S, parent: int, label: str) -> None:
        if state not in known:
            known.add(state)
            states.append(state)
            came_by.append((parent, label))
            depth.append(depth[parent] + 1 if parent >= 0 else 1)

    def found(broken: Broken | None, *, is_complete: bool) -> Search:
        return Search(len(states), edges, depth[-1], is_complete, broken)

    for step in machine.starts():
        add(step.state, -1, step.label)
    index = 0
    while index < len(states):
        if len(states) > most:
            return found(None, is_complete=False)
        for step in machine.steps(states[index]):
            edges += 1
            if step.broken:
                broken = _broken(step, schedule(index))
                return found(broken, is_complete=False)
            add(step.state, index, step.label)
        index += 1
    stuck = _stuck_states(machine, states)
    if not stuck:
        return found(None, is_complete=True)
    first = min(stuck)
    how = f"without another fault it may go on for ever from here: {states[first]}"
    return found(Broken(STUCK, how, schedule(first)), is_complete=True)


def _stuck_states(machine: Machine[S], states: list[S]) -> list[int]:
    """Return the states from which a fair schedule without further faults may never do what is owed."""
    number: dict[S, int] = {}
    first: list[int] = []
    for index, state in enumerate(states):
        if machine.owes(state) and (calm := machine.calm(state)) not in number:
            number[calm] = len(number)
            first.append(index)
    following: list[list[tuple[int, str]]] = []
    possible: list[frozenset[str]] = []
    for state in number:
        steps = list(machine.steps(state, faults=False))
        possible.append(frozenset(step.fair for step in steps if step.fair))
        following.append([(number[step.state], step.fair) for step in steps if step.state in number])
    stuck = []
    for component in _components([[node for node, _ in edges] for edges in following]):
        inside = set(component)
        taken = [fair for node in component for to, fair in following[node] if to in inside]
        always_possible = frozenset.intersection(*(possible[node] for node in component))
        if always_possible <= set(taken):
            stuck += [first[node] for node in component]
    return stuck


def _components(following: list[list[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components (Tarjan's, without recursion)."""
    count = len(following)
    order, low = [0] * count, [0] * count
    open_nodes: list[int] = []
    is_open = [False] * count
    clock = 0
    for root in range(count):
        if order[root]:
            continue
        work = [(root, iter(following[root]))]
        while work:
            node, edges = work[-1]
            if not order[node]:
                clock += 1
                order[node] = low[node] = clock
                open_nodes.append(node)
                is_open[node] = True
            for to in edges:
                if not order[to]:
                    work.append((to, iter(following[to])))
                    break
                if is_open[to]:
                    low[node] = min(low[node], low[to])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == order[node]:
                    start = open_nodes.index(node)
                    component, open_nodes[start:] = open_nodes[start:], []
                    for each in component:
                        is_open[each] = False
                    yield component


def walk(
    machine: Machine[S], *, seed: int, steps: int, weight: Callable[[Step[S]], float], longest: int = 5_000
) -> Broken | None:
    """Follow random schedules, each first with faults and then without, until ``steps`` steps were taken.

    ``weight`` returns a step's relative probability. Return the first broken promise.
    """
    chance = random.Random(seed)
    while steps > 0:
        step = chance.choice(machine.starts())
        schedule = [step.label]
        faults_until = chance.choice((30, 100, 300))
        while machine.owes(step.state) or len(schedule) < faults_until:
            possible = list(machine.steps(step.state, faults=len(schedule) < faults_until))
            if not possible:
                break
            [step] = chance.choices(possible, [weight(each) for each in possible])
            schedule.append(step.label)
            steps -= 1
            if step.broken:
                return _broken(step, schedule[:-1])
            if len(schedule) > faults_until + longest:
                return Broken(STUCK, f"not over {longest:,} steps after the last fault", schedule[-100:])
    return None


def _broken(step: Step[S], before: list[str]) -> Broken:
    promise, _, how = step.broken.partition(": ")
    return Broken(promise, how, [*before, step.label])


def _short(schedule: list[str]) -> Iterator[str]:
    """Yield the labels, with consecutive equal labels joined into one."""
    count = 0
    for label, following in zip(schedule, [*schedule[1:], None], strict=True):
        count += 1
        if label != following:
            yield f"{label} ({count} times)" if count > 1 else label
            count = 0

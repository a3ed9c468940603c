"""The starts machine: concurrent callers that trigger a job type of one project, with and without keys, between pauses.

A statement reads a snapshot when it begins and inserts later; others commit in between. Only the unique indexes then
keep the promises.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step


@dataclass(frozen=True)
class Rules:
    one_live: bool = True
    """The unique index job_runs_one_live."""
    winner_returned: bool = True
    """The statement uses ON CONFLICT DO UPDATE, which returns the conflicting run, not DO NOTHING."""
    key_unique: bool = True
    """The unique index job_runs_idempotency."""
    key_first: bool = True
    """The statement looks for the key's run before it checks for a live run and a pause."""
    key_body: bool = True
    """A key with another body is refused."""
    key_day: bool = True
    """A key is valid for runs of the last day only."""
    key_forgotten: bool = True
    """A conflicting key that is older than a day is removed from its run."""
    pause_in_statement: bool = True
    """The inserting statement checks the pause itself."""


class Run(NamedTuple):
    """A run. ``named`` is the key of its caller; ``has_key`` says whether the key is still stored."""

    is_live: bool
    named: str
    body: str
    has_key: bool
    is_old: bool = False


# A caller's position.
BEGINS, LOOKED, ASKS_WHY, REFUSED_KEY = "begins", "looked", "asks why", "forgets the key"


class Caller(NamedTuple):
    key: str
    body: str
    at: str = BEGINS
    tries: int = 0
    found: int | None = None
    """The run that the statement's snapshot shows under this key, otherwise the live run."""
    is_earlier: bool = False
    is_paused: bool = False
    asked_why: bool = False
    checked: bool = False
    """With a separate statement for the pause: that statement has run."""


class State(NamedTuple):
    runs: tuple[Run, ...]
    callers: tuple[Caller, ...]
    is_paused: bool
    pauses: int
    days: int


@dataclass(frozen=True)
class StartsMachine:
    rules: Rules = Rules()
    callers: tuple[Caller, ...] = (Caller("k", "a"), Caller("k", "a"), Caller("", "a"))
    pauses: int = 1
    days: int = 1

    def starts(self) -> list[Step[State]]:
        return [Step("a project without runs", State((), self.callers, False, self.pauses, self.days))]

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        if faults:
            yield from self.happen(state)
        for i, caller in enumerate(state.callers):
            if caller in state.callers[:i]:
                continue
            rest = state.callers[:i] + state.callers[i + 1 :]
            match caller.at:
                case "begins":
                    yield self.look(state, caller, rest)
                case "looked":
                    yield self.insert(state, caller, rest)
                case "asks why":
                    yield self.ask_why(state, caller, rest)
                case "forgets the key":
                    yield self.forget_key(state, caller, rest)

    def owes(self, state: State) -> bool:
        return bool(state.callers)

    def calm(self, state: State) -> State:
        return state._replace(pauses=0, days=0)

    def happen(self, state: State) -> Iterator[Step[State]]:
        """``end_run.sql``; a pause of the operator or of the team (``insert_pause.sql``, ``delete_pauses.sql``,
        ``store_project_pause.sql``, ``delete_project_pause.sql``); or let a day pass.
        """
        for i, run in enumerate(state.runs):
            if run.is_live:
                runs = (*state.runs[:i], run._replace(is_live=False), *state.runs[i + 1 :])
                yield Step(f"run {i} ends", state._replace(runs=runs))
        if state.is_paused:
            yield Step("RESUME", state._replace(is_paused=False))
        elif state.pauses:
            yield Step("PAUSE", state._replace(is_paused=True, pauses=state.pauses - 1))
        if state.days and all(caller.at == BEGINS and not caller.tries for caller in state.callers):
            runs = tuple(run._replace(is_old=True) for run in state.runs)
            yield Step("a day goes by", state._replace(runs=runs, days=state.days - 1))

    def look(self, state: State, caller: Caller, rest: tuple[Caller, ...]) -> Step[State]:
        """``insert_run.sql``, ``insert_system_run.sql``: take the statement's snapshot."""
        if not self.rules.pause_in_statement and not caller.checked:
            if state.is_paused:
                return self._answer("paused", state, caller, rest)
            return self._stand(state, caller._replace(checked=True), rest, "looks at the pause")
        earlier = [
            i
            for i, run in enumerate(state.runs)
            if caller.key and run.has_key and run.named == caller.key and not (run.is_old and self.rules.key_day)
        ]
        live = [i for i, run in enumerate(state.runs) if run.is_live]
        found = (earlier if self.rules.key_first else []) or live
        looked = caller._replace(
            at=LOOKED,
            found=found[0] if found else None,
            is_earlier=bool(earlier) and self.rules.key_first,
            is_paused=state.is_paused,
        )
        return self._stand(state, looked, rest, "looks")

    def insert(self, state: State, caller: Caller, rest: tuple[Caller, ...]) -> Step[State]:
        """``insert_run.sql``: insert under the current ``job_runs_one_live`` and ``job_runs_idempotency``."""
        if caller.is_earlier:
            return self._answer_with(state, caller, rest, caller.found)
        if caller.is_paused and self.rules.pause_in_statement:
            return self._stand(state, caller._replace(at=ASKS_WHY), rest, "finds it paused")
        if caller.found is not None:
            return self._answer_with(state, caller, rest, caller.found)
        winners = [i for i, run in enumerate(state.runs) if run.is_live]
        if winners and self.rules.one_live:
            if not self.rules.winner_returned:
                return self._answer("no row", state, caller, rest, "no answer: the winner of a race is not returned")
            return self._answer_with(state, caller, rest, winners[0])
        taken = any(run.has_key and run.named == caller.key for run in state.runs if caller.key)
        if taken and self.rules.key_unique:
            return self._stand(state, caller._replace(at=REFUSED_KEY), rest, "finds its key taken")
        broken = ""
        if winners:
            broken = "two live runs: of one type in one project"
        elif caller.key and any(run.named == caller.key and not run.is_old for run in state.runs):
            broken = "two runs of a key: within its day"
        elif caller.is_paused:
            broken = "started while paused: by a statement that began after the pause"
        runs = (*state.runs, Run(True, caller.key, caller.body, bool(caller.key)))
        return self._answer("201", state._replace(runs=runs), caller, rest, broken)

    def ask_why(self, state: State, caller: Caller, rest: tuple[Caller, ...]) -> Step[State]:
        """``list_pauses.sql``: return the pause's reason. If the type was resumed, begin the trigger again, once."""
        if state.is_paused:
            return self._answer("paused", state, caller, rest)
        if caller.asked_why:
            # The project exists (nightshift/runs/requests.py checks), so the type was paused, resumed and paused again.
            return self._answer("409, try again", state, caller, rest)
        return self._stand(state, Caller(caller.key, caller.body, asked_why=True), rest, "begins again")

    def forget_key(self, state: State, caller: Caller, rest: tuple[Caller, ...]) -> Step[State]:
        """``forget_idempotency_key.sql``: release a key that is older than a day, so that it can name a new run."""
        if caller.tries == 2:
            return self._answer("500", state, caller, rest, "no answer: its key stays taken")
        runs = state.runs
        if self.rules.key_forgotten:
            runs = tuple(run._replace(has_key=False) if run.named == caller.key and run.is_old else run for run in runs)
        again = Caller(caller.key, caller.body, tries=caller.tries + 1, asked_why=caller.asked_why)
        return self._stand(state._replace(runs=runs), again, rest, "forgets an old key")

    def _answer_with(self, state: State, caller: Caller, rest: tuple[Caller, ...], found: int | None) -> Step[State]:
        """Answer with an existing run: this key's own, a conflicting one of another caller, or one of another body."""
        assert found is not None
        run = state.runs[found]
        if not (run.has_key and run.named == caller.key and caller.key) or (run.is_old and self.rules.key_day):
            return self._answer(f"409 with run {found}", state, caller, rest)
        if run.body != caller.body and self.rules.key_body:
            return self._answer("422", state, caller, rest)
        broken = ""
        if run.body != caller.body:
            broken = "another's run: a key answers with the run of another request"
        elif run.is_old:
            broken = "key without end: it answers with a run of the day before"
        return self._answer(f"201 with run {found}", state, caller, rest, broken)

    def _answer(
        self, answer: str, state: State, caller: Caller, rest: tuple[Caller, ...], broken: str = ""
    ) -> Step[State]:
        return Step(f"{_name(caller)} gets {answer}", state._replace(callers=rest), _name(caller), broken)

    def _stand(self, state: State, caller: Caller, rest: tuple[Caller, ...], does: str) -> Step[State]:
        callers = tuple(sorted((*rest, caller), key=str))
        return Step(f"{_name(caller)} {does}", state._replace(callers=callers), _name(caller))


def _name(caller: Caller) -> str:
    return f"caller {caller.key or 'without a key'}/{caller.body}"


SAME_KEY = StartsMachine(pauses=2, days=2)
OTHER_BODY = StartsMachine(callers=(Caller("k", "a"), Caller("k", "b"), Caller("k", "a")))

CASES = Cases(
    rules=Rules,
    holds={"one key twice, and no key": SAME_KEY, "one key with two bodies": OTHER_BODY},
    proofs={
        "four callers": StartsMachine(callers=(*SAME_KEY.callers, Caller("k", "b"))),
        "two keys": StartsMachine(callers=(*SAME_KEY.callers, Caller("l", "a"), Caller("l", "a"))),
    },
    knockouts=(
        Knockout(("one_live",), "two live runs", 5, SAME_KEY),
        Knockout(("winner_returned",), "no answer", 5, SAME_KEY),
        Knockout(("key_unique",), "two runs of a key", 6, SAME_KEY),
        Knockout(("key_first",), "no answer", 13, SAME_KEY),
        Knockout(("key_body",), "another's run", 5, OTHER_BODY),
        Knockout(("key_day",), "key without end", 6, SAME_KEY),
        Knockout(("key_forgotten",), "no answer", 14, SAME_KEY),
        Knockout(("pause_in_statement",), "started while paused", 5, SAME_KEY),
    ),
)

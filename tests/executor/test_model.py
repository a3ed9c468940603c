"""The model of docs/protocol.md: it holds, leaving out any rule breaks a promise, and it matches the code."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from nightshift.database.queries import query_files, query_text
from tools.model import compared
from tools.model.checker import STUCK, Step, search, walk
from tools.model.machines import MACHINES
from tools.model.run import RunMachine
from tools.model.run.run_cases import LARGE, likely
from tools.model.run.run_state import Faults, Rules, Sizes

HOLDS = [(f"{name}: {case}", machine) for name, cases in MACHINES.items() for case, machine in cases.holds.items()]
KNOCKOUTS = [(name, knockout) for name, cases in MACHINES.items() for knockout in cases.knockouts]


@pytest.mark.parametrize("machine", [pytest.param(machine, id=name) for name, machine in HOLDS])
def test_all_holds_under_the_rules(machine):
    found = search(machine)
    assert found.broken is None, f"\n{found.broken}"
    assert found.is_complete


@pytest.mark.parametrize(
    "knockout",
    [
        pytest.param(knockout, id=f"{name}: {', '.join(knockout.rules)}, {knockout.breaks}")
        for name, knockout in KNOCKOUTS
    ],
)
def test_a_rule_that_is_left_out_breaks_its_promise(knockout):
    broken = search(knockout.without).broken
    assert broken is not None
    assert (broken.promise, broken.steps) == (knockout.breaks, knockout.steps), f"\n{broken}"


@pytest.mark.parametrize("name", MACHINES)
def test_every_rule_is_left_out_once(name):
    cases = MACHINES[name]
    left_out = {rule for knockout in cases.knockouts for rule in knockout.rules}
    assert left_out == {field.name for field in fields(cases.rules)}


def test_the_protocols_page_names_every_rule_and_its_steps():
    page = Path("docs/protocol.md").read_text()
    named = {
        (frozenset(re.findall(r"`(\w+)`", rules)), int(steps))
        for rules, steps in re.findall(r"((?:`\w+`(?: and )?)+) \((\d+)\)", page)
    }
    # A rule that a CHECK enforces as well is left out twice; the page shows the schedule without the CHECK.
    assert named <= {(frozenset(knockout.rules), knockout.steps) for _, knockout in KNOCKOUTS}
    assert {rules for rules, _ in named} == {frozenset(knockout.rules) for _, knockout in KNOCKOUTS}
    rules = [field.name for cases in MACHINES.values() for field in fields(cases.rules)]
    assert len(rules) == len(set(rules)) > 70


def test_a_backlog_of_a_day_makes_28_messages_of_a_run():
    """With the real times in minutes: the queue delivers nothing, and the sweep runs each minute."""
    sizes = Sizes(resend=2, resend_most=60, reduced=False, copies=1_000, workers=0)
    machine = RunMachine(sizes=sizes, faults=Faults())
    state = machine.starts()[0].state
    counts = []
    for minute in range(1, 24 * 60 + 1):
        for fair in ("tick", "sweep resend"):
            state = next((step.state for step in machine.steps(state) if step.fair == fair), state)
        if minute in (60, 24 * 60):
            counts.append(len(state.queue))
    assert counts == [5, 28]


def test_random_schedules_of_a_large_machine_hold_and_find_what_is_left_out():
    assert walk(LARGE, seed=11, steps=20_000, weight=likely) is None
    unfenced = replace(LARGE, rules=Rules(fence_slice=False))
    assert walk(unfenced, seed=11, steps=200_000, weight=likely).promise in ("stale write", "step twice or skipped")


class Lights:
    """The test's own machine: two lights that follow each other, and a lamp that may burn out."""

    def __init__(self, following: dict[str, list[Step[str]]], over: str = ""):
        self.following, self.over = following, over

    def starts(self):
        return [Step("on", "red")]

    def steps(self, state, *, faults=True):
        yield from (step for step in self.following.get(state, []) if faults or step.fair)

    def owes(self, state):
        return state != self.over

    def calm(self, state):
        return state


class TestChecker:
    def test_the_shortest_schedule_to_a_broken_promise_is_told(self):
        lights = Lights({
            "red": [Step("slowly", "amber", "go"), Step("at once", "green", "go")],
            "amber": [Step("go", "green", "go")],
            "green": [Step("crash", "red", broken="no crash: two cars")],
        })  # fmt: skip
        broken = search(lights).broken
        assert (broken.promise, broken.how, broken.schedule) == ("no crash", "two cars", ["on", "at once", "crash"])

    def test_a_state_that_nothing_leaves_is_stuck(self):
        broken = search(Lights({"red": [Step("go", "green", "go")]})).broken
        assert (broken.promise, broken.schedule) == (STUCK, ["on", "go"])

    def test_a_step_that_may_never_happen_ends_nothing(self):
        assert search(Lights({"red": [Step("perhaps", "off")]}, over="off")).broken.promise == STUCK

    def test_a_fair_cycle_without_an_end_is_stuck(self):
        lights = {"red": [Step("go", "green", "go")], "green": [Step("stop", "red", "stop")]}
        assert search(Lights(lights, over="off")).broken.promise == STUCK

    def test_a_step_that_stays_possible_is_taken_in_the_end(self):
        off = Step("turn off", "off", "off")
        lights = {"red": [Step("go", "green", "go"), off], "green": [Step("stop", "red", "stop"), off]}
        found = search(Lights(lights, over="off"))
        assert (found.broken, found.is_complete, found.states, found.edges, found.depth) == (None, True, 3, 4, 2)

    def test_a_step_that_is_possible_now_and_then_may_be_missed(self):
        lights = {
            "red": [Step("go", "green", "go"), Step("turn off", "off", "off")],
            "green": [Step("stop", "red", "stop")],
        }
        assert search(Lights(lights, over="off")).broken.promise == STUCK

    def test_a_search_that_sees_too_many_states_says_so(self):
        lights = {"red": [Step("go", "green", "go")], "green": [Step("go on", "off", "go")]}
        assert not search(Lights(lights, over="off"), most=1).is_complete

    def test_a_random_walk_finds_what_is_broken_and_says_how(self):
        lights = {"red": [Step("go", "green", "go")], "green": [Step("crash", "red", "go", "no crash: two cars")]}
        broken = walk(Lights(lights), seed=1, steps=100, weight=lambda step: 1)
        assert str(broken) == "no crash: two cars [3 steps]\n    on / go / crash"

    def test_a_random_walk_that_does_not_end_is_stuck(self):
        lights = {"red": [Step("go", "red", "go")]}
        broken = walk(Lights(lights, over="off"), seed=1, steps=1_000, weight=lambda step: 1, longest=100)
        assert broken.promise == STUCK


@pytest.fixture
def schema(owner):
    return dict(owner.run_script(Path("tools/model/schema.sql").read_text()))


class TestCompared:
    def test_the_model_was_compared_with_every_statement_as_it_is(self, schema):
        assert list(compared.complaints(schema)) == []

    def test_every_statement_of_the_protocols_tables_is_compared(self, schema):
        page = Path("docs/protocol.md").read_text()
        named = {word for word in re.findall(r"`(\w+)`", page) if word in query_files()}
        assert len(named) >= 30
        assert {f"{name}.sql" for name in named} <= compared.present(schema).keys()

    def test_what_is_left_out_for_a_reason_is_what_no_action_names(self, schema):
        unnamed = {name for name, row in compared.present(schema).items() if row.actions == compared.NO_ACTION}
        assert compared.LEFT_OUT.keys() == {name for name in unnamed if ".sql" in name}

    def test_every_statement_that_an_action_names_is_there(self, schema):
        there = {f"{name}.sql" for name in query_files()}
        assert {word for word in compared.actions() if word.endswith(".sql")} <= there

    def test_a_statement_that_changes_is_told_with_its_action(self, schema, monkeypatch, tmp_path):
        claim, wipe = tmp_path / "claim_outbox.sql", tmp_path / "wipe_runs.sql"
        claim.write_text(query_text("claim_outbox").replace("retry_at <= clock_timestamp()", "true"))
        wipe.write_text("DELETE FROM job_runs;")
        files = query_files() | {"claim_outbox": claim, "wipe_runs": wipe}
        del files["end_run"]
        monkeypatch.setattr(compared, "query_files", lambda: files)
        changed, gone, new, unsaid = compared.complaints(schema)
        assert changed == (
            "claim_outbox.sql has changed since tools/model was compared with it. Change the action `claim` "
            "of the outbox machine and the action `claim` of the digest machine if it no longer matches, "
            'then run: python -m tools.model renew "claim_outbox.sql"'
        )
        assert gone.startswith("end_run.sql is in tools/model/compared.txt but no longer exists.")
        assert new.startswith("wipe_runs.sql is new")
        assert unsaid.startswith("wipe_runs.sql writes, but no action names it.")

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ("DROP INDEX job_runs_idempotency", "index job_runs_idempotency"),
            (
                "ALTER TABLE job_runs DROP CONSTRAINT live_is_leased_or_resent",
                "constraint job_runs.live_is_leased_or_resent",
            ),
            ("DROP TRIGGER announce_ending ON job_runs", "trigger announce_ending"),
            ("CREATE UNIQUE INDEX late ON job_outbox (id)", "index late"),
            (
                "CREATE OR REPLACE FUNCTION tell_of_ending(ended job_runs) RETURNS text LANGUAGE sql AS 'SELECT NULL'",
                "function tell_of_ending",
            ),
            ("ALTER TABLE job_outbox ADD CONSTRAINT odd CHECK (attempts < 9)", "constraint job_outbox.odd"),
        ],
    )
    def test_a_part_of_the_schema_that_changes_is_told(self, owner, change, name):
        owner.run_script(change)
        schema = dict(owner.run_script(Path("tools/model/schema.sql").read_text()))
        assert any(complaint.startswith(f"{name} ") for complaint in compared.complaints(schema))

    def test_comments_and_white_space_are_no_change(self):
        plain = compared.digest_of("SELECT 1 FROM job_runs WHERE error = '--';")
        assert compared.digest_of("-- Why.\nSELECT 1\n  FROM job_runs  -- all\nWHERE error = '--';\n") == plain
        assert compared.digest_of("SELECT 1 FROM job_runs WHERE error = '-';") != plain

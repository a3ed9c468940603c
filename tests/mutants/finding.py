"""Find the test that kills a mutant: run the tests that reach it until one fails."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutants import table
from tests.mutants.guarded import kind_of
from tests.mutants.proving import mutants_by_subject, trial_of
from tests.mutants.site import Mutant
from tests.mutants.table import Entry
from tests.mutants.warm import Trial, Warm

# Tests of the statements themselves. They are tried first.
DIRECT = "tests/guarded"
# Files whose tests take at most a second.
NAMES = (
    *("fence", "executor", "bounds", "careless_jobs", "passing_trouble", "sweep", "poison", "runs", "api", "answers"),
    *("deleted_project", "moved_project", "platform_rows", "pauses", "notify", "mail_shares", "mail", "events"),
    *("successes", "schedules", "functions", "visibility", "metrics", "list", "costs", "log_lines", "testing_kit"),
    *("soft_delete_cleanup", "gate", "db_pruning", "operator_commands", "params", "sweep_decisions"),
    *("executor_decisions", "pairs_of_a_run", "pairs_of_sweeps", "pairs_of_triggers", "pairs_of_mails", "team_slots"),
    *("places", "project_pauses", "key_expiry", "what_alerts_tell", "delivering", "alerts_api"),
    *("bulk_actions", "run_filters", "defaults"),
)


def test_file(name: str) -> str:
    """Return the path of tests/…/test_<name>.py, or of a job's test."""
    [path] = [path for folder in ("tests", "functions") for path in Path(folder).rglob(f"test_{name}.py")]
    return str(path)


TEST_FILES = [
    *sorted(str(path) for path in Path(DIRECT).glob("test_*.py")),
    *map(test_file, NAMES),
]
REACHED = Path(".local/mutants/reached.json")

# The test files about a module. Their tests are tried first.
ABOUT = {
    "executor.py": ("places", "executor_decisions", "executor", "bounds", "passing_trouble", "careless_jobs"),
    "job_steps.py": ("executor_decisions", "executor", "bounds", "passing_trouble", "careless_jobs"),
    "slices.py": ("defaults", "executor_decisions", "fence", "bounds", "executor", "careless_jobs"),
    "handles.py": ("executor_decisions", "careless_jobs", "bounds"),
    "author_api.py": ("executor_decisions", "careless_jobs", "bounds"),
    "queue.py": ("executor_decisions", "executor", "poison", "functions"),
    "sweep.py": ("sweep_decisions", "sweep", "poison", "pairs_of_sweeps"),
    "healers.py": ("sweep_decisions", "pairs_of_sweeps", "sweep", "poison", "team_slots", "what_alerts_tell"),
    "set_aside.py": ("sweep_decisions", "poison"),
    "successes.py": ("successes",),
    "pauses.py": ("pauses",),
    "outbox.py": ("team_slots",),
    "slots.py": ("schedules", "pairs_of_sweeps", "pauses"),
    "delivery.py": ("notify", "mail_shares", "events", "pairs_of_mails", "what_alerts_tell"),
    "attempts.py": ("notify", "mail_shares", "events", "pairs_of_mails"),
    "announcement.py": ("events",),
    "mail_shares.py": ("mail_shares", "pairs_of_mails"),
    "reading.py": ("run_filters", "list", "runs", "api"),
    "run_row.py": ("runs", "typed_rows"),
    "requests.py": ("runs", "pairs_of_triggers", "api"),
    "stored_json.py": ("careless_jobs",),
    "watchdog.py": ("passing_trouble",),
}

# The most tests and seconds for one mutant; the shortest tests are tried first.
MOST_TESTS, MOST_SECONDS = 120, 45
SLOW_S = 1.5

# The queries by which the tests reach tables and functions of the database.
BY_WAY_OF = {
    "tell_of_ending": {"end_run", "cancel_run", "expire_leases", "end_overlong", "stop_deleted", "tell_of_endings"},
    "cleanup_runs": {"cleanup_runs"},
    "job_runs": {"insert_run", "insert_system_run", "insert_scheduled_run", "list_runs", "list_all_runs"},
    "job_slices": {"claim_slice"},
    "job_outbox": {"end_run", "cancel_run", "claim_outbox", "insert_alert"},
    "job_schedule_slots": {"insert_scheduled_run", "insert_slots"},
    "job_pauses": {"insert_pause"},
    "job_set_aside": {"set_aside"},
    "job_mail_shares": {"take_mail_share"},
}


def find(subjects: list[str], warm: Warm) -> dict[str, Counter[str]]:
    """Write table entries for the mutants that a test kills, and print the others."""
    reached = _reached(warm)
    mutants = mutants_by_subject(subjects, warm)
    counts: dict[str, Counter[str]] = {subject: Counter() for subject in subjects}
    found: dict[str, dict[str, Entry]] = {subject: {} for subject in subjects}
    for trial, verdict in warm.run(_trials(mutants, reached)):
        subject, mutant = trial.name
        outcome = verdict.outcome
        counts[subject][outcome] += 1
        print(f"{outcome}: {subject}: {mutant.name}\n    {verdict.failed} {verdict.error}", flush=True)
        if outcome == "killed":
            found[subject][mutant.name] = Entry(killed_by=verdict.failed)
            _write(subject, mutants[subject], found[subject])
    return counts


def _write(subject: str, mutants: list[Mutant], found: dict[str, Entry]) -> None:
    entries = table.read(subject) | found
    table.write(subject, {mutant.name: entries[mutant.name] for mutant in mutants if mutant.name in entries})


def _trials(mutants: dict[str, list[Mutant]], reached: dict[str, Any]) -> Iterator[Trial]:
    for subject, candidates in mutants.items():
        known = table.read(subject)
        for mutant in candidates:
            if mutant.name not in known:
                yield trial_of(subject, mutant, _tests_for(subject, mutant, reached))


def _tests_for(subject: str, mutant: Mutant, reached: dict[str, Any]) -> list[list[str]]:
    """Return the tests that reach the mutant, first those about statements and those that reach little else."""
    if kind_of(subject) == "module":
        function = mutant.name.split(": ")[0]
        wanted = {f"{subject.removesuffix('.py')}.{function}"} if ": " in mutant.name else set()
    else:
        wanted = BY_WAY_OF.get(subject, {subject})
    is_table = kind_of(subject) == "table"
    tests, seconds = [], 0.0
    about = tuple(map(test_file, ABOUT.get(subject, ())))
    for test, (took, touched) in sorted(
        reached.items(), key=lambda item: (not item[0].startswith(about), len(item[1][1]), item[1][0])
    ):
        is_close = (
            not wanted
            or (is_table and test.startswith(f"{DIRECT}/test_guarded_schema"))
            or any(_is_reached(name, wanted) for name in touched)
        )
        if is_close and took <= SLOW_S and len(tests) < MOST_TESTS and seconds < MOST_SECONDS:
            tests.append(test)
            seconds += took
    direct = [test for test in tests if test.startswith(DIRECT)]
    others = [test for test in tests if test not in direct]
    return [batch for batch in (direct, others) if batch]


def _is_reached(name: str, wanted: set[str]) -> bool:
    """Return whether the name is wanted. A function inside another is reached through the outer one."""
    return name in wanted or any(other.startswith(f"{name}.") for other in wanted)


def _reached(warm: Warm) -> dict[str, tuple[float, list[str]]]:
    """Return for each test its duration and the reached parts of the product. Cached until the test's file changes."""
    known: dict[str, Any] = json.loads(REACHED.read_text()) if REACHED.exists() else {}
    marks = {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in TEST_FILES}
    missing = [file for file in TEST_FILES if known.get(file, {}).get("mark") != marks[file]]
    trials = [Trial(name=file, tests=[[file]], prepare=lambda folder, given: None, trace=True) for file in missing]
    for trial, verdict in warm.run(trials):
        print(f"{trial.name}: {len(verdict.ran)} tests in {verdict.seconds:.0f} s {verdict.error}", flush=True)
        tests = {test: (verdict.ran[test], verdict.touched[test]) for test in verdict.ran if test != verdict.failed}
        known[trial.name] = {"mark": marks[trial.name], "tests": tests}
        REACHED.parent.mkdir(parents=True, exist_ok=True)
        REACHED.write_text(json.dumps(known))
    return {test: tuple(facts) for file in TEST_FILES for test, facts in known[file]["tests"].items()}

"""Run each mutant against the one test that its table names."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutants import child, table
from tests.mutants.child import Verdict
from tests.mutants.guarded import CODE, kind_of, path_of_module
from tests.mutants.site import Mutant
from tests.mutants.warm import Trial, Warm


def test_files(subjects: list[str]) -> list[str]:
    entries = [entry for subject in subjects for entry in table.read(subject).values()]
    return sorted({entry.killed_by.split("::")[0] for entry in entries if entry.killed_by})


def prove(subjects: list[str], warm: Warm) -> dict[str, Counter[str]]:
    """Print the outcome of each mutant that is not killed, and return the counts by subject."""
    counts: dict[str, Counter[str]] = {subject: Counter() for subject in subjects}
    named = sorted({entry.killed_by for subject in subjects for entry in table.read(subject).values()} - {""})
    for test, verdict in green(named, warm).items():
        if verdict.failed or verdict.is_fault or test not in verdict.ran:
            raise SystemExit(f"{test} does not pass without a mutant: {verdict.error or 'unknown test'}")
    for trial, verdict in warm.run(_trials(subjects, warm, counts)):
        subject, mutant = trial.name
        outcome = verdict.outcome
        counts[subject][outcome] += 1
        if outcome != "killed":
            print(f"{outcome}: {subject}: {mutant.name}\n    {trial.tests[0][0]}\n    {verdict.error}", flush=True)
    return counts


def green(tests: list[str], warm: Warm) -> dict[str, Verdict]:
    """Run the unaltered tests, file by file."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.split("::")[0]].append(test)
    trials = [Trial(name=file, tests=[tests], prepare=_nothing) for file, tests in files.items()]
    verdicts = {}
    for trial, verdict in warm.run(trials):
        verdicts |= dict.fromkeys(trial.tests[0], verdict)
    return verdicts


def mutants_by_subject(subjects: list[str], warm: Warm) -> dict[str, list[Mutant]]:
    def read() -> dict[str, list[Mutant]]:
        from nightshift.database.queries import Database
        from tests.mutants.found import mutants_of_subject
        from tests.support.fixtures import settings_for

        owner = Database(settings_for(warm.given["postgres"], warm.given["template"], user="postgres"))
        found = {subject: mutants_of_subject(subject, owner=owner) for subject in subjects}
        owner.close()
        return found

    answer: dict[str, list[Mutant]] = warm.ask(read)
    return answer


def trial_of(subject: str, mutant: Mutant, tests: list[list[str]]) -> Trial:
    def prepare(folder: Path, given: dict[str, Any]) -> None:
        match kind_of(subject):
            case "query":
                child.put_query(subject, mutant.text, folder / "sql")
            case "module":
                path = path_of_module(subject).relative_to(CODE)
                child.put_module(".".join(path.with_suffix("").parts), mutant.text)
            case _:
                given["template"] = child.altered_template(given, mutant.text)

    return Trial(name=(subject, mutant), tests=tests, prepare=prepare)


def _trials(subjects: list[str], warm: Warm, counts: dict[str, Counter[str]]) -> Iterator[Trial]:
    for subject, mutants in mutants_by_subject(subjects, warm).items():
        entries = table.read(subject)
        for mutant in mutants:
            entry = entries.get(mutant.name)
            if entry is None:
                print(f"survived: {subject}: {mutant.name}\n    no entry in its table", flush=True)
                counts[subject]["survived"] += 1
            elif entry.same_because:
                counts[subject]["same"] += 1
            else:
                yield trial_of(subject, mutant, [[entry.killed_by]])


def _nothing(folder: Path, given: dict[str, Any]) -> None:
    pass

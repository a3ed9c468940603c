"""Try the mutants: python -m tests.mutants [--find] [SUBJECT …]; SUBJECT may also be a part of a subject's name.

Each mutant is installed in a separate process. There the test that the table names must fail. With --find, the tests
that reach a mutant without an entry run until one fails, and that test becomes the table's entry. The exit code is 1 if
a mutant survives or cannot be tried.
"""

import argparse
import sys
import time
from collections import Counter

from tests.mutants import finding, proving
from tests.mutants.guarded import SUBJECTS
from tests.mutants.warm import warmed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="*", help="queries, tables, functions and modules (default: all)")
    parser.add_argument("--find", action="store_true", help="find tests that kill the mutants without an entry")
    asked = parser.parse_args()
    subjects = [name for name in SUBJECTS if not asked.subjects or any(_is_of(name, part) for part in asked.subjects)]
    if not subjects:
        parser.error(f"No subject's name contains {' or '.join(asked.subjects)}. Subjects: {', '.join(SUBJECTS)}")
    began = time.monotonic()
    files = finding.TEST_FILES if asked.find else proving.test_files(subjects)
    with warmed(files) as warm:
        counts = finding.find(subjects, warm) if asked.find else proving.prove(subjects, warm)
    _print_table(counts)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if any(counts[subject]["survived"] or counts[subject]["fault"] for subject in counts) else 0


def _is_of(subject: str, part: str) -> bool:
    return subject == part if part in SUBJECTS else part in subject


def _print_table(counts: dict[str, Counter[str]]) -> None:
    total: Counter[str] = Counter()
    print(f"\n{'':28}{'mutants':>9}{'killed':>9}{'the same':>10}{'survived':>10}{'fault':>8}")
    for subject, count in [*counts.items(), ("all", total)]:
        killed, same, survived, fault = (count[kind] for kind in ("killed", "same", "survived", "fault"))
        print(f"{subject:28}{killed + same + survived + fault:>9}{killed:>9}{same:>10}{survived:>10}{fault:>8}")
        total += count


if __name__ == "__main__":
    sys.exit(main())

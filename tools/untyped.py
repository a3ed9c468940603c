"""Check that few expressions of the shared package are untyped (Any): python -m tools.untyped REPORT.

REPORT is the file any-exprs.txt of ``mypy --any-exprs-report``. mypy takes an alias of a type with Any, such as
``Row = dict[str, Any]``, for typed, so write such a type out.
"""

import sys
from pathlib import Path

# In percent. What is left comes from JSON of strangers and from packages without types.
MOST = 2.0


def untyped(report: str) -> tuple[int, int]:
    """Return the untyped expressions of nightshift and all its expressions, from the lines ``module untyped all …``."""
    rows = [line.split() for line in report.splitlines()]
    counts = [(int(row[1]), int(row[2])) for row in rows if row and row[0].partition(".")[0] == "nightshift"]
    return sum(few for few, _ in counts), sum(every for _, every in counts)


def main() -> int:
    few, every = untyped(Path(sys.argv[1]).read_text())
    share = 100 * few / every
    print(f"{few:,} of {every:,} expressions of nightshift are untyped: {share:.2f} % (at most {MOST:g} %)")
    return int(share >= MOST)


if __name__ == "__main__":
    sys.exit(main())

"""Stored lines of a run's log: a row holds those that one statement stored."""

from typing import Any, NamedTuple


class LogRow(NamedTuple):
    """A row of job_run_logs. ``last_line`` is the number of its last line."""

    last_line: int
    slice: int
    lines: list[dict[str, Any]]

    def numbered(self) -> list[dict[str, Any]]:
        """Return the lines as the API shows them, each with ``line``, its number, and ``slice``."""
        first = self.last_line - len(self.lines) + 1
        return [
            {"line": number, "slice": self.slice, "fields": {}} | line
            for number, line in enumerate(self.lines, start=first)
        ]

"""Stored lines of a run's log: a row holds those that one statement stored."""

from typing import Any, NamedTuple
from uuid import UUID

from nightshift.database.queries import Database


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


def last_lines(run_id: UUID, *, at_most: int, db: Database) -> list[dict[str, Any]]:
    """Return the last lines that the run logged, oldest first."""
    rows = db.query_as(LogRow, "newest_log_lines", run_id=run_id, at_most=at_most)
    return [line for row in reversed(rows) for line in row.numbered()][-at_most:]

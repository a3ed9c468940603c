"""The server's clock. Ages must not depend on the clock of this machine."""

from datetime import MAXYEAR, UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# A ``Date`` header has whole seconds, and the response takes some time to arrive.
TOLERATED = timedelta(seconds=5)


class Clock:
    """This machine's clock, corrected by the last response."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def hear(self, date: str | None) -> None:
        """Follow the ``Date`` header of a response. Ignore a missing or unreadable one."""
        try:
            told = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if told.year == MAXYEAR:
            return  # adding time to it would overflow
        ahead = (told if told.tzinfo else told.replace(tzinfo=UTC)) - datetime.now(UTC)
        self._ahead = ahead if abs(ahead) > TOLERATED else timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

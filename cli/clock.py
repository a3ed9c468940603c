"""The server's clock: how long ago something was must not depend on how the clock of this machine is set."""

from datetime import MAXYEAR, UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# An answer tells the time in whole seconds, and takes a while to come.
TOLERATED = timedelta(seconds=5)


class Clock:
    """This machine's, put right by what the last answer told."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def hear(self, date: str | None) -> None:
        """Follow the ``Date`` of an answer. A missing or unreadable one changes nothing."""
        try:
            told = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if told.year == MAXYEAR:
            return  # and a moment later there would be no such time
        ahead = (told if told.tzinfo else told.replace(tzinfo=UTC)) - datetime.now(UTC)
        self._ahead = ahead if abs(ahead) > TOLERATED else timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

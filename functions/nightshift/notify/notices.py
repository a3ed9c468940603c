"""The rows of a mail or an event that is about to be sent."""

from datetime import datetime
from typing import NamedTuple, NotRequired, TypedDict
from uuid import UUID

from nightshift.database.run_row import RunRow


class AlertText(TypedDict):
    """The text of a mail that is not about a run, as the outbox stores it."""

    subject: str
    lines: list[str]
    reason: NotRequired[str]
    """Why its reader gets the mail."""
    page: NotRequired[str]
    """A page of the dashboard, to which the mail links."""
    confirms: NotRequired[bool]
    """The mail asks its reader to confirm the address: the link gets a token when the mail is sent."""
    alert_id: NotRequired[str]
    """The alert of a team that tells this. The mail is sent while the alert has its recipient."""


class Notice(NamedTuple):
    """A claimed row of the outbox (claim_outbox.sql): a mail about a run, an alert, a digest or an event."""

    outbox_id: UUID
    kind: str
    """``mail`` or ``event``."""
    recipient: str | None
    content: AlertText | None
    """None for a mail about a run and for an event. A digest has another content, which nothing reads."""
    attempts: int
    last_error: str | None
    digest_of: UUID | None
    """The team whose runs a digest reports, or whose share an alert takes."""
    run: RunRow | None

    @property
    def event(self) -> RunRow | None:
        """The run whose end the event tells; None for a mail."""
        return self.run if self.kind == "event" else None

    @property
    def is_digest(self) -> bool:
        return self.digest_of is not None and "subject" not in (self.content or {})

    @property
    def run_id(self) -> UUID | None:
        return self.run and self.run.id

    @property
    def project_id(self) -> UUID | None:
        return self.run and self.run.project_id

    @property
    def team_id(self) -> UUID | None:
        return self.run.team_id if self.run else self.digest_of


class Names(NamedTuple):
    """The names of a notice's project and team; None if they are deleted or cannot be read."""

    project: str | None = None
    team: str | None = None


class DigestLine(NamedTuple):
    """A run that a digest names, and the counts of all its runs, as list_digest.sql returns them."""

    job_type: str
    status: str
    error: str | None
    completed_at: datetime
    project: str | None
    completed: int
    failed: int
    cancelled: int

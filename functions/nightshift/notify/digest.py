"""The mail about several runs at once, sent after a team has reached its limit of single mails."""

from collections.abc import Sequence
from uuid import UUID

from nightshift.base import wording
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify.mail_content import MAX_SUBJECT, MailContent, Table
from nightshift.notify.notices import DigestLine, Names

REASON = (
    "You get this mail because you asked for a notification when these runs end (notify). It covers several runs "
    "because this team has reached its limit of mails per hour."
)


def describe_digest(
    runs: Sequence[DigestLine], *, team_id: UUID | None, names: Names, dashboard_url: str
) -> MailContent:
    """Return the content of the team's digest of these runs: one or more."""
    counts = {"completed": runs[0].completed, "failed": runs[0].failed, "cancelled": runs[0].cancelled}
    ended = sum(counts.values())
    noun = "run" if ended == 1 else "runs"
    subject = wording.one_line(f"{wording.number(ended)} {noun} ended: {names.team}", longest=MAX_SUBJECT)
    left_out = ended - len(runs)
    note = f"The dashboard lists {wording.number(left_out)} more." if left_out else ""
    return MailContent(
        tone="failed" if counts["failed"] else "completed",
        subject=subject,
        badge="Digest",
        title=subject,
        paragraphs=[", ".join(f"{wording.number(count)} {status}" for status, count in counts.items() if count)],
        sections=[Table("Runs", ["Job", "Project", "Status", "Ended"], [_line(run) for run in runs], note)],
        link=f"{dashboard_url.rstrip('/')}/?team={team_id}" if dashboard_url else "",
        link_text="Open the list",
        reason=REASON,
    )


def _line(run: DigestLine) -> list[str]:
    known = JOB_TYPES.get(run.job_type)
    status = f"failed: {wording.one_line(run.error, longest=80)}" if run.error else run.status
    return [
        wording.one_line(known.label if known else run.job_type, longest=40),
        wording.one_line(run.project or "", longest=40),
        status,
        wording.moment(run.completed_at),
    ]

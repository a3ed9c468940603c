"""Promises about mails and events: one attempt at a time, none earlier than agreed, accepted outside only once."""

from collections import Counter
from datetime import timedelta

from nightshift.notify.attempts import RETRY_CEILING_S, RETRY_DELAY_S
from tests.simulation.promises import Change, Row, promise, promise_over, promise_time
from tests.simulation.world import World


class NoticePromises:
    def __init__(self, world: World):
        self.world = world

    def of_notice(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after is None:
            return
        name = f"the {before['kind']} about {self.world.name_of(before['run_id'] or 'the server')}"
        is_still = before["status"] == "unsent" or before["status"] == after["status"]
        promise(is_still, f"{name} changed from {before['status']} to {after['status']}")
        if after["attempts"] == before["attempts"] + 1:
            self._of_attempt(name, change, before, after)
        elif after["resends"] == before["resends"] + 1:
            self._of_message(name, change, before, after)

    def each_once(self) -> None:
        """Check at rest that each was accepted once outside, plus once for each attempt with an unknown outcome."""
        accepted = Counter(each.notice for each in self.world.outside.delivered)
        excused = Counter(each.notice for each in self.world.outside.delivered if each.actor.was_disturbed)
        for notice, times in accepted.items():
            lost = excused[notice]
            promise(times <= 1 + lost, f"notice {notice} was sent {times} times, but only {lost} answers were lost")
        sent = {str(notice) for (notice,) in self.world.owner.run_script(SENT)}
        promise(sent <= accepted.keys(), f"marked as sent, but never accepted outside: {sent - accepted.keys()}")
        digested = self.world.owner.run_script(
            "SELECT digest_id, count(*) FROM job_outbox WHERE status = 'digested' GROUP BY digest_id"
        )
        for digest_id, count in digested:
            told = [each.subject for each in self.world.outside.delivered if each.notice == str(digest_id)]
            # The subject begins with the number of mails. Mails may have been deleted since.
            is_told = any(int(subject.split()[0]) >= count for subject in told)
            promise(is_told, f"a digest has {count} mails, but was sent as {told}")
        owed = self.world.owner.run_script(OWED)
        promise(
            not owed, f"runs without their mail or event: {[(self.world.name_of(str(id)), kind) for id, kind in owed]}"
        )

    def _of_attempt(self, name: str, change: Change, before: Row, after: Row) -> None:
        promise_over(before["retry_at"], change.at, f"{name} was tried again too early")
        if before["claimed_until"]:
            promise_over(before["claimed_until"], change.at, f"two functions tried {name} at the same time")
        pause_s = min(RETRY_DELAY_S * 2 ** before["attempts"], RETRY_CEILING_S)
        promise_time(after["retry_at"], change.at + timedelta(seconds=pause_s), f"{name} is tried again")

    def _of_message(self, name: str, change: Change, before: Row, after: Row) -> None:
        config = self.world.config
        promise_over(before["send_at"], change.at, f"the message about {name} was sent too early")
        pause_s = min(config.resend_delay_s * 2 ** before["resends"], config.resend_ceiling_s)
        promise_time(after["send_at"], change.at + timedelta(seconds=pause_s), f"the message about {name} is repeated")


SENT = "SELECT CASE kind WHEN 'event' THEN run_id ELSE id END FROM job_outbox WHERE status = 'sent'"
# Each ending owes an event. A system run's ending owes the operator a mail; a project run's, the member who asked for
# it.
OWED = """
SELECT run.id, owed.kind
FROM job_runs run, (VALUES ('mail'), ('event')) AS owed (kind)
WHERE run.completed_at IS NOT NULL
  AND (owed.kind = 'event' OR run.project_id IS NOT NULL AND run.notify AND EXISTS (
           SELECT FROM team_members member
           WHERE member.team_id = run.team_id AND run.triggered_by = 'manual:user:' || member.user_id)
       OR run.project_id IS NULL AND run.status <> 'cancelled')
  AND NOT EXISTS (SELECT FROM job_outbox notice WHERE notice.run_id = run.id AND notice.kind = owed.kind)
"""

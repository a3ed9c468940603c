"""Promises at rest, after all faults and enough time: no work is left, and nothing is missing."""

from tests.simulation.promises import Promises, promise
from tests.simulation.slot_promises import SlotPromises

# Each query finds rows that must not exist at rest.
LEFT_OVER = {
    "live": "SELECT id, status, slice FROM job_runs WHERE status IN ('pending', 'running')",
    "ended without its mails": "SELECT id, untold FROM job_runs WHERE untold IS NOT NULL",
    "unsent": "SELECT run_id, kind, attempts, error FROM job_outbox WHERE status = 'unsent'",
    "given up": "SELECT run_id, kind, error FROM job_outbox WHERE status = 'failed'",
    "set aside": "SELECT healer, key, error FROM job_set_aside",
    "a slice without an end": "SELECT run_id, slice FROM job_timeline WHERE ended_at IS NULL",
    "a second row of one mail": "SELECT run_id, recipient FROM job_outbox WHERE kind = 'mail' AND run_id IS NOT NULL"
    " GROUP BY run_id, recipient HAVING count(*) > 1",
    "a mail to a person outside the run's team": "SELECT run_id, recipient FROM job_outbox notice"
    " JOIN job_runs run ON run.id = notice.run_id WHERE recipient IS NOT NULL AND NOT EXISTS ("
    "SELECT FROM users JOIN team_members member ON member.user_id = users.id"
    " WHERE member.team_id = run.team_id AND users.email = notice.recipient)",
    "in a transaction": "SELECT pid, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    " AND datname = current_database()",
}


def look_at_rest(promises: Promises) -> None:
    world = promises.world
    for what, query in LEFT_OVER.items():
        found = world.owner.run_script(query)
        names = {world.name_of(str(row[0])): row[1:] for row in found}
        promise(not found, f"still there at rest: {what}: {names}")
    promises.notices.each_once()
    SlotPromises(world).each_once()
    for run in world.runs.values():
        is_kept = not run.cancel_accepted or run.status == "cancelled"
        promise(is_kept, f"{run.name} is {run.status} although its cancel was accepted")

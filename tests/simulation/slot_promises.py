"""Promises about schedules: each slot is decided once, none is left out, and paused schedules start nothing."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

from tests.simulation import jobs
from tests.simulation.promises import Change, moment, promise
from tests.simulation.world import World


class SlotPromises:
    def __init__(self, world: World):
        self.world = world

    def of_slot(self, change: Change) -> None:
        row = change.after
        if row is None:
            return
        promise(change.before is None, f"the slot {row['slot']} was decided twice")
        promise(moment(row["slot"]) <= change.at + timedelta(minutes=15), f"the slot {row['slot']} was decided early")
        if row["outcome"] in ("started", "caught_up"):
            promise(row["run_id"] in self.world.runs, f"the slot {row['slot']} started no run")

    def of_pause(self, change: Change) -> None:
        if change.before:
            self.world.paused_at.pop((change.before["job_type"], change.before["what"]))
        if change.after:
            self.world.paused_at[change.after["job_type"], change.after["what"]] = change.seen_at

    def each_once(self) -> None:
        """Check at rest that each kept slot has its row, and its own run if it started one."""
        kept_since = self.world.now - timedelta(days=self.world.config.retention_days, hours=-1)
        for job_type, seconds in jobs.SCHEDULED_EVERY_S.items():
            [(following,)] = self.world.owner.run_script(
                f"SELECT next_slot FROM job_schedules WHERE job_type = '{job_type}'"
            )
            rows = self.world.owner.run_script(
                f"SELECT slot, run_id, outcome FROM job_schedule_slots WHERE job_type = '{job_type}' ORDER BY slot"
            )
            decided = [slot for slot, *_ in rows if kept_since < slot < following]
            for slot, after in pairwise(decided):
                promise(
                    after - slot == timedelta(seconds=seconds), f"{job_type} has no slot between {slot} and {after}"
                )
            late = self.world.now - timedelta(seconds=max(seconds, 1800))
            promise(following > late, f"the slots of {job_type} are decided only until {following}")
            started = Counter(run_id for _, run_id, outcome in rows if outcome in ("started", "caught_up"))
            promise(set(started.values()) <= {1}, f"two slots of {job_type} started the same run")

"""Promises about each change of a run: who may make it, when, and which other changes it needs."""

from datetime import timedelta

from nightshift.jobs import Retry
from nightshift.runs.job_steps import BUSY_RETRY, EXHAUSTED_RETRY
from tests.simulation import jobs
from tests.simulation.promises import LIVE, Change, Row, moment, promise, promise_over, promise_time
from tests.simulation.world import Known, World

# The columns that are final after the end. Unwritten mails and the team of a moved project can still change.
FINAL = (
    "status",
    "slice",
    "cursor",
    "cursor_version",
    "progress",
    "result",
    "error",
    "completed_at",
    "lease_expires_at",
)
# The columns that only the slice's lease holder may write, and the sweep after the lease's end.
HELD = ("status", "slice", "cursor", "cursor_version", "progress", "result", "error", "lease_expires_at")

# The beginning or a part of an error, and the policy whose retries must be used up by then.
POLICIES = {
    "stumbled": "job",
    "does not exist": "job",
    "The database was busy": "busy",
    "The database is short": "exhausted",
}


class RunPromises:
    def __init__(self, world: World):
        self.world = world
        self.moved: set[str] = set()

    def of_run(self, change: Change) -> None:
        if change.before is None:
            self._of_new(change)
            return
        run = self.world.runs[change.before["id"]]
        if change.after is None:
            promise(
                change.before["status"] not in LIVE, f"{run.name} was deleted while it was {change.before['status']}"
            )
            run.is_deleted = True
            return
        run.row = change.after
        if change.before["status"] in LIVE:
            self._of_live(run, change, change.before, change.after)
        else:
            changed = [name for name in FINAL if change.before[name] != change.after[name]]
            promise(not changed, f"{run.name} had ended as {change.before['status']}, but then changed {changed}")
        run.status = change.after["status"]

    def of_step(self, change: Change) -> None:
        assert change.after
        run, place = self.world.runs[change.after["run_id"]], change.after["place"]
        if place is None:
            run.places = 0
            return
        promise(place == run.places, f"{run.name}: step {place} was written after {run.places} committed steps")
        run.places += 1

    def of_lone_step(self, change: Change) -> None:
        row = change.after
        assert row
        name = self.world.runs[row["run_id"]].name
        holds = change.actor and change.actor.claimed == (row["run_id"], row["slice"])
        promise(holds and row["status"] in LIVE, f"{name}: run_alone ran a statement of a lost slice")
        leased = row["lease_expires_at"] and moment(row["lease_expires_at"]) > change.at
        promise(leased, f"{name}: run_alone ran a statement after the lease's end, {row['lease_expires_at']}")

    def of_what_was_committed_together(self) -> None:
        """Check that a step's rows, cursor and progress were committed together or not at all."""
        for run_id in self.moved:
            run = self.world.runs[run_id]
            if run.row["job_type"] == "soft_delete_cleanup":
                continue
            place = (run.row["cursor"] or {}).get("place", 0)
            promise(place == run.places, f"{run.name}: its cursor is at {place}, but {run.places} steps are committed")
            shown = (run.row["progress"] or {}).get("processed", 0)
            promise(shown == place, f"{run.name}: it shows {shown} steps, but its cursor is at {place}")
        self.moved.clear()

    def _of_new(self, change: Change) -> None:
        row, actor = change.after, change.actor
        promise(row and actor, "a run was inserted by no actor")
        assert row
        assert actor
        name = actor.name if row["project_id"] else f"{actor.name}-{row['job_type']}"
        for other in self.world.runs.values():
            same = (other.row["job_type"], other.row["project_id"]) == (row["job_type"], row["project_id"])
            promise(not same or other.status not in LIVE, f"{name} and {other.name} are live at the same time")
        for what in ("type", *(["schedule"] if row["triggered_by"] == "schedule" else [])):
            paused_at = self.world.paused_at.get((row["job_type"], what), change.at)
            promise(paused_at >= change.at, f"{name} was started although its {what} was paused")
        run = Known(name, row["params"].get("script", jobs.DEFAULT_SCRIPT), row=row)
        run.places = (row["cursor"] or {}).get("place", 0)
        self.world.runs[row["id"]] = run
        self.world.names[name] = row["id"]

    def _of_live(self, run: Known, change: Change, before: Row, after: Row) -> None:
        actor = change.actor
        is_worker = bool(actor and actor.claimed and actor.claimed[0] == before["id"])
        if is_worker and any(before[name] != after[name] for name in HELD):
            assert actor
            assert actor.claimed
            number = actor.claimed[1]
            promise(number == before["slice"], f"{run.name}: a worker of slice {number} wrote to {before['slice']}")
        if before["lease_expires_at"] is None and after["lease_expires_at"]:
            self._of_claim(run, change, before, after)
        elif after["slice"] != before["slice"] and is_worker:
            self._of_handing_over(run, change, before, after)
        elif after["slice"] != before["slice"]:
            self._of_loss(run, change, before, after)
        elif after["resends"] > before["resends"]:
            self._of_resend(run, change, before, after)
        elif after["due_at"] != before["due_at"] and moment(after["due_at"]) > change.at:
            self._of_hold(run, change, before, after)
        if after["cursor"] != before["cursor"]:
            promise(is_worker, f"{run.name}: {actor and actor.name} moved its cursor without holding its slice")
            assert actor
            self._of_step(run, after, release=actor.environment.release)
        if after["status"] not in LIVE:
            self._of_ending(run, change, before, after)

    def _of_claim(self, run: Known, change: Change, before: Row, after: Row) -> None:
        number = after["slice"]
        promise(number not in run.claimed, f"{run.name}: slice {number} was claimed twice")
        run.claimed.add(number)
        promise_over(before["due_at"], change.at, f"{run.name}: slice {number} was claimed before it was due")
        promise(before["cancel_requested_at"] is None, f"{run.name} was claimed after its cancel was requested")
        if before["ends_by"]:
            promise(moment(before["ends_by"]) > change.at, f"{run.name} was claimed after {before['ends_by']}")
        longest = timedelta(seconds=jobs.TYPES[after["job_type"]].max_duration_s)
        # A hold has moved the time limit of a run that had begun before.
        limit = moment(before["ends_by"]) if before["ends_by"] else moment(after["started_at"]) + longest
        promise_time(after["ends_by"], limit, f"{run.name} may take until")
        self._of_places(after, change)

    def _of_places(self, after: Row, change: Change) -> None:
        job_type = after["job_type"]
        if (most := jobs.TYPES[job_type].at_once) is None:
            return
        rows = [run.row for run in self.world.runs.values() if run.row["job_type"] == job_type and not run.is_deleted]
        working = [row for row in rows if row["lease_expires_at"] and moment(row["lease_expires_at"]) > change.at]
        promise(len(working) <= most, f"{len(working)} runs of {job_type} work at once, but only {most} may")

    def _of_hold(self, run: Known, change: Change, before: Row, after: Row) -> None:
        promise(before["lease_expires_at"] is None, f"{run.name} was held while a worker held it")
        promise_over(before["due_at"], change.at, f"{run.name} was held before it was due")
        due = moment(after["due_at"])
        promise_time(
            after["resend_at"], due + timedelta(seconds=self.world.config.resend_delay_s), f"{run.name} is held"
        )
        if before["ends_by"]:
            limit = moment(before["ends_by"]) + (due - change.at)
            promise_time(after["ends_by"], limit, f"{run.name} was held and may take until")

    def _of_handing_over(self, run: Known, change: Change, before: Row, after: Row) -> None:
        promise(after["slice"] == before["slice"] + 1, f"{run.name}: {after['slice']} came after {before['slice']}")
        promise(before["cancel_requested_at"] is None, f"{run.name} hands over after its cancel was requested")
        wait_s = 0.0
        counts, counted = after["failed_attempts"], before["failed_attempts"]
        if policy := next((name for name in counts if counts[name] > counted.get(name, 0)), None):
            run.tried_again[policy] += 1
            tried = run.tried_again[policy]
            promise(counts[policy] == tried, f"{run.name} counts {counts}, but was retried {run.tried_again} times")
            promise(before["cursor"] == after["cursor"], f"{run.name}: a slice that failed moved the cursor")
            wait_s = _retries(after["job_type"])[policy].delay_s * 2 ** (tried - 1)
        elif after["waiting_for"]:
            place = after["cursor"].get("place")
            wait_s = jobs.WAITS[run.script[place - 1]] if place else jobs.CLEANUP_WAIT_S
        self._is_due_in(wait_s, run, change, after)

    def _of_loss(self, run: Known, change: Change, before: Row, after: Row) -> None:
        config = self.world.config
        run.lost_in_a_row += 1
        run.lost_in_total += 1
        promise(after["slice"] == before["slice"] + 1, f"{run.name}: {after['slice']} came after {before['slice']}")
        promise_over(before["lease_expires_at"], change.at, f"{run.name} was taken from a worker with a valid lease")
        promise(before["cancel_requested_at"] is None, f"{run.name} continues after its cancel was requested")
        promise(before["cursor"] == after["cursor"], f"{run.name}: the sweep moved its cursor")
        promise(
            run.lost_in_a_row < config.lost_slices_limit and run.lost_in_total < config.lost_slices_ceiling,
            f"{run.name} continues after {run.lost_in_a_row} lost slices in a row, {run.lost_in_total} in all",
        )
        self._is_due_in(0, run, change, after)

    def _is_due_in(self, wait_s: float, run: Known, change: Change, after: Row) -> None:
        due = change.at + timedelta(seconds=wait_s)
        promise_time(after["due_at"], due, f"{run.name} is due {wait_s} s after its slice's end")
        # The sweep ends a wait that is too long for SQS's delay; no message is sent for it.
        resend_s = 0 if wait_s > 900 else self.world.config.resend_delay_s
        promise_time(after["resend_at"], due + timedelta(seconds=resend_s), f"{run.name}: its message is sent again")

    def _of_resend(self, run: Known, change: Change, before: Row, after: Row) -> None:
        config = self.world.config
        promise_over(before["resend_at"], change.at, f"{run.name}: its message was sent again too early")
        promise(before["lease_expires_at"] is None, f"{run.name}: its message was sent again while a worker held it")
        pause_s = min(config.resend_delay_s * 2 ** after["resends"], config.resend_ceiling_s)
        promise_time(
            after["resend_at"],
            change.at + timedelta(seconds=pause_s),
            f"{run.name}: its message, sent again {after['resends']} times, is sent again",
        )

    def _of_step(self, run: Known, after: Row, *, release: int) -> None:
        run.lost_in_a_row = 0
        run.tried_again.clear()
        self.moved.add(after["id"])
        if after["job_type"] == "soft_delete_cleanup":
            return
        version = after["cursor_version"]
        promise(version == release, f"{run.name}: release {release} wrote its cursor with version {version}")
        place = (after["cursor"] or {}).get("place", 0)
        if place == 0:  # the job starts from the beginning
            run.places = 0
        elif run.script[place - 1] == "o":  # this step writes no row
            promise(place in (1, run.places + 1), f"{run.name} is at {place}, but {run.places} steps are committed")
            run.places = place

    def _of_ending(self, run: Known, change: Change, before: Row, after: Row) -> None:
        run.ended_at_record = self.world.records_read
        status, asked = after["status"], after["cancel_requested_at"] is not None
        promise(asked == (status == "cancelled"), f"{run.name} ended as {status}; cancel requested: {asked}")
        if status == "completed" and after["job_type"] != "soft_delete_cleanup":
            promise(after["result"] == {"walked": len(run.script)}, f"{run.name} completed with {after['result']}")
            promise(
                run.places == len(run.script), f"{run.name} completed after {run.places} of {len(run.script)} steps"
            )
        if status == "failed":
            self._may_fail(run, change, after)

    def _may_fail(self, run: Known, change: Change, after: Row) -> None:
        config, error = self.world.config, after["error"]
        if error.startswith("Server restarted"):
            lost, total = run.lost_in_a_row + 1, run.lost_in_total + 1
            is_limit = lost >= config.lost_slices_limit or total >= config.lost_slices_ceiling
            promise(is_limit, f"{run.name} failed after {lost} lost slices in a row, {total} in all")
        elif error.startswith("It ran for longer"):
            promise_over(after["ends_by"], change.at, f"{run.name} failed as overlong")
        elif error.startswith("Wait.seconds"):
            last = change.at + timedelta(seconds=max(jobs.WAITS.values()))
            promise_over(after["ends_by"], last, f"{run.name} failed because its wait was too long, but it had time")
        elif error.startswith("Nothing was deleted"):
            promise(
                after["job_type"] == "soft_delete_cleanup",
                f"{run.name} is not a cleanup but failed with a cleanup's error: {error}",
            )
        else:
            policy = next((policy for said, policy in POLICIES.items() if said in error), None)
            promise(policy, f"{run.name} failed for a reason that is not in the play: {error}")
            assert policy
            tried, attempts = run.tried_again[policy], _retries(after["job_type"])[policy].attempts
            promise(tried == attempts, f"{run.name} failed with {error!r} after {tried} of {attempts} retries")


def _retries(job_type: str) -> dict[str, Retry]:
    return {"job": jobs.TYPES[job_type].retry, "busy": BUSY_RETRY, "exhausted": EXHAUSTED_RETRY}

"""RevenueCat Sync: updates subscriber data and revenue of a project's users, a few seconds of looks per step."""

import math
import time
from collections.abc import Callable, Generator
from typing import Any

from nightshift.jobs import JobDatabase, Progress, Run, Steps, Wait
from nightshift_jobs.revenuecat_sync.crew import Stop
from nightshift_jobs.revenuecat_sync.phases import ROTATION, ROTATION_OF_PAYERS
from nightshift_jobs.revenuecat_sync.place import KeyChanged, read_place
from nightshift_jobs.revenuecat_sync.revenuecat.answers import refusal
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import (
    Denied,
    Forbidden,
    OutOfTime,
    Postponed,
    RateLimited,
    Unavailable,
)
from nightshift_jobs.revenuecat_sync.revenuecat.http_calls import CallsOf, HttpCalls
from nightshift_jobs.revenuecat_sync.source import Source, count_users
from nightshift_jobs.revenuecat_sync.walk import MOST_RETRIES, SECOND_LOOK_S, Walk

CURSOR_VERSION = 2
# Users without an answer are tried again after so many seconds.
RETRY_AFTER_S = 30


def revenuecat_sync(
    run: Run, db: JobDatabase, *, clock: Callable[[], float] = time.time, calls: CallsOf = HttpCalls
) -> Steps:
    """Sync the project's users, or those who may have changed: at most three calls per user, one statement per step.

    Raises JobError if RevenueCat refuses the key or the project, or is unavailable for too long.
    """
    place = read_place(run, db)
    walk = _walk_of(run, db, place, clock())
    if not run.cursor:
        yield walk.progress(clock())
    with Source(run, db, walk, place, clock=clock, calls=calls) as source:
        try:
            source.open()
        except Denied as exc:
            yield _denied(walk, source, exc, run, db)
        except Unavailable as trouble:
            yield walk.waiting(trouble, source.save())
        yield from _Steps(run, db, walk, source).until_done()
        walk.require_success(source.knows_others)
        return walk.result(source.complete())


class _Steps:
    def __init__(self, run: Run, db: JobDatabase, walk: Walk, source: Source):
        self.run, self.db, self.walk, self.source = run, db, walk, source
        self.has_taken = False

    def until_done(self) -> Generator[Progress | Wait, None, None]:
        walk, crew, phases = self.walk, self.source.crew, self.source.phases
        while True:
            is_full = len(walk.retry) >= MOST_RETRIES and not walk.is_retrying
            stop = crew.work(stops_early=is_full)
            taken = crew.take()
            fails = any(isinstance(outcome, Unavailable) for _, outcome in taken)
            trouble = self.source.trouble(taken) if stop.why == "down" or (fails and walk.is_retrying) else None
            try:
                written = self.source.write(taken)
            except KeyChanged as exc:
                yield walk.wait(0, exc.waiting_for, self.source.save())
                continue
            if failed := walk.take(taken, written, is_outage=trouble is not None):
                self.source.note_failed(failed)
            self.has_taken = self.has_taken or any(not isinstance(outcome, Postponed) for _, outcome in taken)
            if trouble is None:
                crew.failed_in_a_row = 0 if stop.why == "down" else crew.failed_in_a_row
            elif step := self._after_trouble(trouble):
                yield step
                continue
            if stop.why == "done":
                # A slice may have time for one step alone, so the end is not committed a second time.
                was_over = walk.phase == "end" and not walk.retry
                goes_on = self._goes_on()
                if taken or not (goes_on or was_over):
                    yield walk.progress(self.source.save())
                if not goes_on:
                    return
                if walk.is_retrying and crew.trouble:
                    crew.trouble = None
                    yield walk.wait(RETRY_AFTER_S, _again(len(walk.retry)), self.source.save())
                continue
            yield self._after(stop)
            if is_full and not crew.is_flying:
                walk.is_retrying = True
                phases.restart()
                crew.turn_to_others()

    def _after(self, stop: Stop) -> Progress | Wait:
        walk = self.walk
        if stop.why == "ending" and not self.has_taken:
            self.source.governor.forget_latency()
        now = self.source.save()
        match stop:
            case Stop("denied", _, Denied() as exc):
                return _denied(walk, self.source, exc, self.run, self.db)
            case Stop("wait", wait_s, None | RateLimited()):
                return walk.waiting_for_the_limit(self.source.governor.sleep_s(now, wait_s), now)
            case Stop("wait", _, Unavailable() as trouble):
                return walk.waiting(trouble, now)
            case Stop("ending") if not self.has_taken:
                return walk.waiting(OutOfTime(), now)
            case Stop("ending") if self.run.slice_left_s > 0:
                return walk.wait(0, OutOfTime().waiting_for, now)
        return walk.progress(now)

    def _after_trouble(self, trouble: Exception) -> Wait | None:
        """Return the Wait for a RevenueCat that answers about no user. Raises if no wait helps."""
        if isinstance(trouble, Forbidden):
            trouble = refusal(str(trouble))
        if isinstance(trouble, Denied):
            return _denied(self.walk, self.source, trouble, self.run, self.db)
        if isinstance(trouble, Unavailable):
            return self.walk.waiting(trouble, self.source.save())
        raise trouble

    def _goes_on(self) -> bool:
        """Choose the next users: those that are tried again, or those of the next phase. Return False at the end."""
        walk, crew, phases = self.walk, self.source.crew, self.source.phases
        crew.turn_to_others()
        if walk.is_retrying and not walk.retry:
            walk.is_retrying = False
            phases.restart()
            if walk.phase != "end":
                return True
        if not walk.is_retrying and phases.move_on():
            return True
        walk.is_retrying = bool(walk.retry)
        phases.restart()
        return walk.is_retrying


def _walk_of(run: Run, db: JobDatabase, place: dict[str, Any], now: float) -> Walk:
    if run.cursor:
        return Walk.of(run.cursor, run_id=run.id, now=now)
    known = db.read("known_app_user", project_id=run.project_id)
    walk = Walk(
        total=0,
        run_id=run.id,
        began=place["now"],
        known=known[0]["user_id"] if known else None,
        pace=[now, 0],
    )
    is_complete = place["is_complete"] and place["include_sandbox"] is bool(run.params.get("include_sandbox"))
    if run.params.get("mode") == "full" or not is_complete:
        walk.begin("full", count_users(run, db))
    else:
        extent = db.read("sync_extent", project_id=run.project_id)[0]
        in_turn = math.ceil(extent["running"] / ROTATION_OF_PAYERS) + math.ceil(extent["others"] / ROTATION)
        walk.begin("incremental", extent["due"] + extent["newcomers"] + in_turn)
    return walk


def _denied(walk: Walk, source: Source, exc: Denied, run: Run, db: JobDatabase) -> Wait:
    """Return the Wait for another key, or for a second look at this one. Raises the refusal after that."""
    if read_place(run, db)["fingerprint"] != source.fingerprint:
        return walk.wait(0, KeyChanged().waiting_for, source.save())
    if walk.is_denied:
        raise exc
    walk.is_denied = True
    return walk.wait(SECOND_LOOK_S, "another look at the key that RevenueCat refused", source.save())


def _again(count: int) -> str:
    return f"another try of {count:,} users that RevenueCat did not answer for"

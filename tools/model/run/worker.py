"""A worker's statements (nightshift/runs: executor.py, slices.py), its messages, its crashes and its freezes."""

from collections.abc import Iterator

from tools.model.checker import Step
from tools.model.run.run_state import (
    CANCELLED,
    CLAIMING,
    CLEANING,
    COMPLETED,
    CURRENT,
    EARLY,
    ENDING,
    FAILED,
    HANDING_OVER,
    LOCKING,
    NO_PLACE,
    OPENED,
    RUNNING,
    SENDING,
    SENT_FIRST,
    WORKING,
    YIELDING,
    Message,
    Row,
    State,
    Worker,
    earlier,
)
from tools.model.run.scene import Scene, raised

Steps = Iterator[Step[State]]


def claim(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """``claim_slice.sql``: claim a number once, when it is due, while the run has time left and no worker holds it.

    A capped type takes a place in the same transaction (``make_places.sql``, ``take_place.sql``), which may fail.
    """
    if scene.is_locked:
        if scene.may("exceptions"):
            queue, left = _given_back(scene, worker), scene.spend("exceptions")
            yield scene.step("claim: BUSY", queue=queue, workers=rest, left=left)
        return
    rules, row = scene.rules, scene.row
    is_free = row.lease is None or (not rules.claim_no_lease and row.lease == 0)
    has_time = row.ends_by != 0 or not rules.claim_time_left
    fair = f"worker {CLAIMING}"
    if not (worker.number == CURRENT and scene.is_live and is_free and has_time):
        yield scene.step("claim: no row, message dropped", fair=fair, workers=rest)
    elif row.due and rules.claim_due:
        early = Worker(EARLY, target=row.due)
        yield scene.step("claim: not due", fair=fair, workers=[*rest, early])
    elif row.due:
        # Claimed, then found early and sent on: the row has a lease, but no worker holds it.
        leased = row._replace(status=RUNNING, lease=scene.sizes.lease, resend=None)
        early = Worker(EARLY, target=row.due)
        yield scene.step("claim, then seen: not due", fair=fair, row=leased, workers=[*rest, early])
    else:
        if scene.may("holds"):
            workers = [*rest, Worker(NO_PLACE)]
            yield scene.step("claim: no place is free", workers=workers, left=scene.spend("holds"))
        ends_by = row.ends_by
        if scene.sizes.duration and (ends_by is None or not rules.claim_sets_end_once):
            ends_by = scene.sizes.duration
        claimed = row._replace(status=RUNNING, lease=scene.sizes.lease, ends_by=ends_by)
        if rules.claim_clears_resend:
            claimed = claimed._replace(resend=None, resends=0)
        broken = f"short wait: claimed {row.real_wait} ticks too early" if row.real_wait else ""
        workers = [*rest, Worker(WORKING, cursor=row.cursor)]
        yield scene.step("claim", fair=fair, row=claimed, workers=workers, broken=broken)


def hold(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """``hold_slice.sql``: the slice that found no place is due later, and its message is sent on."""
    rules, row, wait = scene.rules, scene.row, scene.sizes.hold
    if scene.is_locked:
        return
    is_free = row.lease is None or not rules.hold_no_lease
    is_live = scene.is_live or not rules.hold_live
    fair = f"worker {NO_PLACE}"
    if not (worker.number == CURRENT and is_live and is_free and not row.due):
        yield scene.step("hold: no row, message dropped", fair=fair, workers=rest)
        return
    held = row._replace(due=wait, is_held=True, ends_by=None if row.ends_by is None else row.ends_by + wait)
    if rules.hold_resend:
        held = held._replace(resend=wait + scene.sizes.resend, resends=0)
    yield scene.step("hold", fair=fair, row=held, workers=[*rest, Worker(EARLY, target=wait)])


def send_on(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Send on an early message with the remaining delay, at most the delay that SQS allows."""
    fair = f"worker {EARLY}"
    if not scene.rules.early_sent_on:
        yield scene.step("early message dropped", fair=fair, workers=rest)
        return
    delay = min(worker.target, scene.sizes.longest_delay)
    yield from scene.sends(f"send on ({delay})", Message(worker.number, delay), fair=fair, workers=rest)


def work(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Take the job's next step at this cursor. Its statement waits while another session holds the row."""
    job, cursor = scene.sizes.job, worker.cursor
    letter = job[cursor] if cursor < len(job) else "."
    if scene.is_locked:
        if scene.may("exceptions"):
            yield scene.step("BUSY, slice abandoned", workers=rest, left=scene.spend("exceptions"))
        return
    if worker.at == SENT_FIRST:
        yield from hand_over(scene, worker, rest, "slice end")
    elif worker.at == OPENED:
        yield from hand_over(scene, worker._replace(target=cursor + 1), rest, "Wait")
    elif worker.asked:
        yield from end(scene, worker, rest, CANCELLED)
    else:
        if letter == "s":
            yield from save(scene, worker, rest)
        elif letter in "pk":
            yield from save_and_die(scene, worker, rest, cursor if letter == "p" else 1 - cursor)
        elif letter in "wl":
            target = cursor + 1 if letter == "w" else 1 - cursor
            wait = scene.sizes.wait
            yield from hand_over(scene, worker._replace(target=target, wait=wait, due=wait), rest, "Wait")
            if not scene.rules.statement_clock and letter == "w":
                opened = worker._replace(at=OPENED, wait=wait, due=wait)
                yield scene.step("a write begins the Wait's transaction", fair="worker work", workers=[*rest, opened])
        else:
            yield from end(scene, worker, rest, COMPLETED)
        if worker.stepped and letter != ".":
            yield from hand_over(scene, worker._replace(target=cursor), rest, "out of time")
        if scene.may("exceptions"):
            yield from _raise(scene, worker, rest)


def save(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """``save_progress.sql``: run the last statement of a step's transaction."""
    if _owns(scene, worker):
        saved = worker._replace(at=YIELDING, asked=scene.row.cancel)
        yield scene.step(f"yield {worker.cursor + 1} UPDATE", fair="worker work", workers=[*rest, saved])
    else:
        yield scene.step("yield: no row, slice lost", fair="worker work", workers=rest)


def save_and_die(scene: Scene, worker: Worker, rest: list[Worker], cursor: int) -> Steps:
    """``save_progress.sql`` in a job that kills its worker after each yield."""
    if not _owns(scene, worker):
        yield scene.step("yield: no row, slice lost", fair="worker work", workers=rest)
        return
    moved = cursor != scene.row.cursor
    lost = 0 if moved or not scene.rules.moved_cursor_alone else scene.row.lost
    row = scene.row._replace(cursor=cursor, lost=lost)
    label = "yield, then the job kills its worker"
    yield scene.step(label, fair="worker work", row=row, queue=_given_back(scene, worker), workers=rest)


def hand_over(scene: Scene, worker: Worker, rest: list[Worker], label: str) -> Steps:
    """``end_slice.sql``: store the cursor and the next number, due after the wait, unless a cancel was requested."""
    sends_first = not scene.rules.end_slice_sends_last and worker.at != SENT_FIRST
    if sends_first and worker.wait <= scene.sizes.longest_delay:
        sent = worker._replace(at=SENT_FIRST)
        message = Message(min(worker.number + 1, 1), worker.wait)
        yield from scene.sends(f"{label}: send first", message, fair="worker work", workers=[*rest, sent])
    elif not _owns(scene, worker):
        yield scene.step(f"{label}: no row, slice lost", fair="worker work", workers=rest)
    elif scene.row.cancel and scene.rules.end_slice_no_cancel:
        yield _refused(scene, worker, rest, label)
    else:
        handing = worker._replace(at=HANDING_OVER, real=worker.wait)
        yield scene.step(f"{label} UPDATE", fair="worker work", workers=[*rest, handing])


def end(scene: Scene, worker: Worker, rest: list[Worker], outcome: str) -> Steps:
    """``end_run.sql``: end the run as completed or failed, or as cancelled if a cancel was requested."""
    if not _owns(scene, worker):
        yield scene.step(f"{outcome}: no row, slice lost", fair="worker work", workers=rest)
    elif scene.row.cancel and outcome != CANCELLED and scene.rules.end_run_no_cancel:
        yield _refused(scene, worker, rest, outcome)
    else:
        ending = worker._replace(at=ENDING, outcome=outcome)
        yield scene.step(f"{outcome} UPDATE", fair="worker work", workers=[*rest, ending])


def _raise(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Roll back after a job's exception or a busy database; hand over or fail, as the policy says."""
    left = scene.spend("exceptions")
    retried = worker._replace(target=scene.row.cursor, wait=1, due=1)
    for step in (*hand_over(scene, retried, rest, "EXCEPTION, retry"), *end(scene, worker, rest, FAILED)):
        yield step._replace(state=step.state._replace(left=left), fair="")


def _owns(scene: Scene, worker: Worker) -> bool:
    is_own_number = worker.number == CURRENT or not scene.rules.fence_slice
    return is_own_number and (scene.is_live or not scene.rules.fence_live)


def _refused(scene: Scene, worker: Worker, rest: list[Worker], label: str) -> Step[State]:
    asked = Worker(WORKING, worker.number, worker.cursor, asked=True)
    return scene.step(f"{label}: no row, tries to end as cancelled", fair="worker work", workers=[*rest, asked])


def commit(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Commit a worker's changes. It sends the message to itself only afterwards."""
    row, broken = _committed(scene, worker)
    fair = f"worker {worker.at}"
    if worker.at == CLEANING:
        yield scene.step("cleanup COMMIT", fair=fair, row=row, workers=rest)
        if scene.has_faults:
            stands = "" if scene.rules.cleanup_in_step else "cancel without its step: the cleanup's was rolled back"
            yield scene.step("cleanup ROLLBACK", workers=rest, broken=stands)
    elif worker.at == YIELDING:
        going_on = Worker(WORKING, worker.number, worker.cursor + 1, asked=worker.asked, stepped=True)
        label = f"yield {worker.cursor + 1} COMMIT"
        yield scene.step(label, fair=fair, row=row, workers=[*rest, going_on], broken=broken)
    elif worker.at == HANDING_OVER:
        then = raised(scene.state.queue, rest)
        if worker.wait <= scene.sizes.longest_delay and scene.rules.end_slice_sends_last:
            then["workers"].append(Worker(SENDING, target=worker.due))
        yield scene.step("slice end COMMIT", fair=fair, row=row, broken=broken, **then)
    else:
        yield scene.step(f"{worker.outcome} COMMIT", fair=fair, row=row, workers=rest, broken=broken)


def send(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    message = Message(worker.number, worker.target)
    yield from scene.sends(f"send to itself ({worker.target})", message, fair=f"worker {SENDING}", workers=rest)


def _committed(scene: Scene, worker: Worker) -> tuple[Row, str]:
    """Return the row after the worker's commit, and the promise that the commit breaks."""
    row = scene.row
    if worker.at == CLEANING:
        return (scene.cancelled() if scene.rules.cleanup_in_step else row), ""
    broken = ""
    if not scene.is_live:
        broken = f"write after the end: the run was {row.status}"
    elif worker.number != CURRENT:
        broken = "stale write: a worker wrote under an old number"
    elif worker.cursor != row.cursor and worker.outcome in ("", COMPLETED):
        broken = f"step twice or skipped: the row is at {row.cursor}, its worker at {worker.cursor}"
    elif row.cancel and worker.outcome in (COMPLETED, FAILED):
        broken = f"cancel not honoured: it was accepted, and the run is {worker.outcome}"
    if worker.at == ENDING:
        return scene.ended(worker.outcome), broken
    if worker.at == YIELDING:
        return row._replace(cursor=worker.cursor + 1, lost=0), broken
    lost = row.lost if worker.target == row.cursor else 0
    ended = row._replace(
        cursor=worker.target, lost=lost, lease=None, due=worker.due, real_wait=worker.real, is_held=False
    )
    if scene.rules.end_slice_resend:
        is_long = worker.wait > scene.sizes.longest_delay
        ended = ended._replace(resend=worker.due + (0 if is_long else scene.sizes.resend), resends=0)
    return ended, broken


def crash(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Let the worker die or freeze, before or after its commit. SQS gives its message to another worker."""
    if not scene.may("crashes"):
        return
    left, queue = scene.spend("crashes"), _given_back(scene, worker)
    yield scene.step(f"CRASH at {worker.at}", queue=queue, workers=rest, left=left)
    if worker.at in LOCKING:
        row, broken = _committed(scene, worker)
        is_raised = worker.at == HANDING_OVER
        then = raised(queue, rest) if is_raised else {"queue": queue, "workers": rest}
        yield scene.step(f"CRASH after the COMMIT of {worker.at}", row=row, left=left, broken=broken, **then)
        if worker.at == YIELDING and not scene.rules.unknown_commit_abandons:
            again = Worker(WORKING, worker.number, worker.cursor, stepped=worker.stepped)
            yield scene.step("the answer of COMMIT LOST, the step again", row=row, workers=[*rest, again], left=left)
    if worker.at == EARLY:
        message = Message(worker.number, min(worker.target, scene.sizes.longest_delay))
        yield scene.step("CRASH after sending on", queue=[*queue, message], workers=rest, left=left)
    frozen = worker._replace(is_frozen=True)
    yield scene.step(f"FREEZE at {worker.at}", queue=queue, workers=[*rest, frozen], left=left)


def thaw(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Let a frozen worker thaw, at any time or never. A time-out of ``nightshift_worker`` ends its idle transaction."""
    yield scene.step(f"THAW at {worker.at}", workers=[*rest, worker._replace(is_frozen=False)])
    if worker.at in LOCKING and scene.rules.idle_timeout:
        yield scene.step("idle transaction ended", fair="database", workers=rest)


def _given_back(scene: Scene, worker: Worker) -> list[Message]:
    if worker.at == CLEANING:
        return list(scene.state.queue)
    return [*scene.state.queue, Message(worker.number, 0)]


ACTIONS = {
    CLAIMING: claim,
    EARLY: send_on,
    NO_PLACE: hold,
    WORKING: work,
    OPENED: work,
    SENT_FIRST: work,
    SENDING: send,
    YIELDING: commit,
    HANDING_OVER: commit,
    ENDING: commit,
    CLEANING: commit,
}


def tick(worker: Worker) -> Worker:
    """Return the worker one tick later. The clock of an open transaction stands still, so its wait ends too early."""
    if worker.at == HANDING_OVER:
        return worker._replace(due=earlier(worker.due), real=earlier(worker.real))
    return worker._replace(due=earlier(worker.due)) if worker.at == OPENED else worker

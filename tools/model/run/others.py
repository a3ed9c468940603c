"""All actions except a worker's: those of the sweep, a cancel, the cleanup, the queue and the clock."""

from collections.abc import Iterator

from tools.model.checker import Step
from tools.model.run.run_state import (
    ASKING,
    CANCELLED,
    CLAIMING,
    CLEANING,
    CURRENT,
    FAILED,
    HOLDING,
    NEXT,
    OLD,
    RUNNING,
    SWEEPING,
    Message,
    State,
    Worker,
    earlier,
    earlier_if_set,
)
from tools.model.run.scene import Scene, raised
from tools.model.run.worker import tick

Steps = Iterator[Step[State]]

IN_WORDS = {OLD: " (old number)", CURRENT: "", NEXT: " (number to come)"}


def pass_time(scene: Scene) -> Steps:
    """Let one tick pass. A worker that neither crashed nor froze ends its slice before its lease expires."""
    row, queue, workers, _ = scene.state
    is_held = any(worker.at in HOLDING and worker.number == CURRENT and not worker.is_frozen for worker in workers)
    if row.lease == 1 and is_held:
        return
    later = row._replace(
        lease=earlier_if_set(row.lease),
        due=earlier(row.due),
        resend=earlier_if_set(row.resend),
        ends_by=earlier_if_set(row.ends_by),
        real_wait=earlier(row.real_wait),
    )
    queue = tuple(message._replace(delay=earlier(message.delay)) for message in queue)
    yield scene.step("tick", fair="tick", row=later, queue=queue, workers=map(tick, workers))


def deliver(scene: Scene) -> Steps:
    """Deliver due messages in any order, as SQS does, and as a fault also messages that are due in a tick."""
    queue, workers = scene.state.queue, scene.state.workers
    busy = [worker for worker in workers if not worker.is_frozen and worker.at not in (ASKING, SWEEPING, CLEANING)]
    if len(busy) >= scene.sizes.workers:
        return
    for message in sorted(set(queue)):
        is_early = message.delay == 1 and scene.may("early")
        if message.delay == 0 or is_early:
            rest = list(queue)
            rest.remove(message)
            yield scene.step(
                f"deliver{IN_WORDS[message.number]}{' EARLY' if is_early else ''}",
                fair="" if is_early else f"deliver {message.number}",
                queue=rest,
                workers=[*workers, Worker(CLAIMING, message.number)],
                left=scene.spend("early") if is_early else None,
            )


def resend(scene: Scene) -> Steps:
    """``due_runs.sql``, ``resend_due.sql``: send a message that no worker claimed in time, with back-off."""
    row, rules, sizes = scene.row, scene.rules, scene.sizes
    is_free = row.lease is None or not rules.resend_no_lease
    if scene.is_locked or row.resend != 0 or not is_free or not (scene.is_live or not rules.resend_live):
        return
    broken = ""
    if not scene.is_live:
        broken = "message without end: the sweep sends for a run that is over"
    elif row.lease is not None:
        broken = "message without use: the sweep sends a number that is claimed"
    elif row.due:
        broken = "message without use: the sweep sends before the number is due"
    elif scene.nothing_was_lost and sizes.wait <= sizes.longest_delay and row.ends_by != 0:
        broken = "needless wait: no message was lost, and the run waits for the sweep"
    delay = min(sizes.resend * 2 ** (row.resends + 1), sizes.resend_most)
    resends = row.resends + 1 if delay < sizes.resend_most else row.resends
    sent = row._replace(resend=delay, resends=resends)
    yield from scene.sends("sweep: resend", Message(CURRENT, 0), fair="sweep resend", row=sent, broken=broken)


def expire(scene: Scene) -> Steps:
    """``due_runs.sql``, ``expire_leases.sql``: on the locked row: check cancel and limits, raise the number."""
    row = scene.row
    is_over = row.lease == 0 or (row.lease is not None and not scene.rules.expiry_over)
    if scene.is_locked or not (scene.is_live and is_over):
        return
    if scene.rules.expiry_locked_row:
        yield from _expire(scene, _decision(scene), list(scene.state.workers), fair="sweep expiry")
    elif not any(worker.at == SWEEPING for worker in scene.state.workers):
        picked = Worker(SWEEPING, outcome=_decision(scene))
        yield scene.step("sweep picks the run", fair="sweep expiry", workers=[*scene.state.workers, picked])


def act_on_picked(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Act on the earlier decision. Check only that the run is still live."""
    if scene.is_locked:
        return
    if scene.is_live:
        yield from _expire(scene, worker.outcome, rest, fair=f"worker {SWEEPING}")
    else:
        yield scene.step("sweep: no row", fair=f"worker {SWEEPING}", workers=rest)


def _decision(scene: Scene) -> str:
    row, sizes = scene.row, scene.sizes
    at_ceiling = sizes.lost_ceiling and scene.rules.lost_ceiling and row.lost_in_total + 1 >= sizes.lost_ceiling
    is_last = row.lost + 1 >= sizes.lost_limit or at_ceiling
    if row.cancel and (scene.rules.expiry_cancel_first or not is_last):
        return CANCELLED
    return FAILED if is_last else RUNNING


def _expire(scene: Scene, decision: str, workers: list[Worker], *, fair: str) -> Steps:
    row, sizes = scene.row, scene.sizes
    broken = ""
    if row.lease != 0:
        broken = "healthy worker robbed: the sweep takes a run whose lease is not over"
    elif decision == FAILED and row.cancel:
        broken = "cancel not honoured: it was accepted, and the run is failed"
    elif decision != CANCELLED and row.lost + 1 > scene.deaths:
        broken = f"lost without a death: {row.lost + 1} slices count as lost, {scene.deaths} workers died or gave up"
    if decision != RUNNING:
        label = f"sweep: lease over, {decision}"
        yield scene.step(label, fair=fair, row=scene.ended(decision), workers=workers, broken=broken)
        return
    recovered = row._replace(
        lease=None,
        lost=min(row.lost + 1, sizes.lost_limit),
        lost_in_total=min(row.lost_in_total + 1, sizes.lost_ceiling),
        due=0,
        real_wait=0,
        is_held=False,
    )
    if scene.rules.expiry_resend:
        recovered = recovered._replace(resend=sizes.resend, resends=0)
    then = raised(scene.state.queue, workers)
    if not scene.rules.expiry_raises:
        then = {"queue": list(scene.state.queue), "workers": workers}
    label = "sweep: lease over, next number, send"
    yield from scene.sends(label, Message(CURRENT, 0), fair=fair, row=recovered, broken=broken, **then)


def end_overlong(scene: Scene) -> Steps:
    """``due_runs.sql``, ``end_overlong.sql``: end a run that no worker holds and that exceeded its duration."""
    row, rules = scene.row, scene.rules
    is_free = row.lease is None or not rules.overlong_no_lease
    is_live = scene.is_live or not rules.overlong_live
    if scene.is_locked or not (rules.overlong_ends and row.ends_by == 0 and is_free and is_live):
        return
    broken = ""
    if not scene.is_live:
        broken = f"write after the end: the run was {row.status}"
    elif row.lease is not None:
        broken = "healthy worker robbed: the sweep fails a run that a worker holds"
    yield scene.step("sweep: time over, failed", fair="sweep overlong", row=scene.ended(FAILED), broken=broken)


def call(scene: Scene) -> Steps:
    """``free_place.sql``: another run gives up its place, and the held run is due at once and gets a message."""
    row, rules = scene.row, scene.rules
    waits = (row.due and row.lease is None) or not scene.is_live or not rules.call_held
    if scene.is_locked or not (row.is_held and waits and (scene.is_live or not rules.call_live)):
        return
    broken = ""
    if not scene.is_live:
        broken = "message without end: a place's run is called after it is over"
    elif row.lease is not None:
        broken = "message without use: a run that works is called"
    called = row._replace(due=0, resend=scene.sizes.resend, resends=0)
    yield from scene.sends("a place is free: call", Message(CURRENT, 0), row=called, broken=broken)


def cancel(scene: Scene) -> Steps:
    """End a run that no worker holds, or leave a request for the worker.

    ``cancel_run.sql``, ``cancel_bulk_items.sql``, ``stop_deleted.sql``. The last two skip a run that is locked.
    """
    if not scene.may("cancels") or not scene.is_live or scene.is_locked:
        return
    left = scene.spend("cancels")
    if scene.rules.cancel_in_one or scene.row.lease is None:
        yield scene.step("CANCEL", row=scene.cancelled(), left=left)
    else:
        workers = [*scene.state.workers, Worker(ASKING)]
        yield scene.step("CANCEL: 1st statement, leased: no row", workers=workers, left=left)


def ask(scene: Scene, worker: Worker, rest: list[Worker]) -> Steps:
    """Run the second of two statements, which sets the cancel request of a live run."""
    if scene.is_locked:
        return
    row = scene.row._replace(cancel=True) if scene.is_live else scene.row
    yield scene.step("CANCEL: 2nd statement, request", fair=f"worker {ASKING}", row=row, workers=rest)


def clean(scene: Scene) -> Steps:
    """``cancel_run.sql`` by the cleanup, in the step that locks the project and finds it still deleted."""
    if not scene.may("cleanups") or not scene.is_live or scene.is_locked:
        return
    row = scene.row if scene.rules.cleanup_in_step else scene.cancelled()
    workers = [*scene.state.workers, Worker(CLEANING)]
    yield scene.step("CLEANUP: cancel", row=row, workers=workers, left=scene.spend("cleanups"))

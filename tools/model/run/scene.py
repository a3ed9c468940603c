"""Make steps from a state. Normalise the new state, so that equivalent states count once, and apply the CHECKs."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.model.checker import Step
from tools.model.run.run_state import (
    ASKING,
    CANCELLED,
    CLAIMING,
    CLEANING,
    CURRENT,
    EARLY,
    LIVE,
    LOCKING,
    NEXT,
    NO_PLACE,
    OLD,
    SENDING,
    SENT_FIRST,
    SWEEPING,
    Faults,
    Message,
    Row,
    Rules,
    Sizes,
    State,
    Worker,
    older,
)


@dataclass(frozen=True)
class Scene:
    """A state with its machine's settings. ``at_first`` are the faults with which the machine began."""

    rules: Rules
    sizes: Sizes
    state: State
    has_faults: bool
    at_first: Faults

    @property
    def row(self) -> Row:
        return self.state.row

    @property
    def is_live(self) -> bool:
        return self.state.row.status in LIVE

    @property
    def is_locked(self) -> bool:
        """Return whether a statement on the row would have to wait for another session's commit."""
        return any(worker.at in LOCKING for worker in self.state.workers)

    def may(self, fault: str) -> bool:
        return self.has_faults and getattr(self.state.left, fault) > 0

    def spend(self, fault: str) -> Faults:
        left: int = getattr(self.state.left, fault)
        return self.state.left._replace(**{fault: left - 1})

    @property
    def deaths(self) -> float:
        """Return how many workers may have died without ending their slice; infinite for jobs that kill workers."""
        if set("pk") & set(self.sizes.job):
            return math.inf
        left = self.state.left
        return self.at_first.crashes - left.crashes + self.at_first.exceptions - left.exceptions

    @property
    def nothing_was_lost(self) -> bool:
        """Return whether no fault has removed a message and no message is in flight."""
        left, first = self.state.left, self.at_first
        on_the_way = any(worker.at in (CLAIMING, NO_PLACE, EARLY, SENDING, SENT_FIRST) for worker in self.state.workers)
        unspent = (left.lost, left.crashes, left.exceptions) == (first.lost, first.crashes, first.exceptions)
        return unspent and not on_the_way and not self.state.queue

    def step(
        self,
        label: str,
        *,
        fair: str = "",
        row: Row | None = None,
        queue: Iterable[Message] | None = None,
        workers: Iterable[Worker] | None = None,
        left: Faults | None = None,
        broken: str = "",
    ) -> Step[State]:
        """Make a step to the new state. Parts that are not given stay as they are."""
        row = row or self.row
        broken = broken or self._refusal(row, workers)
        queue, workers = self._told_apart(
            row,
            list(self.state.queue if queue is None else queue),
            list(self.state.workers if workers is None else workers),
        )
        return Step(label, State(row, queue, workers, left or self.state.left), fair, broken)

    def sends(self, label: str, message: Message, *, fair: str = "", **then: Any) -> Iterator[Step[State]]:
        """Make the steps that send a message: it arrives, is lost, or arrives twice."""
        queue = list(then.pop("queue", self.state.queue))
        yield self.step(label, fair=fair, queue=[*queue, message], **then)
        if self.may("lost"):
            yield self.step(f"{label}, LOST", queue=queue, left=self.spend("lost"), **then)
        if self.may("doubled"):
            yield self.step(f"{label}, TWICE", queue=[*queue, message, message], left=self.spend("doubled"), **then)

    def ended(self, status: str, **columns: Any) -> Row:
        """Return the row after its ending."""
        resend = None if self.rules.end_clears_resend else self.row.resend
        # Fields that an ended row does not need are reset, so that equivalent states count once.
        end = self.row.ends_by if not self.rules.overlong_live else None
        return self.row._replace(status=status, lease=None, resend=resend, due=0, real_wait=0, ends_by=end, **columns)

    def cancelled(self) -> Row:
        """Return the row after a cancel: ended if no worker holds it, otherwise with a cancel request."""
        return self.ended(CANCELLED, cancel=True) if self.row.lease is None else self.row._replace(cancel=True)

    def _refusal(self, row: Row, workers: Iterable[Worker] | None) -> str:
        """Check ``live_is_leased_or_resent`` and ``cancel_waits_only_for_a_lease``, the CHECK constraints.

        The statements read *live* as a run without an end: by ``job_runs.ended_has_a_time`` the same runs as here.
        """
        if row.status not in LIVE:
            is_clear = row.lease is None and row.resend is None
            return "" if is_clear or not self.sizes.checked else "refused by a CHECK: a run that is over keeps a time"
        workers = self.state.workers if workers is None else workers
        if row.cancel and row.lease is None and not any(worker.at == ASKING for worker in workers):
            return "forgotten cancel: it was accepted, no worker holds the run, and the run stays live"
        if self.sizes.checked and (row.lease is None) == (row.resend is None):
            return "refused by a CHECK: a live row has exactly one of lease and resend time"
        return ""

    def _told_apart(
        self, row: Row, queue: list[Message], workers: list[Worker]
    ) -> tuple[tuple[Message, ...], tuple[Worker, ...]]:
        """Sort both, and remove messages that no claim can take: their claims write nothing."""
        if self.sizes.reduced:
            is_held = row.lease is not None and self.rules.claim_no_lease
            newest_dead = NEXT if row.status not in LIVE else CURRENT if is_held else OLD
            queue = [message for message in queue if message.number > newest_dead]
            workers = [
                worker
                for worker in workers
                if worker.at not in (CLAIMING, EARLY, SENDING) or worker.number > newest_dead
            ]
        queue.sort()
        most = self.sizes.copies
        if len(queue) > most:
            queue = [message for i, message in enumerate(queue) if i < most or queue[i - most] != message]
        workers.sort()
        return tuple(queue), tuple(workers)


def raised(queue: Iterable[Message], workers: Iterable[Worker]) -> dict[str, Any]:
    """Return both after the row's number was raised: relative to it, all other numbers are one older."""
    return {
        "queue": [message._replace(number=older(message.number)) for message in queue],
        "workers": [
            worker if worker.at in (ASKING, SWEEPING, CLEANING) else worker._replace(number=older(worker.number))
            for worker in workers
        ],
    }

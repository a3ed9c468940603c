"""Put the events of outbox rows on the bus, ten in one call, or record in each row why that was not possible."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow
from nightshift.notify import attempts, events
from nightshift.notify.attempts import Outcome
from nightshift.notify.notices import Notice

Item = TypeVar("Item")
Result = TypeVar("Result")


def announce(
    outbox_ids: Sequence[str], *, db: Database, settings: Settings, remaining_s: Callable[[], float]
) -> list[str]:
    """Send the events of these rows, at most events.MOST_ENTRIES, except those that are sent or claimed elsewhere.

    Return the ids of the rows that the database could not claim or store; their messages have to be delivered again.
    Each event is sent once, with the exception in nightshift.notify.delivery.deliver, which EventBridge shares.
    Errors of EventBridge are stored in the rows, and not raised. Raise DatabaseGone, and any error of the database that
    concerns all rows.
    """

    def claim(ids: Sequence[str]) -> list[Notice]:
        return attempts.claim(ids, kind="event", db=db, settings=settings, remaining_s=remaining_s)

    def record(outcomes: Sequence[tuple[Notice, Outcome]]) -> list[None]:
        attempts.record(outcomes, db=db)
        return []

    notices, unclaimed = _together_or_alone(claim, list(dict.fromkeys(outbox_ids)))
    _, unrecorded = _together_or_alone(record, _outcomes(notices, settings))
    return unclaimed + [str(notice.outbox_id) for notice, _ in unrecorded]


def _together_or_alone(
    step: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
) -> tuple[list[Result], list[Item]]:
    """Take the step for all items at once or, if that fails, for each alone. Return the results and the failed items.

    So an item that cannot be done costs no other one. If each of them fails, raise the last error.
    """
    if not items:
        return [], []
    try:
        return step(items), []
    except DatabaseGone:
        raise
    except Exception as exc:
        if len(items) == 1:
            raise
        logger.warning(
            f"A batch failed; doing its rows one by one: {sentence(exc)}", action="batch_failed", rows=len(items)
        )
    results: list[Result] = []
    failed: list[Item] = []
    for item in items:
        try:
            results += step([item])
        except Exception as exc:
            logger.warning(f"A row failed: {sentence(exc)}", action="row_failed")
            failed.append(item)
            if len(failed) == len(items):
                raise
    return results, failed


def _outcomes(notices: Sequence[Notice], settings: Settings) -> list[tuple[Notice, Outcome]]:
    decided = [(notice, _without_a_call(notice, settings)) for notice in notices]
    done = [(notice, outcome) for notice, outcome in decided if outcome]
    sendable = [notice for notice, outcome in decided if outcome is None]
    runs = [run for notice in sendable if (run := notice.event)]
    return done + list(zip(sendable, _sent(runs, settings), strict=True))


def _without_a_call(notice: Notice, settings: Settings) -> Outcome | None:
    if not settings.event_bus_name:
        return Outcome(status="unwanted")
    return attempts.given_up(notice, function="announce")


def _sent(runs: Sequence[RunRow], settings: Settings) -> list[Outcome]:
    """Send the events in one call. If EventBridge refuses the whole call, send each alone: one may be the reason."""
    if not runs:
        return []
    try:
        answers = events.put_events(runs, bus=settings.event_bus_name)
    except Exception as exc:
        if len(runs) == 1 or isinstance(exc, AwsUnreachable) or (isinstance(exc, AwsRefused) and exc.passing):
            return [_refused(exc)] * len(runs)
        return [outcome for run in runs for outcome in _sent([run], settings)]
    return [
        _refused(answer) if isinstance(answer, AwsRefused) else Outcome(status="sent", message_id=answer)
        for answer in answers
    ]


def _refused(exc: Exception) -> Outcome:
    return attempts.refused(exc, for_good=events.REFUSED_FOR_GOOD)

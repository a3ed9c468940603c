"""Business metrics: counted while a function works, printed once per invocation in CloudWatch's embedded metric format.

What is about runs carries their job type, everything the stack (``service``); nothing carries a team or a run. Each
combination of dimensions is a metric of its own, which CloudWatch bills by the month. Which run it was says the log.

An invocation that Lambda kills takes its counts along; the sweep counts the slice as lost.
"""

import functools
import os
from collections import defaultdict
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from aws_lambda_powertools.metrics import EphemeralMetrics

NAMESPACE = "Nightshift"

# Name to unit.
OF_A_JOB_TYPE = {
    "RunsStarted": "Count",
    "RunsCompleted": "Count",
    "RunsFailed": "Count",
    "RunsCancelled": "Count",
    "Slices": "Count",
    # From when a slice was due to when it was claimed.
    "Lag": "Seconds",
}
OF_THE_STACK = {
    # Their worker died or froze: found by the sweep.
    "SlicesLost": "Count",
    # With a key or a token that opens nothing; a request without credentials is not counted.
    "SignInsRefused": "Count",
    # Never fired, whatever became of them: found by the sweep.
    "SlotsMissed": "Count",
    # Without a success for longer than expected, each time that the owner is told.
    "JobsOverdue": "Count",
    # Rows that the sweep could not heal, each time that it tried.
    "RowsSetAside": "Count",
    # Teams whose runs failed within an hour and have not succeeded since, and those runs that the system itself failed:
    # as they are at each sweep.
    "TeamsFailing": "Count",
    "SystemFailures": "Count",
    "MailsSent": "Count",
    "MailsFailed": "Count",
    "MailsRetried": "Count",
    "EventsSent": "Count",
    "EventsFailed": "Count",
    "EventsRetried": "Count",
}

P = ParamSpec("P")
R = TypeVar("R")

# One invocation at a time. Job type (or None) to metric to values.
_counted: dict[str | None, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))


def count(metric: str, value: float = 1, *, job_type: str | None = None) -> None:
    """Add to what this invocation prints. Raises KeyError for a metric that is none, or has no such dimension."""
    (OF_A_JOB_TYPE if job_type else OF_THE_STACK)[metric]
    _counted[job_type][metric].append(value)


def count_ending(status: str, *, job_type: str) -> None:
    """``status``: completed, failed or cancelled."""
    count(f"Runs{status.capitalize()}", job_type=job_type)


def published(handler: Callable[P, R]) -> Callable[P, R]:
    """A handler that prints what was counted, whether it returns or raises."""

    @functools.wraps(handler)
    def publishing(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        finally:
            _publish()

    return publishing


def _publish() -> None:
    """One document per job type, and one for what has none: a document's metrics share its dimensions."""
    counted = dict(_counted)
    _counted.clear()
    for job_type, values in counted.items():
        document = EphemeralMetrics(
            namespace=NAMESPACE, service=os.environ.get("POWERTOOLS_SERVICE_NAME", "nightshift")
        )
        if job_type:
            document.add_dimension("job_type", job_type)
        units = OF_A_JOB_TYPE if job_type else OF_THE_STACK
        for metric, numbers in values.items():
            # A document holds a hundred values of a metric; a sweep may count ten thousand.
            for number in [sum(numbers)] if units[metric] == "Count" else numbers:
                document.add_metric(metric, unit=units[metric], value=number)
        document.flush_metrics()

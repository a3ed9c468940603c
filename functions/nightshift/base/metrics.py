"""Business metrics: counted while a function works, printed once per invocation in CloudWatch's embedded metric format.

Run metrics carry the job type; every metric carries the stack (``service``). No metric carries a team or a run, because
CloudWatch bills each combination of dimensions as a separate metric per month. The log says which run it was.

If Lambda kills an invocation, its counts are lost. The sweep then counts the slice as lost.
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
    # The time from when a slice was due until it was claimed.
    "Lag": "Seconds",
}
OF_THE_STACK = {
    # Slices whose worker died or froze, found by the sweep.
    "SlicesLost": "Count",
    # Sign-ins with an invalid key or token. Requests without credentials are not counted.
    "SignInsRefused": "Count",
    # Slots that did not fire in time, found by the sweep, including those that it made up for.
    "SlotsMissed": "Count",
    # Jobs without a success for longer than expected, counted each time that the operator is told.
    "JobsOverdue": "Count",
    # Rows that the sweep could not heal, counted at each attempt.
    "RowsSetAside": "Count",
    # Teams whose runs failed within the last hour without a later success, and such runs that failed because of the
    # system; counted at each sweep.
    "TeamsFailing": "Count",
    "SystemFailures": "Count",
    "MailsSent": "Count",
    "MailsFailed": "Count",
    "MailsRetried": "Count",
    "EventsSent": "Count",
    "EventsFailed": "Count",
    "EventsRetried": "Count",
    # Calls of the endpoints that teams chose for alerts.
    "AlertsSent": "Count",
    "AlertsFailed": "Count",
    "AlertsRetried": "Count",
}

P = ParamSpec("P")
R = TypeVar("R")

# The counts of the current invocation: job type (or None) to metric to values.
_counted: dict[str | None, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))


def count(metric: str, value: float = 1, *, job_type: str | None = None) -> None:
    """Add to the counts of this invocation. Raise KeyError for an unknown metric, or one without this dimension."""
    (OF_A_JOB_TYPE if job_type else OF_THE_STACK)[metric]
    _counted[job_type][metric].append(value)


def count_ending(status: str, *, job_type: str) -> None:
    """Count a run that ended. ``status``: completed, failed or cancelled."""
    count(f"Runs{status.capitalize()}", job_type=job_type)


def published(handler: Callable[P, R]) -> Callable[P, R]:
    """Wrap a handler so that it prints the counts, whether it returns or raises."""

    @functools.wraps(handler)
    def publishing(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        finally:
            _publish()

    return publishing


def _publish() -> None:
    """Print one document per job type, and one for counts without a type: a document's metrics share its dimensions."""
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
            # A document can hold a hundred values of a metric, but a sweep may count ten thousand.
            for number in [sum(numbers)] if units[metric] == "Count" else numbers:
                document.add_metric(metric, unit=units[metric], value=number)
        document.flush_metrics()

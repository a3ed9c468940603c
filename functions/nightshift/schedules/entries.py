"""The parameter Schedules: entries like ``db_pruning=cron(0 2 * * ? *)``, for jobs that start at another time."""

from nightshift.base.errors import ConfigurationError
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules.cron import from_five_fields

NEVER = "never"


def with_usual_schedules(text: str) -> dict[str, str]:
    """Return each scheduled job's EventBridge expression: that of its entry in ``text``, or else that of the registry.

    It is empty for an entry that says ``never``, and for a job that is off without an entry (``opt_in``). Raises
    ConfigurationError naming an entry that cannot be used.
    """
    usual = {
        name: "" if job_type.opt_in else from_five_fields(job_type.schedule).eventbridge
        for name, job_type in JOB_TYPES.items()
        if job_type.schedule
    }
    return usual | _given(text, allowed=list(usual))


def _given(text: str, *, allowed: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        name, equals, expression = entry.partition("=")
        if not equals or not expression:
            raise ConfigurationError(
                f"Schedules has an entry without a time, {entry!r}: write a job's name, an equals sign, and cron(…) or "
                f"{NEVER}"
            )
        if name not in allowed:
            raise ConfigurationError(
                f"Schedules has an entry for {name!r}, which has no schedule: use one of {', '.join(allowed)}"
            )
        if name in given:
            raise ConfigurationError(f"Schedules has two entries for {name}: remove one of them")
        given[name] = "" if expression == NEVER else expression
    return given

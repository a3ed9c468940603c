"""Times for people: in this machine's zone, or in UTC with --utc and for the operator's commands."""

from datetime import UTC, datetime

import click

from nightshift_cli.base.text import clean

_UTC = "nightshift.utc"


def use_utc() -> None:
    """Show times in UTC from now on in this call."""
    click.get_current_context().meta[_UTC] = True


def is_utc() -> bool:
    """Whether times are shown in UTC: also if that is this machine's zone."""
    context = click.get_current_context(silent=True)
    return context is None or bool(context.meta.get(_UTC)) or _local(datetime.now(UTC)).tzname() == "UTC"


def minute(timestamp: object) -> str:
    """Return ``2026-01-02 03:04`` for a timestamp in UTC."""
    at = None if is_utc() else parsed(timestamp)
    return f"{_local(at):%Y-%m-%d %H:%M}" if at else clean(timestamp)[:16].replace("T", " ")


def zoned_minute(timestamp: object) -> str:
    """Return ``2026-01-02 04:04 CET``."""
    at = None if is_utc() else parsed(timestamp)
    return f"{_local(at):%Y-%m-%d %H:%M %Z}" if at else f"{minute(timestamp)} UTC"


def second(timestamp: object) -> str:
    """Return ``2026-01-02 04:04:05 CET``, or in UTC the timestamp as it is."""
    at = None if is_utc() else parsed(timestamp)
    return f"{_local(at):%Y-%m-%d %H:%M:%S %Z}" if at else clean(timestamp)


def second_of_slice(at: datetime) -> str:
    """Return ``2026-01-02 04:04:05``."""
    return f"{at if is_utc() else _local(at):%Y-%m-%d %H:%M:%S}"


def in_zone(header: str) -> str:
    """Return a table's header with the zone of its column: ``LAST (UTC)`` or ``LAST (local)``."""
    return header if is_utc() else header.replace("(UTC)", "(local)")


def parsed(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None


def _local(at: datetime) -> datetime:
    try:
        return at.astimezone()
    except (OverflowError, OSError):
        return at

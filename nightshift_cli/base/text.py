"""Text that is safe to print."""

from nightshift.base.wording import visible
from nightshift_cli.base import exact


def clean(value: object) -> str:
    """Return ``value`` as one line of text that is safe to print: JSON if it is not text, "" for None."""
    if value is None:
        return ""
    return visible(value if isinstance(value, str) else exact.write(value))

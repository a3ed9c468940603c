"""A run's result and parameters as lines of names and values."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from nightshift.notify.mail_content import Table, sections_of
from nightshift_cli.base import exact
from nightshift_cli.base.text import clean


def result_lines(result: object) -> list[str]:
    """Return lines such as ``Synced: 193``, worded as in the mails. A result that is not an object stays as it is."""
    if not isinstance(result, dict):
        return [clean(result)] if result is not None else []
    warning = [f"Warning: {clean(result['warning'])}"] if result.get("warning") else []
    return warning + list(_lines(result))


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    for section in sections_of(result, everything=True):
        if isinstance(section, Table):
            yield f"{section.heading}:"
            for row in section.rows:
                yield "  " + ", ".join(f"{name}: {of}" for name, of in zip(section.columns, row, strict=True))
        else:
            yield from (f"{name}: {of}" for name, of in section.rows)
        if section.note:
            # The note is written for mails; here, --format json shows the rest.
            yield section.note.removesuffix(".") + " (--format json)."


def param_lines(run: Mapping[str, Any]) -> list[str]:
    """Return the parameters as written after ``--param``, without the project, which is shown separately."""
    params = run.get("params")
    if not isinstance(params, dict):
        return [clean(params)] if params is not None else []
    shown = {name: of for name, of in params.items() if (name, of) != ("project_id", run.get("project_id"))}
    return [f"{clean(name)}={_as_given(of)}" for name, of in shown.items()]


def _as_given(of: object) -> str:
    """Return the value as given on the command line. Text that would be read as another type is quoted: ``"true"``."""
    text = clean(of)
    with contextlib.suppress(ValueError):
        return text if exact.read(text) == of else exact.write(of)
    return text

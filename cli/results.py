"""What a job gave back, and what it was told, as lines of names and values."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from cli import exact
from cli.output import clean
from nightshift.letter import Table, sections_of


def result_lines(result: object) -> list[str]:
    """``Synced: 193`` and so on, in the words of the mails; what is no object as it is."""
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
            # The note is written for a mail's reader.
            yield section.note.removesuffix(".") + " (--format json)."


def param_lines(run: Mapping[str, Any]) -> list[str]:
    """As they are written after ``--param``; without the run's own project, which is shown beside them."""
    params = run.get("params")
    if not isinstance(params, dict):
        return [clean(params)] if params is not None else []
    shown = {name: of for name, of in params.items() if (name, of) != ("project_id", run.get("project_id"))}
    return [f"{clean(name)}={_as_given(of)}" for name, of in shown.items()]


def _as_given(of: object) -> str:
    """Text that would be taken for another value, ``"true"`` say, in its quotation marks."""
    text = clean(of)
    with contextlib.suppress(ValueError):
        return text if exact.read(text) == of else exact.write(of)
    return text

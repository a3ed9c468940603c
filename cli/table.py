"""Tables that fit any width: a column that does not fit beside the others goes on below them. None is left out."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = 2
# What goes on below is this much further in, so that the eye finds where a row begins.
INDENT = 2
# The last column may be shortened or wrapped; with less room than this it goes below.
LEAST = 24


def laid_out(
    rows: Sequence[Sequence[Text]], *, headers: Sequence[str], console: Console, wrap: bool = False
) -> Iterator[Text]:
    """The lines of the table. Its last column is for prose: cut where it does not fit, or wrapped with ``wrap``.

    No other is ever cut: a cut id cannot be copied. Where not all columns fit, those that are empty are left out.
    """
    widths = [max(cell_len(header), *(row[i].cell_len for row in rows)) for i, header in enumerate(headers)]
    columns = list(range(len(headers)))
    if len(_lines(columns, widths, room=console.width)) > 1:
        columns = [i for i in columns if any(row[i].plain for row in rows)]
    lines = _lines(columns, widths, room=console.width)
    for cells in ([Text(header, "bold") for header in headers], *rows):
        for number, line in enumerate(lines):
            indent = INDENT if number else 0
            cut = not wrap and line[-1] == len(headers) - 1
            yield from beside([cells[i] for i in line], [widths[i] for i in line], indent=indent, cut=cut, on=console)


def _lines(columns: Sequence[int], widths: Sequence[int], *, room: int) -> list[list[int]]:
    """Which columns stand beside each other: on every line as many as fit."""
    lines: list[list[int]] = [[]]
    left = room
    for column in columns:
        needed = min(widths[column], LEAST) if column == len(widths) - 1 else widths[column]
        if lines[-1] and needed > left:
            lines.append([])
            left = room - INDENT
        lines[-1].append(column)
        left -= widths[column] + GAP
    return lines


def beside(
    cells: Sequence[Text], widths: Sequence[int], *, on: Console, indent: int = 0, cut: bool = False
) -> Iterator[Text]:
    """One line, the cells padded to ``widths`` but for the last; more where that is wrapped under itself."""
    *padded, last = cells
    line = Text(" " * indent)
    for cell, width in zip(padded, widths, strict=False):
        line.append_text(cell).append(" " * (width - cell.cell_len + GAP))
    if not last.plain:
        line.rstrip()
        if line.plain or not indent:
            yield line
        return
    offset = line.cell_len
    room = max(1, on.width - offset)
    if cut:
        last = last.copy()
        last.truncate(room, overflow="ellipsis")
    parts = [last] if last.cell_len <= room else last.wrap(on, room, overflow="fold")
    for number, part in enumerate(parts):
        part.rstrip()
        yield (line if number == 0 else Text(" " * offset)).append_text(part)

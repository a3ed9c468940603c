"""Tables that fit any terminal. Widths are terminal cells: a CJK character takes two, a combining mark none."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = 2
# Continuation lines of a row are indented, so that the start of a row is easy to find.
INDENT = 2
# A cell that does not fit is cut, but never below this width.
LEAST = 10
# A wrapped column that has less room than this moves to the next line.
LEAST_WRAPPED = 24
# People copy these values, and a cut value is useless.
NEVER_CUT = {"RUN", "ID", "PREFIX", "LAST SLOTS", "STARTED"}


def laid_out(
    rows: Sequence[Sequence[Text]],
    *,
    headers: Sequence[str],
    console: Console,
    wrap: bool = False,
    optional: Sequence[str] = (),
) -> Iterator[Text]:
    """Yield the lines of the table. With ``wrap`` the last column is wrapped; other cells that do not fit are cut.

    If the columns do not fit on one line, empty columns are left out first, then those of ``optional`` in that order.
    The remaining columns continue on the next line, so that none of them is missing.
    """
    widths = [max(cell_len(header), *(row[i].cell_len for row in rows)) for i, header in enumerate(headers)]
    leasts = [min(width, LEAST) if headers[i] not in NEVER_CUT else width for i, width in enumerate(widths)]
    if wrap:
        leasts[-1] = min(widths[-1], LEAST_WRAPPED)
    columns = list(range(len(headers)))
    if _total(widths, columns) > console.width:
        columns = [i for i in columns if any(row[i].plain for row in rows)] or columns[:1]
    for header in optional:
        if _total(leasts, columns) <= console.width:
            break
        columns = [i for i in columns if headers[i] != header]
    lines = _lines(columns, leasts, room=console.width)
    for cells in ([Text(header, "bold") for header in headers], *rows):
        for number, line in enumerate(lines):
            indent = INDENT if number else 0
            fitted = _fitted(line, widths, leasts, room=console.width - indent)
            shown = [cells[i] if wrap and i == len(headers) - 1 else _cut(cells[i], fitted[i]) for i in line]
            yield from beside(shown, [fitted[i] for i in line], indent=indent, on=console)


def _total(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[i] for i in columns) + GAP * (len(columns) - 1)


def _lines(columns: Sequence[int], leasts: Sequence[int], *, room: int) -> list[list[int]]:
    """Distribute the columns over lines, as many per line as fit when they are cut."""
    lines: list[list[int]] = [[]]
    for column in columns:
        indent = INDENT if len(lines) > 1 else 0
        if lines[-1] and _total(leasts, [*lines[-1], column]) > room - indent:
            lines.append([])
        lines[-1].append(column)
    return lines


def _fitted(line: Sequence[int], widths: Sequence[int], leasts: Sequence[int], *, room: int) -> dict[int, int]:
    """Return the width of each column of ``line``; the widest columns shrink first."""
    fitted = {i: widths[i] for i in line}
    limit = min(room, max(fitted.values()))
    while limit >= LEAST and sum(fitted.values()) + GAP * (len(line) - 1) > room:
        fitted = {i: max(leasts[i], min(widths[i], limit)) for i in line}
        limit -= 1
    return fitted


def _cut(cell: Text, width: int) -> Text:
    if cell.cell_len <= width:
        return cell
    cell = cell.copy()
    cell.truncate(width, overflow="ellipsis")
    return cell


def beside(cells: Sequence[Text], widths: Sequence[int], *, on: Console, indent: int = 0) -> Iterator[Text]:
    """Yield a line of cells, padded to ``widths`` except the last, which wraps onto further lines."""
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
    parts = [last] if last.cell_len <= room else last.wrap(on, room, overflow="fold")
    for number, part in enumerate(parts):
        part.rstrip()
        yield (line if number == 0 else Text(" " * offset)).append_text(part)

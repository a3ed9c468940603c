"""A command's output: tables and sentences for people, one JSON document for programs.

Text from the API is untrusted: it is not parsed as markup, and its control characters never reach a terminal.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nightshift.base.wording import escaped
from nightshift_cli.base import exact
from nightshift_cli.base.text import clean
from nightshift_cli.show.table import beside, laid_out
from nightshift_cli.show.times import in_zone

_GAP = 2
_WIDE = 1_000_000
_CHECK_MARK, _CHECK_NAME = 3, 23
STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "lost": "yellow"}


class Output:
    """The output of one command.

    With ``as_json``, standard output holds only the JSON document, and text for people goes to standard error.
    ``is_live`` tells whether that text can be overwritten, as a progress bar does.
    """

    def __init__(self, *, as_json: bool):
        self.as_json = as_json
        self.words = _console(stderr=as_json)
        self.is_live = (sys.stderr if as_json else sys.stdout).isatty() and not self.words.is_dumb_terminal
        self._errors = _console(stderr=True)

    def say(self, sentence: str) -> None:
        self.words.print(Text(clean(sentence)), soft_wrap=True)

    def complain(self, sentence: str, *, hint: str = "") -> None:
        self._errors.print(Text.assemble(("Error: ", "red"), clean(sentence)), soft_wrap=True)
        if hint:
            self._errors.print(Text(clean(hint)), soft_wrap=True)

    def note(self, sentence: str) -> None:
        """Write a note to standard error, in addition to the answer."""
        self._errors.print(Text(clean(sentence)), soft_wrap=True)

    def document(self, value: Any) -> None:
        """Write the JSON document. Control characters are written as escapes."""
        ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
        # Split only between values: line breaks inside strings are already escaped.
        lines = exact.write(value, indented=True, ascii_only=ascii_only).split("\n")
        sys.stdout.write("".join(escaped(line) + "\n" for line in lines))

    @property
    def is_fitted(self) -> bool:
        """Whether tables are fitted to a terminal. In a pipe or a file, every cell is complete."""
        return self.words.width < _WIDE

    def table(
        self,
        rows: Sequence[Sequence[object]],
        *,
        headers: Sequence[str],
        wrap: bool = False,
        optional: Sequence[str] = (),
    ) -> None:
        """Write a table, the most important columns first. ``wrap`` wraps the last column, which holds prose.

        On a narrow terminal, columns in ``optional`` are left out, in that order.
        """
        texts = [[self._styled(value) for value in row] for row in rows]
        shown = {
            "headers": [in_zone(header) for header in headers],
            "optional": [in_zone(header) for header in optional],
        }
        for line in laid_out(texts, **shown, console=self.words, wrap=wrap):
            self.words.print(line, soft_wrap=True)

    def checks(self, checks: Sequence[Mapping[str, Any]]) -> None:
        """Write one line per check, and below a red one what to do. Columns align across calls."""
        for check in checks:
            grid = Table.grid(padding=(0, _GAP, 0, 0))
            grid.add_column(no_wrap=True, width=_CHECK_MARK)
            grid.add_column(no_wrap=True, width=_CHECK_NAME)
            grid.add_column(overflow="fold")
            mark = Text("ok", "green") if check.get("ok") else Text("RED", "bold red")
            grid.add_row(mark, Text(clean(check.get("name"))), Text(clean(check.get("says"))))
            self.words.print(grid)
            if todo := clean(check.get("do")):
                # People copy commands, so a command is never wrapped.
                hint, is_command = Text(f"-> {todo}", "yellow"), todo.startswith("nightshift ")
                indented = Padding(hint, (0, 0, 0, _CHECK_MARK + _GAP), expand=False)
                if is_command:
                    hint.pad_left(_CHECK_MARK + _GAP)
                self.words.print(hint if is_command else indented, soft_wrap=is_command)

    def facts(self, facts: Sequence[tuple[str, object]]) -> None:
        """Write names and values in two columns; long values and lists continue in the second column."""
        cleaned = [(clean(name), value) for name, value in facts]
        width = max((cell_len(name) for name, _ in cleaned), default=0)
        for name, value in cleaned:
            for number, line in enumerate(value if isinstance(value, list) else [value]):
                cells = [Text(name if number == 0 else "", "bold"), self._styled(line)]
                for text in beside(cells, [width, 0], on=self.words):
                    self.words.print(text, soft_wrap=True)

    def _styled(self, value: object) -> Text:
        text = clean(value)
        return Text(text, STYLES.get(text, ""))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich would exit with 1; the command sets the exit code itself


def _console(*, stderr: bool) -> Console:
    # Nothing is cut or wrapped in a pipe or a file: its reader has no width.
    wide = not (sys.stderr if stderr else sys.stdout).isatty()
    return _Console(stderr=stderr, width=_WIDE if wide else None, markup=False, emoji=False, highlight=False)

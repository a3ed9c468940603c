"""What a command says: tables and sentences for people, one JSON document for programs.

Whatever comes from the API is data: no markup is read from it and no control character of it reaches a terminal.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli import exact
from cli.table import beside, laid_out
from nightshift.wording import escaped, visible

_GAP = 2
_WIDE = 1_000_000
_CHECK_MARK, _CHECK_NAME = 3, 23
STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "lost": "yellow"}


def clean(value: object) -> str:
    """``value`` as one line of text that is safe to print; JSON for what is not text, nothing for None."""
    if value is None:
        return ""
    return visible(value if isinstance(value, str) else exact.write(value))


class Output:
    """``as_json``: standard output is for the JSON document, and words for people go to standard error.

    ``is_live`` tells whether those words can be written over, as a progress bar does.
    """

    def __init__(self, *, as_json: bool):
        self.as_json = as_json
        self.words = _console(stderr=as_json)
        self.is_live = (sys.stderr if as_json else sys.stdout).isatty() and not self.words.is_dumb_terminal
        self._errors = _console(stderr=True)

    def say(self, sentence: str) -> None:
        self.words.print(Text(clean(sentence)), soft_wrap=True)

    def notice(self, sentence: str) -> None:
        """Write a remark that does not belong to the answer to standard error."""
        self._errors.print(Text(clean(sentence)), soft_wrap=True)

    def complain(self, sentence: str, *, hint: str = "") -> None:
        self._errors.print(Text.assemble(("Error: ", "red"), clean(sentence)), soft_wrap=True)
        if hint:
            self._errors.print(Text(clean(hint)), soft_wrap=True)

    def note(self, sentence: str) -> None:
        """Beside what a command answers, and never in its place."""
        self._errors.print(Text(clean(sentence)), soft_wrap=True)

    def document(self, value: Any) -> None:
        """The one JSON document. Characters that a terminal might act on are written as escapes."""
        ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
        # The line breaks are those between values: inside a string they are escapes already.
        lines = exact.write(value, indented=True, ascii_only=ascii_only).split("\n")
        sys.stdout.write("".join(escaped(line) + "\n" for line in lines))

    @property
    def is_fitted(self) -> bool:
        """Whether tables are fitted to a terminal. Into a pipe or a file every cell goes whole."""
        return self.words.width < _WIDE

    def table(
        self,
        rows: Sequence[Sequence[object]],
        *,
        headers: Sequence[str],
        wrap: bool = False,
        optional: Sequence[str] = (),
    ) -> None:
        """The most important columns first, prose last: that one may be wrapped. A narrow terminal may leave out those
        of ``optional``, in this order.
        """
        texts = [[self._styled(value) for value in row] for row in rows]
        for line in laid_out(texts, headers=headers, console=self.words, wrap=wrap, optional=optional):
            self.words.print(line, soft_wrap=True)

    def checks(self, checks: Sequence[Mapping[str, Any]]) -> None:
        """A line each, green or red, in columns that fit each other from call to call; under a red one what to do."""
        for check in checks:
            grid = Table.grid(padding=(0, _GAP, 0, 0))
            grid.add_column(no_wrap=True, width=_CHECK_MARK)
            grid.add_column(no_wrap=True, width=_CHECK_NAME)
            grid.add_column(overflow="fold")
            mark = Text("ok", "green") if check.get("ok") else Text("RED", "bold red")
            grid.add_row(mark, Text(clean(check.get("name"))), Text(clean(check.get("says"))))
            self.words.print(grid)
            if todo := clean(check.get("do")):
                # A command is for copying: whatever its length, no line break of ours is in it.
                hint, is_command = Text(f"-> {todo}", "yellow"), todo.startswith("nightshift ")
                indented = Padding(hint, (0, 0, 0, _CHECK_MARK + _GAP), expand=False)
                if is_command:
                    hint.pad_left(_CHECK_MARK + _GAP)
                self.words.print(hint if is_command else indented, soft_wrap=is_command)

    def facts(self, facts: Sequence[tuple[str, object]]) -> None:
        """Names and values under one another; long values and lists go on in their own column."""
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
        raise  # not to end here, with 1, as rich would: the command says how it ends


def _console(*, stderr: bool) -> Console:
    # Into a pipe or a file nothing is cut or wrapped: what reads it has no width.
    wide = not (sys.stderr if stderr else sys.stdout).isatty()
    return _Console(stderr=stderr, width=_WIDE if wide else None, markup=False, emoji=False, highlight=False)

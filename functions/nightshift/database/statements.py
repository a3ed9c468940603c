"""Parses a query as Postgres does, to find the colons that begin a parameter."""

import re
from dataclasses import dataclass

# In the order in which Postgres reads them: comments and quoted text; then the colons of SQL itself (casts, named
# arguments, the bounds of an array slice); then our parameters. The colon of an array slice directly follows its lower
# bound; the colon of a parameter never follows a name, a number or a closing bracket.
# https://www.postgresql.org/docs/16/sql-syntax-lexical.html
TOKENS = re.compile(
    r"""
    (?P<comment> --[^\n]* )
  | (?P<kept> /\*.*?\*/
      | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | (?<![\w$])(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)
      | :: | :=
      | (?<=[\w)\]"]):
    )
  | (?P<numbered> (?<![\w$])\$\d+ )
  | : (?P<name> [^\W\d]\w* )
    """,
    re.VERBOSE | re.DOTALL,
)

# Only the executor begins and commits the step's transaction, and later runs use the same session. Postgres prepares
# one command at a time, so the first word of a query identifies it.
ENGINE_COMMANDS = (
    *("ABORT", "BEGIN", "COMMIT", "DEALLOCATE", "DISCARD", "END", "PREPARE"),
    *("RELEASE", "RESET", "ROLLBACK", "SAVEPOINT", "SET", "START"),
)
FIRST_WORD = re.compile(
    r"(?: \s | /\*.*?\*/ )* (?! set \s+ (?:local|constraints) \b ) (\w+)", re.VERBOSE | re.DOTALL | re.IGNORECASE
)


class EngineCommand(ValueError):
    """A query begins with a command that only the executor may send"""


class NumberedParameter(ValueError):
    """A query has a numbered parameter instead of a named one"""


@dataclass(frozen=True)
class Statement:
    """``text`` with ``$1``, ``$2`` … in place of the parameters ``names``; each name occurs once, in this order."""

    text: str
    names: tuple[str, ...]


def parse(query: str) -> Statement:
    """Parse a query.

    Raises NumberedParameter with the line of the first ``$1``, because its number could clash with ours; EngineCommand
    for a command that would end the step's transaction or change the session.
    """
    numbers: dict[str, int] = {}

    def replaced(token: re.Match[str]) -> str:
        if token["numbered"]:
            line = query.count("\n", 0, token.start()) + 1
            raise NumberedParameter(
                f"line {line} has {token['numbered']}; give the parameter a name, as in :project_id"
            )
        if token["name"]:
            return f"${numbers.setdefault(token['name'], len(numbers) + 1)}"
        return "" if token["comment"] else token[0]

    text = TOKENS.sub(replaced, query)
    first = FIRST_WORD.match(text)
    if first and (word := first[1].upper()) in ENGINE_COMMANDS:
        raise EngineCommand(f"it begins with {word}, but only the executor may control the transaction and the session")
    return Statement(text, tuple(numbers))

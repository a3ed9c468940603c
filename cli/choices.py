"""Choices among things that may be many: a few are named, and the way to search the rest."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click

from cli.errors import Misconfigured
from cli.output import clean

MOST = 10
# More rows than a person reads; --search finds one of them.
MOST_ROWS = 100
SEARCH = {"project": "nightshift projects --search TEXT", "team": "nightshift whoami --search TEXT"}

search_option = click.option("--search", metavar="TEXT", help="Only those that hold TEXT in one of their columns.")
all_option = click.option("--all", "every_one", is_flag=True, help=f"Every one, not only the first {MOST_ROWS}.")


def some(names: Collection[str], *, kind: str = "") -> str:
    """The first few of ``names``, and how many more there are; for a kind of SEARCH how to find them."""
    named = ", ".join([clean(name) for name in names][:MOST])
    if len(names) <= MOST:
        return named
    how = f" ({SEARCH[kind]})" if kind in SEARCH else ""
    return f"{named} and {len(names) - MOST:,} more{how}"


def chosen(kind: str, wanted: str | None, candidates: Iterable[Mapping[str, Any]]) -> str:
    """The id of the one with this slug (or id), or of the only one. Raises Misconfigured, with some of them."""
    known = {str(candidate.get("slug")): str(candidate.get("id")) for candidate in candidates}
    if wanted:
        if wanted in known.values():
            return wanted
        if wanted in known:
            return known[wanted]
        if len(known) > MOST and (like := alike(wanted, list(known))):
            raise Misconfigured(f"Unknown {kind} {wanted!r}. Like it: {some(like, kind=kind)}.")
        raise Misconfigured(f"Unknown {kind} {wanted!r}. Available: {some(known, kind=kind) or 'none'}.")
    if len(known) == 1:
        return next(iter(known.values()))
    if not known:
        raise Misconfigured(f"There is no {kind} here that this token can see.")
    raise Misconfigured(f"Choose one with --{kind}: {some(known, kind=kind)}.")


def asked(kind: str, names: Sequence[str]) -> str:
    """Ask a person for one of ``names`` until the answer is one, or a part of one alone."""
    while True:
        wanted: str = click.prompt(f"{kind.capitalize()} ({some(names)})", err=True).strip()
        like = [wanted] if wanted in names else [name for name in names if wanted.casefold() in name.casefold()]
        if len(like) == 1:
            return like[0]
        like = like or alike(wanted, names)
        click.echo(f"Like it: {some(like)}." if like else f"No {kind} is like it.", err=True)


def alike(wanted: str, names: Sequence[str]) -> list[str]:
    """Those that hold ``wanted``, or else those that are spelled nearly so."""
    holding = [name for name in names if wanted.casefold() in name.casefold()]
    return holding or get_close_matches(wanted, names, n=MOST)


def matching(
    rows: Sequence[Sequence[object]], *, search: str | None, every_one: bool, say: Callable[[str], None]
) -> Sequence[Sequence[object]]:
    """The rows that hold ``search``, the first MOST_ROWS of them but for ``every_one``; says what is left out."""
    wanted = (search or "").casefold()
    found = [row for row in rows if any(wanted in clean(cell).casefold() for cell in row)]
    if not found:
        say(f"None of the {len(rows):,} holds {search!r}.")
    if every_one or len(found) <= MOST_ROWS:
        return found
    say(f"The first {MOST_ROWS} of {len(found):,}. Find others with --search TEXT, or see all with --all.")
    return found[:MOST_ROWS]

"""Choices from lists that may be long: name a few entries, and say how to search for the others."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.text import clean

MOST = 10
# People do not read more rows than this; --search finds the others.
MOST_ROWS = 100
SEARCH = {"project": "nightshift projects --search TEXT", "team": "nightshift whoami --search TEXT"}

search_option = click.option("--search", metavar="TEXT", help="Only rows that contain TEXT in one of their columns.")
all_option = click.option("--all", "every_one", is_flag=True, help=f"Show every row, not only the first {MOST_ROWS}.")


def some(names: Collection[str], *, kind: str = "") -> str:
    """Return the first few ``names`` and the number of others; for a kind in SEARCH, also how to find them."""
    named = ", ".join([clean(name) for name in names][:MOST])
    if len(names) <= MOST:
        return named
    how = f" ({SEARCH[kind]})" if kind in SEARCH else ""
    return f"{named} and {len(names) - MOST:,} more{how}"


def chosen(kind: str, wanted: str | None, candidates: Iterable[Mapping[str, Any]]) -> str:
    """Return the id of the candidate with this slug or id, or of the only candidate.

    Raise Misconfigured, naming some candidates, if none of them or more than one qualifies.
    """
    known = {str(candidate.get("slug")): str(candidate.get("id")) for candidate in candidates}
    if wanted:
        if wanted in known.values():
            return wanted
        if wanted in known:
            return known[wanted]
        if len(known) > MOST and (like := alike(wanted, list(known))):
            raise Misconfigured(f"Unknown {kind} {wanted!r}. Similar: {some(like, kind=kind)}.")
        raise Misconfigured(f"Unknown {kind} {wanted!r}. Available: {some(known, kind=kind) or 'none'}.")
    if len(known) == 1:
        return next(iter(known.values()))
    if not known:
        raise Misconfigured(f"This token has access to no {kind}.")
    raise Misconfigured(f"Choose one with --{kind}: {some(known, kind=kind)}.")


def asked(kind: str, names: Sequence[str]) -> str:
    """Prompt for one of ``names`` until the answer is a name, or a part of exactly one name."""
    while True:
        wanted: str = click.prompt(f"{kind.capitalize()} ({some(names)})", err=True).strip()
        like = [wanted] if wanted in names else [name for name in names if wanted.casefold() in name.casefold()]
        if len(like) == 1:
            return like[0]
        like = like or alike(wanted, names)
        click.echo(f"Similar: {some(like)}." if like else f"Unknown {kind} {clean(wanted)!r}.", err=True)


def alike(wanted: str, names: Sequence[str]) -> list[str]:
    """Return the names that contain ``wanted``, or else names with a similar spelling."""
    holding = [name for name in names if wanted.casefold() in name.casefold()]
    return holding or get_close_matches(wanted, names, n=MOST)


def matching(
    rows: Sequence[Sequence[object]], *, search: str | None, every_one: bool, say: Callable[[str], None]
) -> Sequence[Sequence[object]]:
    """Return the rows that contain ``search``: the first MOST_ROWS, or all with ``every_one``. Say what is left out."""
    wanted = (search or "").casefold()
    found = [row for row in rows if any(wanted in clean(cell).casefold() for cell in row)]
    if not found:
        say(f"None of the {len(rows):,} contains {search!r}.")
    if every_one or len(found) <= MOST_ROWS:
        return found
    say(f"The first {MOST_ROWS} of {len(found):,}. Search with --search TEXT, or show all with --all.")
    return found[:MOST_ROWS]

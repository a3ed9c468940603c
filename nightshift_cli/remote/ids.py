"""Shortened run ids: shown on terminals, and accepted in place of a whole id."""

import re
from collections.abc import Callable, Sequence

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.text import clean
from nightshift_cli.remote.api import Api

SHORTEST_SHOWN = 8
# The API's own minimum.
SHORTEST_TAKEN = 4
WHOLE = 36


def short_ids(ids: Sequence[str]) -> list[str]:
    """Return prefixes of ``ids`` of one length that distinguish them."""
    length = SHORTEST_SHOWN
    while length < WHOLE and len({id[:length] for id in ids}) < len(set(ids)):
        length += 1
    return [id[:length] for id in ids]


def run_beginning(beginning: str, *, team_id: str, api: Api) -> str:
    """Return the id of the team's only run that begins with ``beginning``.

    Raise Misconfigured if the beginning is too short, or if no run or several runs have it.
    """
    if len(digits_of(beginning)) < SHORTEST_TAKEN:
        raise Misconfigured(f"Run id {beginning} is too short. Give at least {SHORTEST_TAKEN} characters.")
    page = api.runs(team_id, id_prefix=beginning)
    ids = [clean(run.get("id")) for run in page["job_runs"]]
    if not all(digits_of(id).startswith(digits_of(beginning)) for id in ids):
        raise Misconfigured(f"{api.url} does not support shortened run ids. Give the whole id.")
    if not ids:
        raise Misconfigured(f"No run of this team has an id that begins with {beginning}. See `nightshift jobs list`.")
    if len(ids) > 1:
        more = " and more" if page["has_more"] else ""
        raise Misconfigured(f"Several run ids begin with {beginning}: {', '.join(ids)}{more}. Give more characters.")
    return ids[0]


def only_id(wanted: str, known_ids: Callable[[], Sequence[str]], *, kind: str, of: str) -> str:
    """Return the only known id that begins with ``wanted``, or ``wanted`` itself if it is whole.

    ``kind`` is the thing with the id, ``of`` says whose. Raise Misconfigured if the beginning is too short, or if no id
    or several have it.
    """
    if len(wanted) >= WHOLE:
        return wanted
    if len(digits_of(wanted)) < SHORTEST_TAKEN:
        raise Misconfigured(f"{kind.capitalize()} id {wanted} is too short. Give at least {SHORTEST_TAKEN} characters.")
    found = [id for id in known_ids() if digits_of(id).startswith(digits_of(wanted))]
    if not found:
        raise Misconfigured(f"No {kind} of {of} has an id that begins with {wanted}. See `nightshift {kind}s list`.")
    if len(found) > 1:
        raise Misconfigured(f"Several {kind} ids begin with {wanted}: {', '.join(found)}. Give more characters.")
    return found[0]


def is_beginning(text: str) -> bool:
    """Return whether ``text`` may be the beginning of an id, and not a whole id."""
    return len(text) < WHOLE and re.fullmatch("[0-9a-f]+", digits_of(text)) is not None


def digits_of(text: str) -> str:
    return text.replace("-", "").lower()

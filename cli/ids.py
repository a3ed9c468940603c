"""Ids of runs: short on a terminal, and a beginning that is one run's alone in the place of the whole."""

import re
from collections.abc import Sequence

from cli.client import Api
from cli.errors import Misconfigured
from cli.output import clean

SHORTEST_SHOWN = 8
# As the API takes them.
SHORTEST_TAKEN = 4
WHOLE = 36


def short_ids(ids: Sequence[str]) -> list[str]:
    """The beginnings of ``ids``, all as long, that tell them apart."""
    length = SHORTEST_SHOWN
    while length < WHOLE and len({id[:length] for id in ids}) < len(set(ids)):
        length += 1
    return [id[:length] for id in ids]


def run_beginning(beginning: str, *, team_id: str, api: Api) -> str:
    """The id of the team's only run that begins so. Raises Misconfigured for one that is too short, and
    for one that several runs share, some of which it names."""
    if len(digits_of(beginning)) < SHORTEST_TAKEN:
        raise Misconfigured(f"{beginning} is too short for a run's id. Give {SHORTEST_TAKEN} digits or more.")
    page = api.runs(team_id, id_prefix=beginning)
    ids = [clean(run.get("id")) for run in page["job_runs"]]
    if not all(digits_of(id).startswith(digits_of(beginning)) for id in ids):
        raise Misconfigured(f"{api.url} does not find runs by the beginning of their ids. Give the whole id.")
    if not ids:
        raise Misconfigured(f"No run of this team begins with {beginning}. `nightshift jobs list` shows them.")
    if len(ids) > 1:
        more = " and more" if page["has_more"] else ""
        raise Misconfigured(f"{beginning} begins more than one run: {', '.join(ids)}{more}. Give more of the id.")
    return ids[0]


def is_beginning(text: str) -> bool:
    """Whether ``text`` may be the beginning of an id, and not a whole one."""
    return len(text) < WHOLE and re.fullmatch("[0-9a-f]+", digits_of(text)) is not None


def digits_of(text: str) -> str:
    return text.replace("-", "").lower()

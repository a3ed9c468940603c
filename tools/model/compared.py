"""Store the digest of each statement and part of the schema when the model is compared with it.

An action's docstring names the modelled statement or schema part, as in ``claim_slice.sql`` or ``job_runs_one_live``. A
later change gives another digest, and a test fails until the model is compared again.
"""

import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from nightshift.database.queries import query_files
from nightshift.database.statements import TOKENS
from tools.model import (
    checkpoint_machine,
    digest_machine,
    outbox_machine,
    run,
    slots_machine,
    starts_machine,
    system_machine,
)
from tools.model.run import others, scene, worker

TABLE = Path(__file__).parent / "compared.txt"

MODULES: Mapping[str, tuple[ModuleType, ...]] = {
    "run": (run, worker, others, scene),
    "checkpoint": (checkpoint_machine,),
    "starts": (starts_machine,),
    "slots": (slots_machine,),
    "outbox": (outbox_machine,),
    "digest": (digest_machine,),
    "system": (system_machine,),
}

NO_ACTION = "-"
WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) (job_runs|job_slices|job_outbox|job_schedule_slots)\b")

# Statements that write but that no action models, with the reason.
LEFT_OUT = {
    "address_alert.sql": "it creates one mail for each operator, before any is sent",
    "ask_addresses.sql": "mails without a run; from their first claim on, they are like other mails",
    "hand_over_mails.sql": "mails without a run; from their first claim on, they are like other mails",
    "insert_alert.sql": "a mail without a run; from its first claim on, it is like other mails",
    "mail_team_admins.sql": "mails without a run; from their first claim on, they are like other mails",
    "insert_test_mail.sql": "a mail without a run; from its first claim on, it is like other mails",
    "note_slice.sql": "it stores why a slice was abandoned, which no condition reads, and waits for no lock",
    "prune_alerts.sql": "it deletes alerts that are over",
    "prune_slots.sql": "it deletes slots that were decided long ago",
    "rehome_runs.sql": "it changes the team of a run, which no condition reads, and removes the run's key",
}


class Compared(NamedTuple):
    """A statement or schema part. ``actions`` is for example run.claim, or NO_ACTION if no machine models it."""

    name: str
    digest: str
    actions: str


def read_table() -> dict[str, Compared]:
    rows = [line.split() for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return {(name := " ".join(words[2:])): Compared(name, words[0], words[1]) for words in rows}


def write_table(rows: Mapping[str, Compared]) -> None:
    heading = [line for line in TABLE.read_text().splitlines() if line.startswith("#")]
    width = max((len(row.actions) for row in rows.values()), default=0)
    lines = [f"{row.digest} {row.actions:{width}} {row.name}" for _, row in sorted(rows.items())]
    TABLE.write_text("\n".join([*heading, *lines]) + "\n")


def present(schema: Mapping[str, str]) -> dict[str, Compared]:
    """Return the current statements that an action names or that write, and the current parts of the schema."""
    named = actions()
    texts = {f"{name}.sql": path.read_text() for name, path in sorted(query_files().items())}
    wanted = {name: text for name, text in texts.items() if _word(name) in named or WRITES.search(text)}
    return {
        name: Compared(name, digest_of(text), ",".join(_named(name, named) or [NO_ACTION]))
        for name, text in {**wanted, **schema}.items()
    }


def _named(name: str, actions: Mapping[str, list[str]]) -> list[str]:
    """Return the actions that name it, alone or with its table, as two tables may have CHECKs of the same name."""
    return [action for word in sorted({_word(name), name.split(" ")[-1]}) for action in actions.get(word, [])]


def digest_of(text: str) -> str:
    """Return the SHA-256 of a statement without its comments and its white space."""
    bare = TOKENS.sub(lambda token: "" if token["comment"] else token[0], text)
    return hashlib.sha256("".join(bare.split()).encode()).hexdigest()


def complaints(schema: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each difference between the table and the repository, with the required action."""
    table, now = read_table(), present(schema)
    for name in sorted(table.keys() | now.keys()):
        old, new = table.get(name), now.get(name)
        renew = f'python -m tools.model renew "{name}"'
        if new is None:
            yield f"{name} is in tools/model/compared.txt but no longer exists. Remove its action, then run: {renew}"
        elif old is None:
            yield f"{name} is new, and tools/model was not compared with it. Name it in an action, then run: {renew}"
        elif old.digest != new.digest:
            yield (
                f"{name} has changed since tools/model was compared with it. Change {_in_words(new.actions)} "
                f"if it no longer matches, then run: {renew}"
            )
        elif old.actions != new.actions:
            yield f"{name} is now modelled by {new.actions}, not by {old.actions}. Compare them, then run: {renew}"
        if new and new.actions == NO_ACTION and name.endswith(".sql") and _word(name) not in LEFT_OUT:
            where = "LEFT_OUT of tools/model/compared.py"
            yield f"{name} writes, but no action names it. Model it, or give the reason in {where}"


def _in_words(actions: str) -> str:
    if actions == NO_ACTION:
        return "tools/model where it depends on the statement (no action names it)"
    return " and ".join(
        f"the action `{action}` of the {machine} machine"
        for machine, _, action in (each.partition(".") for each in actions.split(","))
    )


def _word(name: str) -> str:
    """Return the name that docstrings use."""
    return name if name.endswith(".sql") else re.split(r"[ .]", name)[-1]


def actions() -> dict[str, list[str]]:
    """Return the actions that name each word in their docstrings."""
    found: dict[str, list[str]] = {}
    for machine, modules in MODULES.items():
        for module in modules:
            for name, docstring in _docstrings(module):
                for word in re.findall(r"``(\w+(?:\.\w+)?)``", docstring):
                    found.setdefault(word, []).append(f"{machine}.{name}")
    return found


def _docstrings(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, one in vars(module).items():
        if getattr(one, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(one):
            yield name, one.__doc__ or ""
        elif inspect.isclass(one):
            yield from ((method, each.__doc__ or "") for method, each in vars(one).items() if inspect.isfunction(each))

"""Migrations only add: the previous release must work on the new schema, and a rollback does not undo migrations."""

import re
from pathlib import Path

import pytest

# A comment above the statement with the reason why no running release misses the removed part.
EXCUSE = "-- not additive: "

TAKES_AWAY = {
    "drops": r"\bDROP\s+(TABLE|COLUMN|VIEW|FUNCTION|SCHEMA|TYPE|ROLE)\b",
    "renames": r"\bRENAME\b",
    "retypes": r"\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b",
    "demands": r"\bSET\s+NOT\s+NULL\b",
    "drops a default": r"\bDROP\s+DEFAULT\b",
    "adds what nobody fills": (
        r"\bADD\s+(COLUMN\s+)?(IF\s+NOT\s+EXISTS\s+)?(?!CONSTRAINT|CHECK)\w+ "
        r"(?![^,]*\bDEFAULT\b)[^,]*(?<!IS )\bNOT\s+NULL\b"
    ),
}


MAKES = r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:TABLE|FUNCTION|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)"
CHANGES = r"\s*(?:ALTER\s+TABLE|DROP\s+FUNCTION|DROP\s+VIEW)\s+(?:IF\s+EXISTS\s+|ONLY\s+)*(\w+)"


def taken_away(script: str) -> list[str]:
    """Return the parts of existing tables that the script removes without an excuse."""
    # The bodies of functions are not part of the migration's own changes.
    script = re.sub(r"(\$\w*\$).*?\1", "''", script, flags=re.DOTALL)
    made_here = {name.lower() for name in re.findall(MAKES, script, re.I)}
    found = []
    for statement in script.split(";"):
        if EXCUSE in statement:
            continue
        code = re.sub(r"--[^\n]*", "", statement)
        # A table that this script creates, or a function that it replaces.
        changed = re.match(CHANGES, code, re.I)
        if changed and changed[1].lower() in made_here:
            continue
        found += [
            f"{kind}: {' '.join(code.split())}" for kind, regex in TAKES_AWAY.items() if re.search(regex, code, re.I)
        ]
    return found


@pytest.mark.parametrize(
    "path", sorted(Path("sql").glob("*/[0-9]*.sql")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_migrations_only_add(path):
    assert taken_away(path.read_text()) == []


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("ALTER TABLE job_runs DROP COLUMN notify", "drops"),
        ("DROP TABLE IF EXISTS job_runs", "drops"),
        ("ALTER TABLE job_runs RENAME COLUMN notify TO mail", "renames"),
        ("ALTER TABLE job_runs ALTER COLUMN notify TYPE text USING notify::text", "retypes"),
        ("ALTER TABLE job_runs ALTER notify SET DATA TYPE text", "retypes"),
        ("ALTER TABLE job_runs ALTER COLUMN result SET NOT NULL", "demands"),
        ("ALTER TABLE job_runs ALTER COLUMN notify DROP DEFAULT", "drops a default"),
        ("ALTER TABLE job_runs ADD COLUMN note text NOT NULL", "adds what nobody fills"),
        (
            "-- of no use\nALTER TABLE job_runs\n  ADD note text\n  NOT NULL CHECK (note <> '')",
            "adds what nobody fills",
        ),
    ],
)
def test_what_takes_something_away_is_seen(script, kind):
    [found] = taken_away(f"CREATE TABLE other (id int); {script};")
    assert found.startswith(f"{kind}: ")
    assert taken_away(f"{EXCUSE}nobody has read it since 1.2\n{script};") == []


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE job_runs ADD COLUMN note text",
        "ALTER TABLE job_runs ADD CONSTRAINT is_said CHECK (error IS NOT NULL)",
        "ALTER TABLE job_runs ADD COLUMN note text NOT NULL DEFAULT ''",
        "ALTER TABLE job_runs ADD COLUMN note text DEFAULT '' NOT NULL, ADD COLUMN other int",
        "CREATE TABLE notes (id int NOT NULL); ALTER TABLE notes ALTER COLUMN id SET NOT NULL",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE job_runs; END $$",
    ],
)
def test_what_adds_is_free(script):
    assert taken_away(script) == []

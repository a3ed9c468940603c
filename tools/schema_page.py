"""Generate docs/schema.md from the catalogue of a migrated database. ``make docs`` writes it; a test compares it."""

import re
from collections.abc import Iterator
from pathlib import Path

from local.postgres import throwaway
from nightshift.base.settings import Settings
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database

PAGE = Path(__file__).parent.parent / "docs/schema.md"

TABLES = """
SELECT relname, coalesce(obj_description(oid, 'pg_class'), ''), relkind = 'v'
FROM pg_class WHERE relnamespace = current_schema::regnamespace AND relkind IN ('r', 'v')
                AND relname ~ '^(job|event)_' AND NOT relispartition ORDER BY relkind = 'v', relname
"""
COLUMNS = """
SELECT class.relname, attname, format_type(atttypid, atttypmod), attnotnull
FROM pg_attribute JOIN pg_class class ON class.oid = attrelid
WHERE class.relnamespace = current_schema::regnamespace AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum
"""
INDEXES = """
SELECT "table".relname, index.relname, pg_get_indexdef(indexrelid),
       coalesce(obj_description(indexrelid, 'pg_class'), '')
FROM pg_index JOIN pg_class index ON index.oid = indexrelid JOIN pg_class "table" ON "table".oid = indrelid
WHERE index.relnamespace = current_schema::regnamespace ORDER BY NOT indisprimary, indexrelid
"""
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, confrelid::regclass::text, attname
FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'
"""
# The test of `doctor` compares job_rights with the catalogue. The role of the event tables has no functions.
RIGHTS = """
SELECT role, table_name, lower(array_to_string(privileges, ', ')) FROM job_rights WHERE declared_by = ''
UNION ALL
SELECT grantee::regrole::text, relname, string_agg(lower(privilege_type), ', ' ORDER BY privilege_type)
FROM pg_class, aclexplode(relacl) WHERE relnamespace = current_schema::regnamespace
  AND grantee = 'nightshift_events'::regrole AND grantee <> relowner AND NOT relispartition
GROUP BY grantee, relname
ORDER BY 1, 2
"""

# A column of this name refers to a row of that table, also without a foreign key.
REFERENCES = {
    "run_id": "job_runs",
    "rerun_of": "job_runs",
    "digest_id": "job_outbox",
    "team_id": "teams",
    "project_id": "projects",
}

INTRODUCTION = """\
# Schema

Nightshift's own tables, with the reason for each table and index, from the comments in `sql/jobs`. Generated from the
catalogue of a migrated database by `make docs`. Which tables of your platform are read and written is in
[platform.md](platform.md), and the meaning of a run's columns in `sql/jobs/0001_runs.sql` and
[protocol.md](protocol.md).

A solid line is a foreign key. A dotted line is a reference without one: rows on its two sides are deleted separately,
or the check would lock rows of the platform
([decision 0074](decisions/0074-no-foreign-keys-to-the-platform.md)).
"""


def main() -> None:
    with throwaway() as server:
        owner = Database(
            Settings(
                database_host="127.0.0.1", database_port=server.port, database_name="postgres", database_user="postgres"
            )
        )
        migrate(owner)
        PAGE.write_text(page(owner))
        owner.close()


def page(owner: Database) -> str:
    """Return the page's text. ``owner`` is connected to a migrated database."""
    return "\n".join([INTRODUCTION, *_picture(owner), *_tables(owner), *_rights(owner)]) + "\n"


def _picture(owner: Database) -> Iterator[str]:
    ours = {name for name, _, is_view in owner.run_script(TABLES) if not is_view}
    keys = {(child, parent, column) for child, parent, column in owner.run_script(FOREIGN_KEYS) if child in ours}
    loose = {
        (table, REFERENCES[column], column)
        for table, column, *_ in owner.run_script(COLUMNS)
        if table in ours and column in REFERENCES
    }
    yield "```mermaid"
    yield "erDiagram"
    for child, parent, column in sorted(keys | loose):
        line = "||--o{" if (child, parent, column) in keys else "||..o{"
        yield f"    {parent} {line} {child} : {column}"
    for table in sorted(ours - {child for child, *_ in keys | loose}):
        yield f"    {table}"
    yield "```"


def _tables(owner: Database) -> Iterator[str]:
    columns, indexes = owner.run_script(COLUMNS), owner.run_script(INDEXES)
    for name, reason, is_view in owner.run_script(TABLES):
        yield ""
        yield f"## {name}" + (" (view)" if is_view else "")
        yield " ".join(reason.split())
        yield ""
        yield ", ".join(f"`{column}` {_short(kind)}" for table, column, kind, _ in columns if table == name)
        if mine := [(index, definition, why) for table, index, definition, why in indexes if table == name]:
            yield ""
            yield "| index | of | reason |"
            yield "|---|---|---|"
            for index, definition, why in mine:
                of = definition.partition(" USING btree ")[2]
                kind = "unique: " if definition.startswith("CREATE UNIQUE") else ""
                is_key = index.endswith("_pkey") or index.endswith("_key")
                yield f"| `{index}` | {kind}`{of}` | {' '.join(why.split()) or ('The key.' if is_key else '')} |"


def _rights(owner: Database) -> Iterator[str]:
    yield ""
    yield "## Rights of the roles"
    yield "A job type may declare more for its own queries: `rights` in its folder's `__init__.py`."
    yield ""
    yield "| role | table | may |"
    yield "|---|---|---|"
    for role, table, rights in owner.run_script(RIGHTS):
        yield f"| `{role}` | `{table}` | {rights} |"


def _short(kind: str) -> str:
    """Return the type as the migrations write it: ``timestamp(3) with time zone`` is ``timestamptz(3)``."""
    return re.sub(r"timestamp(\(\d\))? with time zone", r"timestamptz\1", kind)


if __name__ == "__main__":
    main()

"""The mutants of the migrated database's own rules: constraints, indexes, triggers and functions.

They are read from Postgres's catalogue, so it does not matter which migration created a rule. A mutant's text is a
script that alters the database.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql

from nightshift.database.queries import Database
from tests.mutants.site import Mutant, numbered
from tests.mutants.statements import changed, mutants_of, mutants_of_condition, without_each, written

CONSTRAINTS = """
SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = '{0}'::regclass AND contype IN ('c', 'f', 'p', 'u') ORDER BY contype, conname
"""
INDEXES = """
SELECT class.relname, pg_get_indexdef(class.oid) FROM pg_index JOIN pg_class class ON class.oid = indexrelid
WHERE indrelid = '{0}'::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = class.oid)
ORDER BY class.relname
"""
TRIGGERS = """
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = '{0}'::regclass AND NOT tgisinternal ORDER BY tgname
"""

ALTERED = ("PLpgSQL_stmt_if", "PLpgSQL_if_elsif", "PLpgSQL_stmt_execsql", "PLpgSQL_stmt_assign")


def mutants_of_table(table: str, *, owner: Database) -> list[Mutant]:
    """Return the mutants of a table's constraints, indexes and triggers."""
    found: list[Mutant] = []
    for name, kind, definition in owner.run_script(CONSTRAINTS.format(table)):
        drop = f'ALTER TABLE {table} DROP CONSTRAINT "{name}" CASCADE'
        found.append(Mutant(f"{name}: dropped", drop))
        if kind == "c":
            condition = definition.removeprefix("CHECK (").removesuffix(")")
            found += [
                Mutant(
                    f"{name}: {mutant.name}",
                    f'{drop}; ALTER TABLE {table} ADD CONSTRAINT "{name}" CHECK ({mutant.text})',
                )
                for mutant in mutants_of_condition(condition)
            ]
    for name, definition in owner.run_script(INDEXES.format(table)):
        found += _of_object(name, definition, drop=f'DROP INDEX "{name}"', alterations=_of_index)
    for name, definition in owner.run_script(TRIGGERS.format(table)):
        found += _of_object(name, definition, drop=f'DROP TRIGGER "{name}" ON {table}', alterations=_of_trigger)
    return numbered(found)


def mutants_of_function(name: str, *, owner: Database) -> list[Mutant]:
    """Return the mutants of a PL/pgSQL function: of its conditions, its statements and its exception handlers."""
    [[definition]] = owner.run_script(f"SELECT pg_get_functiondef('{name}'::regproc)")
    found = list(_of_body(definition))
    for number, handler in enumerate(re.finditer(r"EXCEPTION\s+WHEN\s+(OTHERS)", definition), start=1):
        text = f"{definition[: handler.start(1)]}SQLSTATE '0N000'{definition[handler.end(1) :]}"
        found.append(Mutant(f"catches nothing in block {number}", text))
    return numbered(found)


def _of_object(
    name: str, definition: str, *, drop: str, alterations: Callable[[Any], Iterator[tuple[str, Any]]]
) -> Iterator[Mutant]:
    yield Mutant(f"{name}: dropped", drop)
    [root] = parse_sql(definition)
    for altered, other in alterations(root.stmt):
        yield Mutant(f"{name}: {altered}", f"{drop}; {_script(other)}")


def _script(statement: Any) -> str:
    if not getattr(statement, "nulls_not_distinct", False):
        return written(statement)
    # pglast writes it after the WHERE, where Postgres does not accept it.
    before, where, condition = written(changed(statement, nulls_not_distinct=False)).partition(" WHERE ")
    return f"{before} NULLS NOT DISTINCT{where}{condition}"


def _of_index(index: ast.IndexStmt) -> Iterator[tuple[str, Any]]:
    if index.unique:
        yield "not unique", changed(index, unique=False, nulls_not_distinct=False)
        if index.nulls_not_distinct:
            yield "without NULLS NOT DISTINCT", changed(index, nulls_not_distinct=False)
        for rest, column in without_each(index.indexParams):
            if rest:
                yield f"without {written(column)}", changed(index, indexParams=rest)
    if index.whereClause:
        yield "without WHERE", changed(index, whereClause=None)
        yield from _of_condition(index, "whereClause")


def _of_trigger(trigger: ast.CreateTrigStmt) -> Iterator[tuple[str, Any]]:
    if trigger.whenClause:
        yield from _of_condition(trigger, "whenClause")


def _of_condition(statement: Any, name: str) -> Iterator[tuple[str, Any]]:
    for mutant in mutants_of_condition(written(getattr(statement, name))):
        [root] = parse_sql(f"SELECT {mutant.text}")
        yield mutant.name, changed(statement, **{name: root.stmt.targetList[0].val})


def _of_body(definition: str) -> Iterator[Mutant]:
    """Return the body's expressions in the order of the text, as the parser returns them."""
    [function] = parse_plpgsql(definition)
    position = definition.index("BEGIN")
    for kind, query, into in _expressions(function):
        if kind not in ALTERED:
            continue
        # The parser replaces an INTO with blanks.
        words = [re.escape(word) for word in query.split()]
        found = re.compile(r"\s+(?:INTO\s+(?:STRICT\s+)?\w+(?:,\s+\w+)*\s+)?".join(words)).search(definition, position)
        if not found:
            raise AssertionError(f"The function's text does not contain {query}")
        position = found.end()
        for mutant in _of_expression(kind, query):
            yield Mutant(mutant.name, f"{definition[: found.start()]}{mutant.text}{into}{definition[found.end() :]}")


def _of_expression(kind: str, query: str) -> list[Mutant]:
    match kind:
        case "PLpgSQL_stmt_if" | "PLpgSQL_if_elsif":
            name = " ".join(query.split())
            decided = [Mutant(f"{word} {name}", value) for word, value in (("always", "true"), ("never", "false"))]
            return decided + mutants_of_condition(query)
        case "PLpgSQL_stmt_execsql":
            return mutants_of(query)
        case "PLpgSQL_stmt_assign":
            target, value = query.split(":=", 1)
            return [
                Mutant(f"{target.strip()}: {mutant.name}", f"{target}:= {mutant.text}")
                for mutant in mutants_of_condition(value)
            ]
    raise AssertionError(f"{kind} has no mutants")


def _expressions(node: Any, kind: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the kind of each statement, its text and its INTO, in the order of the text."""
    if isinstance(node, list):
        for item in node:
            yield from _expressions(item, kind)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "PLpgSQL_expr":
                yield kind, value["query"], ""
            elif key == "PLpgSQL_stmt_execsql":
                yield key, value["sqlstmt"]["PLpgSQL_expr"]["query"], _into(value)
            elif key != "datums":
                yield from _expressions(value, key if key.startswith("PLpgSQL_") else kind)


def _into(statement: dict[str, Any]) -> str:
    if not statement.get("into"):
        return ""
    [target] = statement["target"].values()
    names = (
        [target["refname"]] if "refname" in target and "fields" not in target else [f["name"] for f in target["fields"]]
    )
    return f" INTO {'STRICT ' if statement.get('strict') else ''}{', '.join(names)}"

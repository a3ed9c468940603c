"""Rows with types: a column that the outside sees is added to the view and to RunRow, and nowhere else."""

import ast
import importlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.schemas import JobRun
from nightshift.base.errors import BadQuery
from nightshift.database.queries import query_text
from nightshift.database.run_row import RunRow, RunState
from nightshift.database.statements import parse
from nightshift.database.typed_rows import typed
from nightshift.operator.run_checks import FirstInLine
from nightshift_cli.show.run_rows import facts_of
from tests.support.world import state_of, system_run

FUNCTIONS = Path(__file__).parents[2] / "functions"


def reads():
    """Return module, type and query of each ``query_as`` and ``one_as`` in the functions."""
    for path in sorted(FUNCTIONS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="query_as" | "one_as"), args=[ast.Name(id=kind), ast.Constant(value=query)]
                ):
                    yield ".".join(path.relative_to(FUNCTIONS).with_suffix("").parts), kind, query


def columns_of(kind):
    """Return the columns that the type needs, those of the types in it included."""
    for name, annotation in kind.__annotations__.items():
        inner = {"run": RunRow, "state": RunState}.get(name)
        if inner is None:
            yield name
        else:
            assert inner.__name__ in str(annotation)
            yield from columns_of(inner)


READS = sorted(set(reads()))


def test_a_column_of_the_view_is_a_field_of_the_row(owner):
    columns = owner.run_script(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = 'job_runs_public' ORDER BY ordinal_position"
    )
    assert [name for (name,) in columns] == list(RunRow._fields), "Change sql/jobs and RunRow together: only these two"


def test_what_the_row_has_is_what_clients_see(db, owner):
    shown = state_of(db, system_run(owner, "db_pruning")).run.as_json()
    seen = [*RunRow._fields]
    assert list(shown) == seen
    assert list(JobRun.model_fields) == seen
    # The command line shows each field that has a value.
    run = dict.fromkeys(seen, "x") | {"progress": {"processed": 1, "total": 2, "message": ""}, "notify": True}
    run |= {"result": {"a": 1}, "params": {"a": 1}}
    facts = {name for name, _ in facts_of(run, timeline={"state": "ended"}, now=datetime.now(UTC))}
    assert facts >= {name.replace("_", " ") for name in seen}


def test_each_query_returns_the_columns_of_the_type_that_it_is_read_as(owner):
    assert len(READS) > 60
    for module, kind, query in READS:
        columns = owner._connected().prepare_named(parse(query_text(query)).text)[1].columns
        needed = set(columns_of(getattr(importlib.import_module(module), kind)))
        assert needed <= {column["name"] for column in columns}, (module, kind, query)


class TestTyped:
    ROW = dict.fromkeys(RunRow._fields) | dict.fromkeys(RunState._fields)

    def test_a_column_that_a_later_release_added_is_ignored(self):
        assert typed(RunRow, self.ROW | {"status": "pending", "grown": "later"}).status == "pending"

    @pytest.mark.parametrize("missing", ["id", "status"])
    def test_a_missing_column_is_named(self, missing):
        row = {name: value for name, value in self.ROW.items() if name != missing}
        for kind in (RunRow, RunState):
            with pytest.raises(BadQuery, match=f"The query returns no column {missing}"):
                typed(kind, row | ({} if missing == "id" else {"id": 1}))

    def test_a_row_in_a_row_in_a_row_is_filled(self):
        first = typed(FirstInLine, self.ROW | {"id": 1, "waiting": 2})
        assert (first.state.run.id, first.waiting) == (1, 2)

    def test_a_row_without_its_run_has_none(self):
        assert typed(RunState, self.ROW).run is None
        assert typed(RunState, self.ROW | {"id": 1}).run == typed(RunRow, self.ROW | {"id": 1})

"""The tables of mutants match the code in both directions, and mutants follow their rules."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from pglast import ast as sql
from pglast import parse_sql

from nightshift.database.queries import query_files
from nightshift.database.statements import parse
from tests.mutants import guarded, table
from tests.mutants.child import Verdict
from tests.mutants.code import mutants_of_module
from tests.mutants.found import mutants_of_subject
from tests.mutants.statements import mutants_of, mutants_of_condition, written

WRITTEN_TO = {"job_runs", "job_slices", "job_outbox", "job_schedule_slots"}

# Too slow to run for a mutant.
SLOW = ("test_chaos", "test_stack", "test_browser", "simulation")


def test_each_condition_of_a_query_has_its_mutant_and_each_mutant_its_condition(owner):
    """Postgres can run each mutant: an invalid statement would be killed by its error."""
    for subject in guarded.QUERIES:
        for mutant in as_in_its_table(subject):
            owner.run_script(f"PREPARE mutant AS {parse(mutant.text).text}; DEALLOCATE mutant")


def test_each_condition_of_the_schema_has_its_mutant_and_each_mutant_its_condition(owner):
    """Postgres can run each mutant."""
    for subject in (*guarded.TABLES, *guarded.FUNCTIONS):
        for mutant in as_in_its_table(subject, owner=owner):
            owner.run_script(f"BEGIN; {mutant.text}")
            owner.run_script("ROLLBACK")


def test_each_decision_of_a_module_has_its_mutant_and_each_mutant_its_decision():
    """Python can run each mutant."""
    for subject in guarded.MODULES:
        for mutant in as_in_its_table(subject):
            compile(mutant.text, subject, "exec")


def as_in_its_table(subject, owner=None):
    """Return the subject's mutants, whose names are those in its table."""
    mutants = mutants_of_subject(subject, owner=owner)
    assert list(table.read(subject)) == [mutant.name for mutant in mutants], subject
    return mutants


def test_each_table_is_of_something_guarded():
    assert {path.stem for path in table.FOLDER.glob("*")} <= set(guarded.SUBJECTS)
    assert len(set(guarded.SUBJECTS)) == len(guarded.SUBJECTS)


def test_each_statement_that_writes_runs_slices_outbox_or_slots_is_guarded():
    writing = {path.stem for path in query_files().values() if tables_written_to(path) & WRITTEN_TO}
    assert "claim_slice" in writing
    assert writing <= set(guarded.QUERIES)


def test_each_statement_of_the_protocol_is_guarded():
    page = Path("docs/protocol.md").read_text()
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("|") and line.count("|") == 6]
    named = {name for row in rows for name in row.replace("`", " ").replace(",", " ").split()}
    named = {name for name in named if name in query_files()}
    assert "claim_slice" in named
    assert "claim_outbox" in named
    assert named <= set(guarded.QUERIES)


def tables_written_to(path):
    found = set()

    class Writes(Visitor):
        def visit(self, node):
            if isinstance(node, sql.InsertStmt | sql.UpdateStmt | sql.DeleteStmt):
                found.add(node.relation.relname)

    Writes().look(parse_sql(parse(path.read_text()).text))
    return found


class Visitor:
    def look(self, node):
        if isinstance(node, tuple):
            for item in node:
                self.look(item)
        elif isinstance(node, sql.Node):
            self.visit(node)
            for name in node:
                self.look(getattr(node, name))


@pytest.mark.parametrize("subject", guarded.SUBJECTS)
def test_each_test_that_a_table_names_exists_and_is_fast(subject):
    for name, entry in table.read(subject).items():
        if entry.killed_by:
            file, *path = entry.killed_by.partition("[")[0].split("::")
            assert tuple(path) in names_in(file), f"{subject}: {name} names {entry.killed_by}, which is not there"
            assert not any(slow in file for slow in SLOW), f"{subject}: {name} names {entry.killed_by}, which is slow"


@cache
def names_in(file):
    def named(body, path):
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from named(node.body, (*path, node.name))
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                yield (*path, node.name)

    return set(named(ast.parse(Path(file).read_text()).body, ()))


@pytest.mark.parametrize("subject", guarded.QUERIES)
def test_a_statement_means_the_same_when_it_was_read_and_written(subject):
    text = parse(query_files()[subject].read_text()).text
    assert parse_sql(written(parse_sql(text)[0])) == parse_sql(text)


def test_a_mutant_takes_the_place_of_its_original(tmp_path):
    """In a separate process: modules that it imported earlier stay as they are."""
    script = (
        "from pathlib import Path; from tests.mutants import child\n"
        f"child.put_query('ping', 'SELECT 2', Path({str(tmp_path)!r}) / 'sql')\n"
        "child.put_module('nightshift.base.wording', 'ALTERED = 3')\n"
        "from nightshift.base import wording\nfrom nightshift.database import queries\n"
        "print(queries.query_text('ping'), wording.ALTERED, 'UPDATE' in queries.query_text('cancel_run'))"
    )
    assert printed_by(script) == "SELECT 2 3 True"
    assert "SELECT 2" not in query_files()["ping"].read_text()


def test_each_task_of_a_fork_answers_or_fails_by_itself(tmp_path):
    script = (
        "import json, os, time; from pathlib import Path; from tests.mutants import fork\n"
        "tasks = {'answer': lambda folder: 7, 'raise': lambda folder: 1 / 0, 'die': lambda folder: os._exit(3),"
        " 'hang': lambda folder: time.sleep(60)}\n"
        f"done = dict(fork.each(tasks.items(), folder=Path({str(tmp_path)!r}), patience_s=1))\n"
        "print(json.dumps({name: str(answer) for name, answer in done.items()}))"
    )
    assert json.loads(printed_by(script)) == {
        "answer": "7",
        "raise": "ZeroDivisionError: division by zero",
        "die": "Its process ended without an answer",
        "hang": "It took more than 1 s",
    }


def test_a_mutant_is_killed_by_a_test_and_by_nothing_else():
    assert Verdict().outcome == "survived"
    assert Verdict(failed="a test").outcome == "killed"
    assert Verdict(failed="a test", is_fault=True).outcome == "fault"


def printed_by(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("query", "mutants"),
    [
        (
            "DELETE FROM t WHERE a AND b < CAST(:c AS integer)",
            {
                "without a": "DELETE FROM t WHERE b < CAST(:c AS integer)",
                "without b < :c": "WITH unheeded AS (SELECT CAST(:c AS integer)) DELETE FROM t WHERE a",
                "b <= :c instead of <": "DELETE FROM t WHERE a AND b <= CAST(:c AS integer)",
            },
        ),
        (
            "DELETE FROM t WHERE a OR b",
            {
                "without WHERE a OR b": "DELETE FROM t",
                "without a": "DELETE FROM t WHERE b",
                "without b": "DELETE FROM t WHERE a",
            },
        ),
        (
            "UPDATE t SET a = NULL, b = b + 1 WHERE c IN ('x', 'y')",
            {
                "without WHERE c IN ('x', 'y')": "UPDATE t SET a = NULL, b = b + 1",
                "without SET a": "UPDATE t SET b = b + 1 WHERE c IN ('x', 'y')",
                "without SET b": "UPDATE t SET a = NULL WHERE c IN ('x', 'y')",
                "b: without + 1": "UPDATE t SET a = NULL, b = b WHERE c IN ('x', 'y')",
                "c IN without 'x'": "UPDATE t SET a = NULL, b = b + 1 WHERE c IN ('y')",
                "c IN without 'y'": "UPDATE t SET a = NULL, b = b + 1 WHERE c IN ('x')",
            },
        ),
        (
            "SELECT CASE WHEN a THEN 1 END AS x, coalesce(b, c) AS y, d IS NULL AS z FROM t",
            {
                "x: always a": "SELECT CASE WHEN TRUE THEN 1 END AS x, COALESCE(b, c) AS y, d IS NULL AS z FROM t",
                "x: never a": "SELECT CASE WHEN FALSE THEN 1 END AS x, COALESCE(b, c) AS y, d IS NULL AS z FROM t",
                "y: coalesce without b": "SELECT CASE WHEN a THEN 1 END AS x, c AS y, d IS NULL AS z FROM t",
                "y: coalesce without c": "SELECT CASE WHEN a THEN 1 END AS x, b AS y, d IS NULL AS z FROM t",
                "z: opposite of d IS NULL": (
                    "SELECT CASE WHEN a THEN 1 END AS x, COALESCE(b, c) AS y, d IS NOT NULL AS z FROM t"
                ),
            },
        ),
        (
            "SELECT a FROM t ORDER BY b LIMIT 2 FOR UPDATE SKIP LOCKED",
            {
                "without LIMIT 2": "SELECT a FROM t ORDER BY b FOR UPDATE SKIP LOCKED",
                "reversed ORDER BY b": "SELECT a FROM t ORDER BY b DESC LIMIT 2 FOR UPDATE SKIP LOCKED",
                "without FOR UPDATE SKIP LOCKED": "SELECT a FROM t ORDER BY b LIMIT 2",
                "without SKIP LOCKED": "SELECT a FROM t ORDER BY b LIMIT 2 FOR UPDATE",
            },
        ),
        (
            "WITH w AS (DELETE FROM t WHERE a) INSERT INTO s (x, y) SELECT b, 1 ON CONFLICT DO NOTHING",
            {
                "without ON CONFLICT DO NOTHING": (
                    "WITH w AS (DELETE FROM t WHERE a) INSERT INTO s (x, y) SELECT b, 1"
                ),
                "INSERT without x": (
                    "WITH w AS (DELETE FROM t WHERE a) INSERT INTO s (y) SELECT 1 ON CONFLICT DO NOTHING"
                ),
                "INSERT without y": (
                    "WITH w AS (DELETE FROM t WHERE a) INSERT INTO s (x) SELECT b ON CONFLICT DO NOTHING"
                ),
                "w: left out": "INSERT INTO s (x, y) SELECT b, 1 ON CONFLICT DO NOTHING",
                "w: without WHERE a": (
                    "WITH w AS (DELETE FROM t) INSERT INTO s (x, y) SELECT b, 1 ON CONFLICT DO NOTHING"
                ),
            },
        ),
        (
            "DELETE FROM t WHERE a = CAST(:a AS text) AND b = CAST(:b AS integer)",
            {
                "without a = :a": (
                    "WITH unheeded AS (SELECT CAST(:a AS text)) DELETE FROM t WHERE b = CAST(:b AS integer)"
                ),
                "without b = :b": (
                    "WITH unheeded AS (SELECT CAST(:b AS integer)) DELETE FROM t WHERE a = CAST(:a AS text)"
                ),
            },
        ),
        ("SELECT f(true)", {"FALSE instead of TRUE": "SELECT f(FALSE)"}),
        (
            "SELECT a FROM t LEFT JOIN u ON t.b = u.b UNION ALL SELECT least(c, d) FROM v",
            {
                "UNION without SELECT FROM v": "SELECT a FROM t LEFT JOIN u ON t.b = u.b",
                "UNION without SELECT FROM t LEFT JOIN u ON t.b = u.b": "SELECT LEAST(c, d) FROM v",
                "JOIN u is inner": "SELECT a FROM t INNER JOIN u ON t.b = u.b UNION ALL SELECT LEAST(c, d) FROM v",
                "without JOIN ON t.b = u.b": "SELECT a FROM t LEFT JOIN u ON TRUE UNION ALL SELECT LEAST(c, d) FROM v",
                "least without c": "SELECT a FROM t LEFT JOIN u ON t.b = u.b UNION ALL SELECT d FROM v",
                "least without d": "SELECT a FROM t LEFT JOIN u ON t.b = u.b UNION ALL SELECT c FROM v",
            },
        ),
        (
            "SELECT a || jsonb_build_object('b', c), -d, e > interval '1 day' FROM t",
            {
                "without a ||": "SELECT jsonb_build_object('b', c), - d, e > CAST('1 day' AS interval) FROM t",
                "without || jsonb_build_object('b', c)": "SELECT a, - d, e > CAST('1 day' AS interval) FROM t",
                "without - before d": (
                    "SELECT a || jsonb_build_object('b', c), d, e > CAST('1 day' AS interval) FROM t"
                ),
                "e >= '1 day' instead of >": (
                    "SELECT a || jsonb_build_object('b', c), - d, e >= CAST('1 day' AS interval) FROM t"
                ),
                "twice interval '1 day'": (
                    "SELECT a || jsonb_build_object('b', c), - d, e > CAST('1 day' AS interval) * 2 FROM t"
                ),
            },
        ),
    ],
)
def test_the_mutants_of_a_statement(query, mutants):
    assert {mutant.name: mutant.text for mutant in mutants_of(query)} == mutants


def test_a_name_that_comes_twice_is_numbered():
    assert [mutant.name for mutant in mutants_of_condition("(a AND b) = (a AND c)")] == [
        *("without a", "without b", "without a (2)", "without c"),
    ]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("if a:\n    b()", ["never a", "always a", "without b()"]),
        ("while a < b:\n    logger.info(c)", ["never a < b", "<= instead of < in a < b"]),
        ("x = a or b", ["without a", "without b"]),
        ("x = [y for y in z if y]", ["without if y"]),
        ("x = a == b", ["opposite of a == b"]),
        ("f(a=True)", ["without f(a=True)", "False instead of True for a"]),
        ("x = a + b", ["a instead of a + b"]),
        ("x = max(0, a)", ["max(0, a) without 0", "max(0, a) without a"]),
        (
            "try:\n    a\nexcept (B, C):\n    d",
            ["without except (B, C)", "except (B, C) without B", "except (B, C) without C"],
        ),
        ("match a:\n    case B() if c:\n        d", ["never case B()", "case B() without if c"]),
        ("with a():\n    b", ["without with a()"]),
        ("def f():\n    if a:\n        b\n        return\n    c", ["f: never a", "f: always a", "f: without return"]),
        ("a.b = c\nd += 1", ["without a.b = c", "without d += 1"]),
    ],
)
def test_the_mutants_of_a_module(source, names):
    assert [mutant.name for mutant in mutants_of_module(source)] == names
    assert len({mutant.text for mutant in mutants_of_module(source)} - {source}) == len(names)

"""Find the queries that a function may send: those named in code that its handler reaches, by reading the code."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from nightshift.database.queries import query_files

FUNCTIONS = Path(__file__).parents[2] / "functions"

# Lists that say something about queries, and send none.
ABOUT_QUERIES = {("nightshift.database.queries", "PLANNED_ONCE"), ("nightshift.database.session_pins", "FUNCTIONS")}

# A definition of a module: (module, name). The name "*" stands for all of them.
Definition = tuple[str, str]


def queries_from(*starts: Definition) -> dict[str, Definition]:
    """Return the names of all queries, each with a definition that names it."""
    found: dict[str, Definition] = {}
    seen: set[Definition] = set()
    waiting = list(starts)
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        module, name = here
        definitions = _definitions(module)
        if name == "*":
            waiting += [(module, each) for each in definitions]
            continue
        for node in definitions.get(name, ()) if here not in ABOUT_QUERIES else ():
            found |= {query: here for query in _queries(node)}
            waiting += _references(module, node)
    return found


@cache
def _tree(module: str) -> ast.Module | None:
    path = FUNCTIONS.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists():
            return ast.parse(file.read_text())
    return None


@cache
def _definitions(module: str) -> dict[str, list[ast.AST]]:
    """Return the functions, classes and constants of a module, and under "" its other statements."""
    found: dict[str, list[ast.AST]] = {}
    tree = _tree(module)
    for node in tree.body if tree else ():
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case ast.Import() | ast.ImportFrom():
                names = []
            case _:
                names = [""]
        for name in names:
            found.setdefault(name, []).append(node)
    return found


@cache
def _imported(module: str) -> dict[str, Definition]:
    """Return what each imported name of a module, at its top or within a function, stands for."""
    found = {}
    for node in ast.walk(_tree(module) or ast.Module([], [])):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = _tree(inner) is not None
                found[alias.asname or alias.name] = (inner, "") if is_module else (node.module, alias.name)
    return found


def _queries(node: ast.AST) -> Iterator[str]:
    return (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and each.value in query_files())


def _references(module: str, node: ast.AST) -> Iterator[Definition]:
    names = _imported(module)
    yield module, ""
    for each in ast.walk(node):
        match each:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if names.get(name, ("", "x"))[1] == "":
                yield names[name][0], attribute
            case ast.Name(id=name) if name in names:
                yield names[name]
            case ast.Name(id=name):
                yield module, name

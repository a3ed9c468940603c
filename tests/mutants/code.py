"""The mutants of a Python module, from its syntax tree: each decision, bound and closing call, altered in turn."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.mutants.site import Mutant, numbered

FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)

# Other tests check the log lines.
UNALTERED = ("logger.",)

Alteration = tuple[str, Any]
"""The mutant's name and the replacement of the node; a list replaces a statement."""


def mutants_of_module(source: str) -> list[Mutant]:
    """Return the mutants of a module's text, in the order of the text."""
    tree = ast.parse(source)
    module = _Module(tree, source)
    found = []
    for node, path, part in _places(tree, (), ""):
        for name, other in module.alterations(node, path, part):
            found.append(Mutant(f"{part}: {name}" if part else name, _with(tree, source, path, other)))
    return numbered(found)


Path = tuple[tuple[str, int | None], ...]


def _places(node: ast.AST, path: Path, part: str) -> Iterator[tuple[ast.AST, Path, str]]:
    """Yield each node with its path, and the class and function that contain it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        part = f"{part}.{node.name}" if part else node.name
    yield node, path, part
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        if isinstance(value, ast.AST):
            yield from _places(value, (*path, (name, None)), part)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _places(item, (*path, (name, index)), part)


def _at(tree: ast.AST, path: Path) -> Any:
    node: Any = tree
    for name, index in path:
        node = getattr(node, name) if index is None else getattr(node, name)[index]
    return node


def _with(tree: ast.Module, source: str, path: Path, other: Any) -> str:
    """Return the module's text with another node at the end of the path. Only its own definition is written anew."""
    (_, index), *rest = path
    body = tree.body[index or 0]
    first = min(node.lineno for node in (body, *getattr(body, "decorator_list", ())))
    altered = _replaced(ast.Module(body=[body], type_ignores=[]), (("body", 0), *rest), other)
    lines = source.splitlines()
    lines[first - 1 : body.end_lineno] = ast.unparse(ast.fix_missing_locations(altered)).splitlines()
    return "\n".join([*lines, ""])


def _replaced(node: Any, path: Path, other: Any) -> Any:
    """Return a tree with another node at the end of the path. It shares all that is not on the path."""
    if not path:
        return other
    (name, index), *rest = path
    inner = getattr(node, name)
    if index is None:
        return _changed(node, **{name: _replaced(inner, tuple(rest), other)})
    replaced = _replaced(inner[index], tuple(rest), other)
    items = replaced if isinstance(replaced, list) else [replaced]
    return _changed(node, **{name: [*inner[:index], *items, *inner[index + 1 :]]})


@dataclass(frozen=True)
class _Module:
    tree: ast.Module
    source: str

    def alterations(self, node: ast.AST, path: Path, part: str) -> Iterator[Alteration]:
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield from self._of_decision(node, test)
            case ast.comprehension(ifs=[*conditions]):
                for rest, condition in _without_each(conditions):
                    yield f"without if {self._text(condition)}", _changed(node, ifs=rest)
            case ast.BoolOp(values=values):
                for rest, value in _without_each(values):
                    other = rest[0] if len(rest) == 1 else _changed(node, values=rest)
                    yield f"without {self._text(value)}", other
            case ast.Compare(ops=[operator]):
                yield from self._of_comparison(node, operator, path)
            case ast.Constant(value=bool() as value) if not self._is_test(path):
                yield f"{not value} instead of {value}{self._keyword(path)}", ast.Constant(not value)
            case ast.BinOp(op=operator) if isinstance(operator, ARITHMETIC):
                yield f"{self._text(node.left)} instead of {self._text(node)}", node.left
            case ast.Call(func=ast.Name(id="min" | "max"), args=[_, _] as args):
                for [kept], left_out in _without_each(args):
                    yield f"{self._text(node)} without {self._text(left_out)}", kept
            case ast.ExceptHandler(type=kind):
                yield from self._of_handler(node, kind)
            case ast.match_case(pattern=pattern):
                yield f"never case {self._text(pattern)}", _changed(node, guard=ast.Constant(False))
                if node.guard:
                    name = f"case {self._text(pattern)} without if {self._text(node.guard)}"
                    yield name, _changed(node, guard=None)
            case ast.With(items=[ast.withitem(optional_vars=None) as item], body=body):
                yield f"without with {self._text(item.context_expr)}", body
            case ast.Expr(value=ast.Call() as call) if not self._text(call).startswith(UNALTERED):
                yield f"without {self._text(call)}", ast.Pass()
            case ast.Return() | ast.Raise() | ast.Continue() if not self._is_needed(path):
                yield f"without {self._text(node)}", ast.Pass()
            case ast.AugAssign():
                yield f"without {self._text(node)}", ast.Pass()
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) if not part.endswith(".__init__"):
                yield f"without {self._text(node)}", ast.Pass()

    def _of_decision(self, node: Any, test: ast.expr) -> Iterator[Alteration]:
        if isinstance(test, ast.Constant):
            return
        yield f"never {self._text(test)}", _changed(node, test=ast.Constant(False))
        # An endless loop would only cost time.
        if not isinstance(node, ast.While):
            yield f"always {self._text(test)}", _changed(node, test=ast.Constant(True))

    def _of_comparison(self, node: ast.Compare, operator: ast.cmpop, path: Path) -> Iterator[Alteration]:
        if flipped := FLIPPED.get(type(operator)):
            name = f"{SIGNS[flipped]} instead of {SIGNS[type(operator)]} in {self._text(node)}"
            yield name, _changed(node, ops=[flipped()])
        elif not self._is_test(path):
            yield f"opposite of {self._text(node)}", _changed(node, ops=[OPPOSITE[type(operator)]()])

    def _of_handler(self, node: ast.ExceptHandler, kind: ast.expr | None) -> Iterator[Alteration]:
        nothing = ast.Tuple(elts=[], ctx=ast.Load())
        yield f"without except {self._text(kind) if kind else ''}".rstrip(), _changed(node, type=nothing)
        if isinstance(kind, ast.Tuple):
            for rest, caught in _without_each(kind.elts):
                name = f"except {self._text(kind)} without {self._text(caught)}"
                yield name, _changed(node, type=_changed(kind, elts=rest))

    def _is_test(self, path: Path) -> bool:
        """Return whether the node is a whole condition or an operand of one. Those are altered elsewhere."""
        name = path[-1][0]
        return name in ("test", "ifs", "values", "guard") or isinstance(_at(self.tree, path[:-1]), ast.UnaryOp)

    def _is_needed(self, path: Path) -> bool:
        """Return whether the statement is alone in its block, where its condition is altered, or ends its function."""
        parent, (name, index) = _at(self.tree, path[:-1]), path[-1]
        block = getattr(parent, name)
        return len(block) == 1 or (isinstance(parent, ast.FunctionDef) and index == len(block) - 1)

    def _keyword(self, path: Path) -> str:
        parent = _at(self.tree, path[:-1])
        return f" for {parent.arg}" if isinstance(parent, ast.keyword) else ""

    def _text(self, node: ast.AST) -> str:
        """Return the node's original text, because each version of Python would print it differently."""
        return " ".join((ast.get_source_segment(self.source, node) or "").split())


def _without_each(items: list[Any]) -> Iterator[tuple[list[Any], Any]]:
    for index, item in enumerate(items):
        yield items[:index] + items[index + 1 :], item


def _changed(node: Any, **changes: Any) -> Any:
    other = copy.copy(node)
    for name, value in changes.items():
        setattr(other, name, value)
    return other

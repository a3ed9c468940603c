"""The mutants of one SQL statement, from its syntax tree: each condition, value, lock and bound, altered in turn."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pglast import ast, enums, parse_sql
from pglast.stream import RawStream

from nightshift.database.statements import Statement, parse
from tests.mutants.site import Mutant, numbered

FLIPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
ARITHMETIC = {"+", "-", "*", "/"}
BLIND_TO_NULL = {enums.A_Expr_Kind.AEXPR_DISTINCT: "<>", enums.A_Expr_Kind.AEXPR_NOT_DISTINCT: "="}

Alteration = tuple[str, Any]
"""The mutant's name and the replacement of the node; None removes the node."""


def mutants_of(query: str) -> list[Mutant]:
    """Return the mutants of a query in the order of its text, with the original names of its parameters."""
    statement = parse(query)

    def with_names(text: str) -> str:
        return re.sub(r"\$(\d+)", lambda number: f":{statement.names[int(number[1]) - 1]}", text)

    return numbered(
        Mutant(_short(with_names(mutant.name)), _with_parameters(statement, with_names(mutant.text)))
        for mutant in _mutants(statement.text)
    )


def _with_parameters(statement: Statement, text: str) -> str:
    """Add the parameters that the alteration removed: callers pass them, and Database counts them."""
    types = dict(re.findall(r"CAST\(\$(\d+) AS ([^)]+)\)", statement.text))
    lost = [
        f"CAST(:{name} AS {types[str(number)]})"
        for number, name in enumerate(statement.names, start=1)
        if not re.search(rf":{name}\b", text)
    ]
    if not lost:
        return text
    before, separator = ("WITH ", ", ") if text.startswith("WITH ") else ("", " ")
    return f"WITH unheeded AS (SELECT {', '.join(lost)}){separator}{text.removeprefix(before)}"


def _mutants(text: str) -> Iterator[Mutant]:
    [root] = parse_sql(text)
    unused = _unused(root.stmt)
    for node, put, parent, part in _places(root, _refuse, None, ""):
        for name, other in _alterations(node, parent, unused):
            put(other)
            yield Mutant(f"{part}: {name}" if part else name, written(root))
            put(node)


def _short(name: str) -> str:
    """Remove unnecessary types from a name."""
    return re.sub(r"CAST\((:\w+|'[^']*') AS [a-z0-9]+(?:\[\])?\)", r"\1", name)


def mutants_of_condition(condition: str) -> list[Mutant]:
    """Return the mutants of a bare condition, for example of a CHECK: of its operands, lists and comparisons."""
    before = "SELECT "
    return [
        replace(mutant, text=mutant.text.removeprefix(before))
        for mutant in mutants_of(before + condition)
        if not mutant.name.startswith("opposite of")
    ]


def written(node: ast.Node) -> str:
    text: str = RawStream()(node)
    return text


def _places(
    node: ast.Node, put: Callable[[Any], None], parent: ast.Node | None, part: str
) -> Iterator[tuple[ast.Node, Callable[[Any], None], ast.Node | None, str]]:
    """Yield each node with a function that replaces it, its parent, and its part (WITH query and column)."""
    if isinstance(node, ast.InferClause):
        return  # must match its index
    if isinstance(node, ast.CommonTableExpr):
        part = node.ctename
    elif isinstance(node, ast.ResTarget) and node.name and node.val:
        part = f"{part}.{node.name}" if part else node.name
    yield node, put, parent, part
    for name in list(node):
        value = getattr(node, name)
        if isinstance(value, ast.Node):
            yield from _places(value, lambda other, name=name: setattr(node, name, other), node, part)
        elif isinstance(value, tuple):
            for child, put_child in _places_in(value, lambda items, name=name: setattr(node, name, items)):
                yield from _places(child, put_child, node, part)


def _places_in(items: tuple[Any, ...], put: Callable[[Any], None]) -> Iterator[tuple[ast.Node, Callable[[Any], None]]]:
    for index, item in enumerate(items):

        def put_item(other: Any, index: int = index) -> None:
            put(items[:index] + (() if other is None else (other,)) + items[index + 1 :])

        if isinstance(item, ast.Node):
            yield item, put_item
        elif isinstance(item, tuple):
            yield from _places_in(item, put_item)


def _refuse(other: object) -> None:
    raise AssertionError("The root of a statement has no mutant")


def _alterations(node: ast.Node, parent: ast.Node | None, unused: set[str]) -> Iterator[Alteration]:
    match node:
        case ast.BoolExpr(boolop=enums.BoolExprType.AND_EXPR | enums.BoolExprType.OR_EXPR):
            for rest, operand in without_each(node.args):
                name = f"without {written(operand)}"
                yield name, rest[0] if len(rest) == 1 else changed(node, args=rest)
        case ast.A_Expr():
            yield from _of_operator(node)
        case ast.CaseExpr():
            yield from _of_case(node)
        case ast.CoalesceExpr() | ast.MinMaxExpr():
            for rest, argument in without_each(node.args):
                name = f"{_function(node)} without {written(argument)}"
                yield name, rest[0] if len(rest) == 1 else changed(node, args=rest)
        case ast.A_Const(val=ast.Boolean()):
            other = _constant(not node.val.boolval)
            yield f"{written(other)} instead of {written(node)}", other
        case ast.TypeCast(arg=ast.A_Const()) if written(node.typeName) == "interval":
            yield f"twice interval {written(node.arg)}", _operator("*", node, ast.A_Const(val=ast.Integer(ival=2)))
        case ast.NullTest() if isinstance(parent, ast.ResTarget):
            is_null = enums.NullTestType.IS_NULL
            other = enums.NullTestType.IS_NOT_NULL if node.nulltesttype == is_null else is_null
            yield f"opposite of {written(node)}", changed(node, nulltesttype=other)
        case ast.SortBy():
            descending = enums.SortByDir.SORTBY_DESC
            other = enums.SortByDir.SORTBY_ASC if node.sortby_dir == descending else descending
            yield f"reversed ORDER BY {written(node)}", changed(node, sortby_dir=other)
        case ast.LockingClause():
            yield f"without FOR {written(node)}", None
            if node.waitPolicy == enums.LockWaitPolicy.LockWaitSkip:
                yield "without SKIP LOCKED", changed(node, waitPolicy=enums.LockWaitPolicy.LockWaitBlock)
        case ast.JoinExpr():
            if node.jointype != enums.JoinType.JOIN_INNER:
                yield f"JOIN {written(node.rarg)} is inner", changed(node, jointype=enums.JoinType.JOIN_INNER)
            yield from _without_conditions(node, "quals", "JOIN ON", instead=_constant(True))
        case ast.WithClause():
            for rest, query in without_each(node.ctes):
                if query.ctename in unused:
                    yield f"{query.ctename}: left out", changed(node, ctes=rest) if rest else None
        case ast.SelectStmt():
            yield from _of_select(node)
        case ast.UpdateStmt():
            yield from _without_conditions(node, "whereClause", "WHERE")
            yield from _without_assignments(node)
        case ast.DeleteStmt():
            yield from _without_conditions(node, "whereClause", "WHERE")
        case ast.InsertStmt():
            yield from _of_insert(node)
        case ast.OnConflictClause():
            yield from _without_conditions(node, "whereClause", "WHERE")
            if len(node.targetList or ()) > 1:
                yield from _without_assignments(node)


def _of_operator(node: ast.A_Expr) -> Iterator[Alteration]:
    operator = node.name[-1].sval
    if isinstance(node.rexpr, ast.A_ArrayExpr) and len(node.rexpr.elements) > 1:
        for rest, item in without_each(node.rexpr.elements):
            yield (
                f"{written(node.lexpr)} {operator} without {written(item)}",
                changed(node, rexpr=changed(node.rexpr, elements=rest)),
            )
    if node.kind == enums.A_Expr_Kind.AEXPR_IN and len(node.rexpr) > 1:
        for rest, item in without_each(node.rexpr):
            yield f"{written(node.lexpr)} IN without {written(item)}", changed(node, rexpr=rest)
    if node.kind in BLIND_TO_NULL:
        other = changed(node, kind=enums.A_Expr_Kind.AEXPR_OP, name=(ast.String(sval=BLIND_TO_NULL[node.kind]),))
        yield f"{written(other)}, which is blind to NULL", other
    if node.kind != enums.A_Expr_Kind.AEXPR_OP:
        return
    if operator in FLIPPED:
        other = changed(node, name=(ast.String(sval=FLIPPED[operator]),))
        yield f"{written(other)} instead of {operator}", other
    elif operator in ARITHMETIC and node.lexpr:
        yield f"without {operator} {written(node.rexpr)}", node.lexpr
    elif operator in ARITHMETIC:
        yield f"without {operator} before {written(node.rexpr)}", node.rexpr
    elif operator == "||":
        yield f"without {written(node.lexpr)} ||", node.rexpr
        # A function's result or a constant could be an element where the whole must be an array.
        if isinstance(node.lexpr, ast.ColumnRef | ast.A_Expr):
            yield f"without || {written(node.rexpr)}", node.lexpr


def _of_case(node: ast.CaseExpr) -> Iterator[Alteration]:
    for index, when in enumerate(node.args):
        condition = written(when.expr)
        if node.arg:
            condition = f"{written(node.arg)} = {condition}"
        for name, expr in (("always", node.arg or _constant(True)), ("never", None if node.arg else _constant(False))):
            altered = (changed(when, expr=expr),) if expr else ()
            args = node.args[:index] + altered + node.args[index + 1 :]
            otherwise = node.defresult or ast.A_Const(isnull=True)
            yield f"{name} {condition}", changed(node, args=args) if args else otherwise


def _of_select(node: ast.SelectStmt) -> Iterator[Alteration]:
    yield from _without_conditions(node, "whereClause", "WHERE")
    for name in ("limitCount", "limitOffset"):
        if bound := getattr(node, name):
            word = "LIMIT" if name == "limitCount" else "OFFSET"
            option = {"limitOption": enums.LimitOption.LIMIT_OPTION_DEFAULT} if not _other_bound(node, name) else {}
            yield f"without {word} {written(bound)}", changed(node, **{name: None}, **option)
    if node.op == enums.SetOperation.SETOP_UNION:
        for kept, left_out in ((node.larg, node.rarg), (node.rarg, node.larg)):
            yield f"UNION without {_first_words(left_out)}", changed(kept, withClause=node.withClause)


def _other_bound(node: ast.SelectStmt, name: str) -> Any:
    return node.limitOffset if name == "limitCount" else node.limitCount


def _of_insert(node: ast.InsertStmt) -> Iterator[Alteration]:
    conflict = node.onConflictClause
    nothing = enums.OnConflictAction.ONCONFLICT_NOTHING
    if conflict and conflict.action == nothing:
        yield "without ON CONFLICT DO NOTHING", changed(node, onConflictClause=None)
    elif conflict:
        ignoring = changed(conflict, action=nothing, targetList=None, whereClause=None)
        yield "ON CONFLICT DO NOTHING", changed(node, onConflictClause=ignoring)
    source = node.selectStmt
    if not node.cols or len(node.cols) == 1:
        return
    for index, (rest, column) in enumerate(without_each(node.cols)):
        if source.valuesLists:
            rows = tuple(row[:index] + row[index + 1 :] for row in source.valuesLists)
            smaller = changed(source, valuesLists=rows)
        else:
            smaller = changed(source, targetList=source.targetList[:index] + source.targetList[index + 1 :])
        yield f"INSERT without {column.name}", changed(node, cols=rest, selectStmt=smaller)


def _without_conditions(node: ast.Node, name: str, word: str, instead: Any = None) -> Iterator[Alteration]:
    """Yield a mutant without the whole condition, unless it is an AND, whose operands are altered one by one."""
    condition = getattr(node, name)
    is_conjunction = isinstance(condition, ast.BoolExpr) and condition.boolop == enums.BoolExprType.AND_EXPR
    is_always = isinstance(condition, ast.A_Const)
    if condition and not is_conjunction and not is_always:
        yield f"without {word} {written(condition)}", changed(node, **{name: instead})


def _without_assignments(node: ast.Node) -> Iterator[Alteration]:
    for rest, target in without_each(node.targetList):
        if not rest:
            itself = ast.ColumnRef(fields=(ast.String(sval=target.name),))
            rest = (changed(target, val=itself),)
        yield f"without SET {target.name}", changed(node, targetList=rest)


def without_each(items: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for index, item in enumerate(items):
        yield items[:index] + items[index + 1 :], item


def _unused(statement: ast.Node) -> set[str]:
    """Return the WITH queries that no other part reads; they exist only for their writes."""
    ctes, read = set(), set()
    for node, *_ in _places(statement, _refuse, None, ""):
        if isinstance(node, ast.CommonTableExpr):
            ctes.add(node.ctename)
        elif isinstance(node, ast.RangeVar):
            read.add(node.relname)
    return ctes - read


def _function(node: ast.CoalesceExpr | ast.MinMaxExpr) -> str:
    if isinstance(node, ast.CoalesceExpr):
        return "coalesce"
    return "greatest" if node.op == enums.MinMaxOp.IS_GREATEST else "least"


def _first_words(select: ast.SelectStmt) -> str:
    tables = ", ".join(written(table) for table in select.fromClause or ())
    return f"SELECT FROM {tables}" if tables else written(select)


def _constant(value: bool) -> ast.A_Const:
    return ast.A_Const(val=ast.Boolean(boolval=value))


def _operator(name: str, left: ast.Node, right: ast.Node) -> ast.A_Expr:
    return ast.A_Expr(kind=enums.A_Expr_Kind.AEXPR_OP, name=(ast.String(sval=name),), lexpr=left, rexpr=right)


def changed(node: ast.Node, **changes: Any) -> Any:
    return type(node)(**({name: getattr(node, name) for name in node} | changes))

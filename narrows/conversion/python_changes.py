"""How later lines of a Python file change a dictionary: `name[key] = …` and `name.update(…)` can be read."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MUTATORS = ("update", "pop", "popitem", "setdefault", "clear", "__setitem__")


@dataclass(frozen=True)
class Change:
    """A statement beside the assignment. `keys` lead to what is set, or is updated with a dictionary."""

    line: int
    keys: tuple[str, ...]
    value: ast.expr
    updates: bool


def changes_of(tree: ast.AST, nodes: Sequence[ast.AST], name: str) -> tuple[list[Change], list[int]]:
    """The changes that can be read, in order, and the lines of others: in loops, branches, functions, or by `del`."""
    lines = [line for node in nodes if (line := _changed_at(node, name)) is not None]
    read = [change for body in _bodies(tree) for change in _changes_in(body, name)]
    rest = list(lines)
    for change in read:
        if change.line in rest:
            rest.remove(change.line)
    return read, rest


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.body


def _changes_in(body: Sequence[ast.stmt], name: str) -> Iterator[Change]:
    """The changes that follow the assignment in the same block."""
    starts = [index for index, statement in enumerate(body) if _assigns(statement, name)]
    for statement in body[starts[0] + 1 :] if starts else ():
        change = _read(statement)
        if change is not None and change[0] == name:
            yield change[1]


def _assigns(statement: ast.stmt, name: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _read(statement: ast.stmt) -> tuple[str, Change] | None:
    match statement:
        case ast.Assign(targets=[ast.Subscript() as target], value=value):
            updates = False
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="update"), args=args, keywords=keywords)):
            if len(args) + bool(keywords) != 1 or any(keyword.arg is None for keyword in keywords):
                return None
            names: list[ast.expr | None] = [ast.Constant(keyword.arg) for keyword in keywords]
            named = ast.Dict(names, [keyword.value for keyword in keywords])
            value, updates = args[0] if args else ast.fix_missing_locations(ast.copy_location(named, statement)), True
        case _:
            return None
    path = _path(target)
    return None if path is None else (path[0], Change(statement.lineno, tuple(path[1:]), value, updates))


def _path(node: ast.expr) -> list[str] | None:
    """The name and the constant keys of `name["a"]["b"]`."""
    keys: list[str] = []
    while isinstance(node, ast.Subscript):
        if not isinstance(node.slice, ast.Constant):
            return None
        keys.append(str(node.slice.value))
        node = node.value
    return [node.id, *reversed(keys)] if isinstance(node, ast.Name) else None


def _changed_at(node: ast.AST, name: str) -> int | None:
    """The line, if a node changes what a dictionary or list of that name holds."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del) and _root(node.value) == name:
        return node.lineno
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        return node.lineno if _root(node.func.value) == name else None
    return None


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None

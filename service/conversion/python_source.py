"""A Python file as a syntax tree: its literal values and calls. Nothing in it is imported, run or evaluated.

Known are literals, arithmetic of numbers, names that are assigned once and never changed, `dict(...)`,
`{**other, ...}`, `range(...)`, `list(...)` and `[... for i in range(...)]`. Everything else is Unknown, which is an
error only where its value is needed.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MAX_ITEMS = 10_000
MAX_BITS = 1024
MAX_VALUES = 100_000
"""For a whole file: lists of names of lists could otherwise stand for any number of values."""
MUTATORS = ("update", "pop", "popitem", "setdefault", "clear", "__setitem__")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
Values = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Call:
    """A call of a function, by its full name as far as the imports tell it."""

    name: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    line: int

    @property
    def short(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def named(self, names: Sequence[str]) -> dict[str, Any]:
        """All arguments by name. `names` are those of the positional ones."""
        return {**dict(zip(names, self.arguments, strict=False)), **self.keywords}

    def __repr__(self) -> str:
        return f"`{self.short}(…)` in line {self.line}"


@dataclass(frozen=True, repr=False)
class Unknown:
    """A value that is known only when the file runs."""

    text: str
    line: int

    def __repr__(self) -> str:
        return f"`{self.text}` in line {self.line}"


@dataclass(frozen=True)
class Uses:
    """What a file does with a name: lines of assignments, assigned values, lines that change a value in place."""

    stores: list[int]
    values: list[ast.expr]
    changes: list[int]


class SourceError(ValueError):
    """The text is not Python, or has too many values; the message names the line."""


class Source:
    """The calls and dictionaries of a file. Raises SourceError."""

    def __init__(self, text: str) -> None:
        try:
            self._tree = ast.parse(text)
            self._nodes = list(ast.walk(self._tree))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SourceError(f"cannot be read as Python: {error}") from error
        self._imports = dict(_imports(self._nodes))
        self._uses: dict[str, Uses] = {}
        self._n_values = 0
        self._under_way: set[str] = set()

    def calls(self, *names: str) -> list[Call]:
        """Return the calls of functions with these full names, in the order of lines."""
        found = [node for node in self._nodes if isinstance(node, ast.Call) and self._name(node.func) in names]
        return [call for node in sorted(found, key=lambda node: node.lineno) if (call := self._call(node, {}))]

    def dictionaries(self) -> dict[str, dict[Any, Any]]:
        """Return the dictionaries that are assigned to names, by name."""
        names = [
            name for node in self._nodes for name, value in _assigned(node) if isinstance(value, ast.Dict | ast.Call)
        ]
        values = {name: self._named(name, 0) for name in names}
        return {name: value for name, value in values.items() if isinstance(value, dict)}

    def _value(self, node: ast.expr, values: Values) -> Any:
        self._n_values += 1
        if self._n_values > MAX_VALUES:
            raise SourceError(f"line {node.lineno}: has more than {MAX_VALUES:,} values")
        match node:
            case ast.Constant():
                return node.value
            case ast.Name(id=name):
                return values[name] if name in values else self._named(name, node.lineno)
            case ast.List(elts=items):
                return self._items(items, values)
            case ast.Tuple(elts=items):
                return tuple(self._items(items, values))
            case ast.Dict():
                return self._dictionary(node, values)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self._value(operand, values)
                if isinstance(number, int | float):
                    return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp():
                return self._arithmetic(node, values)
            case ast.ListComp():
                return self._comprehension(node, values)
            case ast.Call():
                return self._call(node, values) or _unknown(node)
        return _unknown(node)

    def _uses_of(self, name: str) -> Uses:
        """Return the uses of a name outside of functions that have a parameter with the same name."""
        if name not in self._uses:
            nodes = list(_outside(self._tree, name))
            self._uses[name] = Uses(
                [node.lineno for node in nodes if isinstance(node, ast.Name) and node.id == name and _is_stored(node)],
                [value for node in nodes for target, value in _assigned(node) if target == name],
                [node.lineno for node in nodes if isinstance(node, ast.expr) and _changes(node, name)],
            )
        return self._uses[name]

    def _named(self, name: str, line: int) -> Any:
        """Return the value of a name that is assigned once and not changed."""
        uses = self._uses_of(name)
        if not uses.stores:
            return Unknown(self._imports.get(name, name), line)
        if len(uses.stores) > 1 or len(uses.values) != 1:
            lines = ", ".join(map(str, uses.stores))
            return Unknown(f"{name} (assigned in lines {lines})", line or uses.stores[0])
        if uses.changes:
            return Unknown(f"{name} (changed in line {uses.changes[0]})", line or uses.stores[0])
        if name in self._under_way:
            return Unknown(name, line)
        self._under_way.add(name)
        try:
            return self._value(uses.values[0], {})
        finally:
            self._under_way.remove(name)

    def _items(self, items: list[ast.expr], values: Values) -> list[Any]:
        return [self._value(item, values) for item in items]

    def _dictionary(self, node: ast.Dict, values: Values) -> Any:
        found: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self._value(item, values)
            if key is None:
                if not isinstance(value, dict):
                    return _unknown(node)
                found |= value
                continue
            name = self._value(key, values)
            found[name if isinstance(name, str) else str(name)] = value
        return found

    def _arithmetic(self, node: ast.BinOp, values: Values) -> Any:
        left, right = self._value(node.left, values), self._value(node.right, values)
        operation = OPERATORS.get(type(node.op))
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operation is None or not numbers or (isinstance(node.op, ast.Pow) and abs(right) > MAX_BITS):
            return _unknown(node)
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
            return _unknown(node)
        try:
            result = operation(left, right)
        except (ArithmeticError, ValueError):
            return _unknown(node)
        return result if isinstance(result, int | float) else _unknown(node)

    def _comprehension(self, node: ast.ListComp, values: Values) -> Any:
        (first, *others) = node.generators
        items = self._value(first.iter, values)
        simple = not others and not first.ifs and not first.is_async and isinstance(first.target, ast.Name)
        if not simple or not isinstance(items, list | tuple) or len(items) > MAX_ITEMS:
            return _unknown(node)
        name = first.target.id if isinstance(first.target, ast.Name) else ""
        return [self._value(node.elt, {**values, name: item}) for item in items]

    def _call(self, node: ast.Call, values: Values) -> Any:
        """Return a Call; for dict, list, tuple and range the value; None for a function without a name."""
        name = self._name(node.func)
        starred = any(isinstance(argument, ast.Starred) for argument in node.args)
        if name is None or starred or any(keyword.arg is None for keyword in node.keywords):
            return None
        arguments = tuple(self._items(node.args, values))
        keywords = {keyword.arg: self._value(keyword.value, values) for keyword in node.keywords if keyword.arg}
        match name, arguments, keywords:
            case "dict", (), _:
                return keywords
            case (("list" | "tuple"), ([*items] | (*items,),), {}) if isinstance(arguments[0], list | tuple):
                return list(items)
            case "range", _, {} if 1 <= len(arguments) <= 3 and all(type(part) is int for part in arguments):
                steps = range(*arguments) if arguments[2:] != (0,) else range(0)
                return list(steps) if len(steps) <= MAX_ITEMS else None
        return Call(name, arguments, keywords, node.lineno)

    def _name(self, node: ast.expr) -> str | None:
        """Return the full name of a function: tune.choice is ray.tune.choice after `from ray import tune`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        root = self._imports.get(node.id, "ray.tune" if node.id == "tune" else node.id)
        return ".".join([root, *reversed(parts)])


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (root, root)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a statement assigns, with the value."""
    if isinstance(node, ast.Assign):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value


def _outside(node: ast.AST, name: str) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS) and name in _parameters(child.args):
            continue
        yield child
        yield from _outside(child, name)


def _changes(node: ast.expr, name: str) -> bool:
    """Whether a node changes the dictionary or list of that name in place."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        changed = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        changed = node.func.value
    else:
        return False
    while isinstance(changed, ast.Subscript | ast.Attribute):
        changed = changed.value
    return isinstance(changed, ast.Name) and changed.id == name


def _parameters(arguments: ast.arguments) -> set[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return {argument.arg for argument in every if argument is not None}


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store | ast.Del)


def _unknown(node: ast.expr) -> Unknown:
    text = " ".join(ast.unparse(node).split())
    return Unknown(text if len(text) <= 80 else f"{text[:77]}…", node.lineno)

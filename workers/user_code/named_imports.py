"""Which installed packages a user's code will import, as far as its files say.

The process that forks for its trials imports them before the first one.
"""

import ast
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

MAX_FILES = 200
MAX_BYTES = 1024**2
"""Of one file; a larger one is not read."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def named_imports(code: Path, entrypoints: Sequence[str]) -> list[str]:
    """The modules of installed packages that the entrypoints' modules import, in the order of their lines.

    The files in `code` that these import count too. Imports within functions count in an entrypoint's own function
    alone, because other functions may never be called. Files that cannot be read or are no Python name nothing.
    """
    functions = dict(entrypoint.partition(":")[::2] for entrypoint in entrypoints)
    found: dict[str, None] = {}
    waiting, seen = deque(functions), set(functions)
    while waiting and len(seen) <= MAX_FILES:
        module = waiting.popleft()
        path = _file_of(code, module)
        for name, is_module in _imports(path, module, functions.get(module)) if path is not None else ():
            top = name.partition(".")[0]
            if _file_of(code, top) is not None:
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)
            elif is_module and top not in sys.stdlib_module_names:
                found[name] = None
    return list(found)


def _file_of(code: Path, module: str) -> Path | None:
    """The file of a module in the folder; None if it is not there."""
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    path = code.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imports(path: Path, module: str, function: str | None) -> Iterator[tuple[str, bool]]:
    """What a file imports when it is imported itself and when its entrypoint runs, and whether that is surely a module.

    `from a import b` imports the module a, and a.b if that is one.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            return
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the trial that imports the file says what is wrong
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    own = [node for node in tree.body if isinstance(node, FUNCTIONS) and getattr(node, "name", None) == function]
    for node in _statements(tree.body, own):
        if isinstance(node, ast.Import):
            yield from ((alias.name, True) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base:
                yield base, True
                yield from ((f"{base}.{alias.name}", False) for alias in node.names)


def _statements(body: Iterable[ast.stmt], own: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes that run when a file is imported, and those of its own functions."""
    waiting: deque[ast.AST] = deque(body)
    while waiting:
        node = waiting.popleft()
        yield node
        if not isinstance(node, FUNCTIONS) or node in own:
            waiting.extend(ast.iter_child_nodes(node))


def _absolute(node: ast.ImportFrom, package: str) -> str | None:
    """The module that is imported from; None if a relative import leads out of all packages."""
    if not node.level:
        return node.module
    parents = package.split(".") if package else []
    if node.level > len(parents):
        return None
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])

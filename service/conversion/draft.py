"""A study definition under construction: converted fields, notes for its reader, and errors."""

import keyword
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from reprlib import Repr
from typing import Any

from service.schemas.study.entrypoints import ENTRYPOINT_PATTERN

HEAD = ""
"""The place of notes that belong to the file as a whole."""


_short = Repr()
_short.maxstring = _short.maxother = 80
_short.maxlevel = 3


def shown(value: Any) -> str:
    """Return a value for a message, in one line and shortened."""
    return _short.repr(value)


class ConversionError(Exception):
    """A file cannot be converted; each of `lines` names a field, the rule and the value."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Given:
    """What the user gives on the command line; None leaves it to the file."""

    name: str | None = None
    entrypoint: str | None = None
    metric: str | None = None
    direction: str | None = None
    n_trials: int | None = None
    space: str | None = None


@dataclass
class Draft:
    """A definition under construction. `notes` are by the dotted name of the field that they explain.

    A program trains if there is a `command`, otherwise the function `entrypoint`.
    `no_entrypoint` is the field of the source that names no function of a module, and what it says.
    """

    name: str
    entrypoint: str = "train:train"
    no_entrypoint: tuple[str, str] | None = None
    command: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    objectives: list[dict[str, Any]] = field(default_factory=list)
    search_space: dict[str, dict[str, Any]] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    sampler: dict[str, Any] = field(default_factory=lambda: {"name": "random"})
    pruner: dict[str, Any] = field(default_factory=lambda: {"name": "none"})
    n_trials: int | None = None
    timeout_seconds: float | None = None
    target_value: float | None = None
    notes: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def note(self, place: str, text: str) -> None:
        """Add a note that becomes a comment above a field."""
        self.notes.setdefault(place, []).append(text)

    def refuse(self, source: str, message: str) -> None:
        """Add an error: a field of the source has no counterpart or is invalid."""
        self.errors.append(f"{source}: {message}")

    def search(self, name: str, source: str, parameter: dict[str, Any], *notes: str) -> None:
        """Add a parameter to the search space, with notes on it."""
        if self._is_listed(name, source):
            return
        self.search_space[name] = parameter
        for text in notes:
            self.note(f"search_space.{name}", text)

    def fix(self, name: str, source: str, value: Any) -> None:
        """Add a constant as an argument, under its own name."""
        if self._is_listed(name, source):
            return
        if (wrong := _not_json(value)) is not None:
            self.refuse(
                source, f"a constant must consist of strings, numbers, booleans, null, lists and mappings: {wrong}"
            )
        else:
            self.arguments[name] = value

    def _is_listed(self, name: str, source: str) -> bool:
        """Whether a parameter or a constant of this name is there already, which is an error."""
        if name not in self.search_space and name not in self.arguments:
            return False
        self.refuse(source, f"{name} is listed twice, as nested names are joined by dots: rename one of them")
        return True

    def call(self, source: str, path: str, function: str) -> None:
        """Make a function in a Python file the entrypoint. A file that cannot be imported needs one from the user."""
        entrypoint = entrypoint_of(path, function)
        if entrypoint is None:
            self.no_entrypoint = (source, path)
        else:
            self.entrypoint, self.no_entrypoint = entrypoint, None

    def apply(self, given: Given) -> None:
        """Let what the user gives win over the file."""
        self.name = given.name or self.name
        if given.entrypoint is not None:
            self.entrypoint = given.entrypoint
            self.notes.pop("training.entrypoint", None)
        elif self.no_entrypoint is not None:
            source, path = self.no_entrypoint
            rule = "must be a Python file that can be imported, or give --entrypoint package.module:function"
            self.refuse(source, f"{rule}: {shown(path)}")
        if given.metric is not None:
            direction = given.direction or (self.objectives[0]["direction"] if self.objectives else "minimize")
            self.objectives = [{"metric": given.metric, "direction": direction}]
        elif given.direction is not None:
            self.objectives = [{**objective, "direction": given.direction} for objective in self.objectives]
        if given.n_trials is not None:
            self.n_trials = given.n_trials
            self.notes.pop("n_trials", None)

        if self.command is None:
            self._note_options()

    def _note_options(self) -> None:
        """Note the constants that a function can take only by **options."""
        others = [name for name in self.arguments if not name.isidentifier() or keyword.iskeyword(name)]
        if others:
            text = f"{', '.join(others)}: no name in Python, so the function takes it by **options."
            self.note("training.arguments", text)

    def definition(self) -> dict[str, Any]:
        """Return the definition, without fields that keep their default."""
        program = {"command": self.command, "environment": self.environment}
        training = {**(program if self.command else {"entrypoint": self.entrypoint}), "arguments": self.arguments}
        whole = {
            "name": self.name,
            "objectives": self.objectives,
            "search_space": self.search_space,
            "training": {name: value for name, value in training.items() if value != {}},
            "sampler": self.sampler,
            "pruner": self.pruner,
            "n_trials": self.n_trials,
            "timeout_seconds": self.timeout_seconds,
            "target_value": self.target_value,
        }
        return {name: value for name, value in whole.items() if value is not None}


def study_name(text: str) -> str:
    """Return a text as the name of a study: characters that a name must not have become `-`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:128]
    return name.rstrip("-") or "study"


def entrypoint_of(path: str, function: str) -> str | None:
    """Return the entrypoint of a function in a Python file, or None if its path is not that of a module."""
    if PurePosixPath(path.replace("\\", "/")).suffix not in ("", ".py"):
        return None
    parts = [part for part in path.replace("\\", "/").removesuffix(".py").split("/") if part != "."]
    entrypoint = f"{'.'.join(parts)}:{function}"
    return entrypoint if re.fullmatch(ENTRYPOINT_PATTERN, entrypoint) else None


MAX_VALUES = 10_000
"""For each constant: aliases of YAML can stand for very many values in a few lines."""


def _not_json(value: Any) -> str | None:
    """Return the first part of a value that JSON does not have; None if there is none."""
    left, n_values = [value], 0
    while left:
        item, n_values = left.pop(), n_values + 1
        if n_values > MAX_VALUES:
            return f"more than {MAX_VALUES:,} values"
        if isinstance(item, dict):
            wrong = [key for key in item if not isinstance(key, str)]
            if wrong:
                return f"the key {shown(wrong[0])}"
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item
        elif item is not None and not isinstance(item, str | bool | int | float):
            return f"{shown(item)} ({type(item).__name__})"
    return None

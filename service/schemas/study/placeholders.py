"""The placeholders of a command: what stands for a trial's parameters and facts in its arguments."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from pydantic import JsonValue

FACTS = ("seed", "trial", "study", "device", "n_devices", "checkpoint_dir", "data_dir")
"""Placeholders that stand for a fact of the trial or of the worker."""
ALL_PARAMS = ("args", "args_spaced", "params_json")
"""Placeholders that pass on every parameter."""
SPREAD = ("args", "args_spaced")
"""Placeholders that become any number of arguments, so they are whole arguments of the command."""
FLAG, PARAM = "flag:", "param:"
RESERVED = (*FACTS, *ALL_PARAMS)

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Placeholder(NamedTuple):
    """One placeholder of an argument, by what is between its braces."""

    text: str

    @property
    def parameter(self) -> str | None:
        """The parameter that it passes on; None if it stands for a fact or for all parameters."""
        for prefix in (PARAM, FLAG):
            if self.text.startswith(prefix):
                return self.text.removeprefix(prefix)
        return None if self.text in RESERVED else self.text

    @property
    def is_flag(self) -> bool:
        """Whether it becomes `--name` for true and nothing for false."""
        return self.text.startswith(FLAG)


def parse(argument: str) -> list[str | Placeholder]:
    """The pieces of an argument: literal text and placeholders. Raises ValueError for a single brace."""
    pieces: list[str | Placeholder] = []
    end = 0
    for match in _PART.finditer(argument):
        if match.start() > end:
            pieces.append(argument[end : match.start()])
        end = match.end()
        found = match.group()
        if found in ("{", "}"):
            raise ValueError(f"a brace that is no placeholder is written twice, as {found}{found}: {argument!r}")
        pieces.append(found[0] if match.group(1) is None else Placeholder(match.group(1)))
    if end < len(argument):
        pieces.append(argument[end:])
    return pieces


def literal(argument: str) -> str | None:
    """The argument as the program gets it; None if it has placeholders."""
    pieces = parse(argument)
    return "".join(map(str, pieces)) if all(isinstance(piece, str) for piece in pieces) else None


def escaped(text: str) -> str:
    """The argument that a program gets as this text: with braces written twice."""
    return text.replace("{", "{{").replace("}", "}}")


def leading_words(command: Iterable[str]) -> tuple[str, ...]:
    """The arguments before the first one with a placeholder, as the program gets them."""
    return tuple(word for word in takewhile(lambda word: word is not None, map(literal, command)) if word is not None)


def command_errors(command: Sequence[str], names: Iterable[str]) -> Iterator[tuple[int | None, str]]:
    """What is wrong with the placeholders of a command, for a study with parameters of these names.

    Each error has the index of its argument; None if it concerns the whole command.
    """
    names = list(names)
    passed: set[str] = set()
    for index, argument in enumerate(command):
        pieces = parse(argument)
        for piece in pieces:
            if not isinstance(piece, Placeholder):
                continue
            if (message := _error(piece, pieces, names)) is not None:
                yield index, message
            passed.update(names if piece.text in ALL_PARAMS else [piece.parameter or ""])
    for name in names:
        if name not in passed:
            instead = "" if "{" in name or "}" in name else f"{parameter_placeholder(name)}, "
            yield None, f"no placeholder passes on the parameter {name!r}: use {instead}{{args}} or {{params_json}}"


def _error(piece: Placeholder, pieces: Sequence[str | Placeholder], names: Sequence[str]) -> str | None:
    shown = f"{{{piece.text}}}"
    if (piece.text in SPREAD or piece.is_flag) and len(pieces) > 1:
        return f"{shown} must be an argument of its own"
    if piece.parameter is not None and piece.parameter not in names:
        known = ", ".join(f"{{{name}}}" for name in (*names, *RESERVED))
        return f"{shown} is no placeholder: known are {known}, {{flag:NAME}} and {{param:NAME}}"
    return None


def parameter_placeholder(name: str) -> str:
    """The placeholder that stands for the value of a parameter, whose name has no braces."""
    is_special = name in RESERVED or name.startswith((FLAG, PARAM))
    return f"{{{PARAM if is_special else ''}{name}}}"


def fill(command: Sequence[str], values: Mapping[str, JsonValue], facts: Mapping[str, str]) -> list[str]:
    """The arguments of one trial. `values` are its parameters and constants; `facts` has the other placeholders.

    A parameter that is inactive in this trial is left out of {args}; an argument that names it is left out whole.
    """
    filled: list[str] = []
    for argument in command:
        filled += _filled(parse(argument), values, facts)
    return filled


def _filled(
    pieces: Sequence[str | Placeholder], values: Mapping[str, JsonValue], facts: Mapping[str, str]
) -> Iterator[str]:
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        elif piece.text == "args":
            yield from (f"--{name}={as_text(value)}" for name, value in values.items())
            return
        elif piece.text == "args_spaced":
            for name, value in values.items():
                yield from (f"--{name}", as_text(value))
            return
        elif piece.parameter is None:
            text += facts[piece.text]
        elif piece.parameter not in values:
            return
        elif piece.is_flag:
            if _is_true(values[piece.parameter]):
                yield f"--{piece.parameter}"
            return
        else:
            text += as_text(values[piece.parameter])
    yield text


def as_text(value: JsonValue) -> str:
    """A value as an argument: text as it is, anything else as JSON, such as 0.1, true, null and [64, 32]."""
    return value if isinstance(value, str) else json.dumps(value)


def _is_true(value: JsonValue) -> bool:
    """Whether a flag is set: by true, by the text `true` in any case, and by a number other than 0."""
    return value.lower() == "true" if isinstance(value, str) else bool(value)

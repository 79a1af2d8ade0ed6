"""Parses JSON in many short steps, between which other threads go on."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

SPACE = re.compile(r"[ \t\n\r]*")


def load_in_steps(body: bytes) -> Any:
    """The value of a JSON text, as `json.loads` returns it. Raises ValueError as that does.

    No other thread goes on during `json.loads`. Here each entry of an object, and each entry of the arrays and objects
    in it, is a step of its own.
    """
    try:
        return _Reader(body.decode()).whole()
    except (ValueError, IndexError):
        return json.loads(body)  # reads what is no object, and says what is wrong with the text


class _Reader:
    """Reads one object from a text. Its methods raise ValueError or IndexError if the text has something else."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._names: dict[str, str] = {}
        self._decode = json.JSONDecoder(object_pairs_hook=self._object_of).raw_decode

    def _object_of(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object. Equal names of all objects are one string, as they are in one step."""
        return {self._names.setdefault(name, name): value for name, value in pairs}

    def whole(self) -> dict[str, Any]:
        """The object that is the whole text."""
        found = self._object(self._entry)
        if SPACE.fullmatch(self._text, self._position) is None:
            raise ValueError("more text after the object")
        return found

    def _entry(self) -> Any:
        match self._next():
            case "[":
                self._take("[")
                return [self._value() for _ in self._entries("]")]
            case "{":
                return self._object(self._value)
        return self._value()

    def _object(self, read_value: Callable[[], Any]) -> dict[str, Any]:
        self._take("{")
        found: dict[str, Any] = {}
        for _ in self._entries("}"):
            name = self._value()
            if not isinstance(name, str):
                raise ValueError("a name must be a string")
            self._take(":")
            found[self._names.setdefault(name, name)] = read_value()
        return found

    def _entries(self, end: str) -> Iterator[None]:
        """Stop before each entry up to the end of an object or array."""
        if self._next() != end:
            yield
            while self._next() != end:
                self._take(",")
                yield
        self._take(end)

    def _value(self) -> Any:
        self._next()
        value, self._position = self._decode(self._text, self._position)
        return value

    def _take(self, mark: str) -> None:
        if self._next() != mark:
            raise ValueError(f"{mark} must come here")
        self._position += 1

    def _next(self) -> str:
        """The next character that is no space."""
        space = SPACE.match(self._text, self._position)
        assert space is not None, "it may be empty"
        self._position = space.end()
        return self._text[self._position]

"""Filters of trials, such as `dropout < 0.3 and state = COMPLETE`.

    filter      = all {"or" all}
    all         = one {"and" one}
    one         = "not" one | "(" filter ")" | column test
    test        = ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") operand
                | ["not"] "in" "(" value {"," value} ")"
                | "is" ["not"] "null" | ["not"] "contains" text
    operand     = value | a column with its prefix or in backquotes
    value       = number | text in quotes | a word | "true" | "false" | "null" | "nan" | "inf"

A comparison with a value that a trial lacks is false. A number, a text and a truth value are never equal, and have no
order among each other. `contains` takes upper and lower case for the same.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Generic, NoReturn, TypeVar

from service.results.filter_tokens import Token, refuse, tokens_of

Row = TypeVar("Row")
Value = object
"""A number, a text, a truth value or None. Anything else equals nothing."""
Columns = Callable[[str], Callable[[Row], Value] | None]
"""Returns the column of a name: a function that returns the value of a row. None for an unknown name."""

MAX_DEPTH = 32
PREFIXES = ("params.", "values.", "metrics.", "user_attrs.", "constraints.")
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CONSTANTS: Mapping[str, Value] = {"true": True, "false": False, "null": None, "nan": math.nan, "inf": math.inf}


def compile_filter(text: str, columns: Columns[Row]) -> Callable[[Row], bool]:
    """The filter of a text, as a function of a row. Raises InvalidError that names the position of what is wrong."""
    return _Parser(text, columns).whole()


class _Parser(Generic[Row]):
    """Reads a filter from its tokens, and makes functions of its parts."""

    def __init__(self, text: str, columns: Columns[Row]) -> None:
        self._tokens = tokens_of(text)
        self._columns = columns
        self._index = 0
        self._depth = 0

    def whole(self) -> Callable[[Row], bool]:
        found = self._any()
        if self._next.kind != "end":
            self._refuse("'and', 'or' or the end must come here")
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._next
        self._index += token.kind != "end"
        return token

    def _skip(self, kind: str, value: str) -> bool:
        """Take the next token if it is this word or operator."""
        is_next = self._next.kind == kind and self._next.value.lower() == value
        self._index += is_next
        return is_next

    def _refuse(self, message: str) -> NoReturn:
        found = "the end" if self._next.kind == "end" else repr(self._next.value)
        refuse(self._next.position, f"{message}, not {found}")

    def _any(self) -> Callable[[Row], bool]:
        parts = [self._all()]
        while self._skip("word", "or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _all(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._skip("word", "and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            refuse(self._next.position, f"it is nested deeper than {MAX_DEPTH} levels")
        found = self._nested()
        self._depth -= 1
        return found

    def _nested(self) -> Callable[[Row], bool]:
        if self._skip("word", "not"):
            one = self._one()
            return lambda row: not one(row)
        if self._skip("operator", "("):
            inner = self._any()
            if not self._skip("operator", ")"):
                self._refuse("')' must come here")
            return inner
        if self._next.kind != "name":
            self._refuse("a column must come here")
        token = self._take()
        return self._test(token, self._column(token))

    def _column(self, token: Token) -> Callable[[Row], Value]:
        column = self._columns(token.value)
        if column is None:
            refuse(token.position, f"there is no column {token.value!r}")
        return column

    def _test(self, name: Token, column: Callable[[Row], Value]) -> Callable[[Row], bool]:
        is_state = name.value == "state"
        if self._next.kind == "operator" and self._next.value in COMPARISONS:
            return self._comparison(self._take().value, column, is_state)
        if self._skip("word", "is"):
            is_not = self._skip("word", "not")
            if not self._skip("word", "null"):
                self._refuse("'null' must come here")
            return lambda row: (column(row) is None) != is_not
        is_not = self._skip("word", "not")
        if self._skip("word", "in"):
            test = self._membership(column, is_state)
        elif self._skip("word", "contains"):
            test = self._containment(column)
        else:
            self._refuse("a comparison, 'in', 'is' or 'contains' must come here")
        return (lambda row: column(row) is not None and not test(row)) if is_not else test

    def _comparison(self, sign: str, column: Callable[[Row], Value], is_state: bool) -> Callable[[Row], bool]:
        token, compare = self._next, COMPARISONS[sign]
        if token.kind == "name" and (token.is_column or token.value.startswith(PREFIXES)):
            other = self._column(self._take())
            return lambda row: _holds(compare, column(row), other(row))
        value = self._value(is_state)
        if value is None:
            if compare not in (operator.eq, operator.ne):
                refuse(token.position, "null has no order: use = or !=")
            return lambda row: compare(column(row), None)
        if isinstance(value, float) and math.isnan(value):
            if compare not in (operator.eq, operator.ne):
                refuse(token.position, "nan has no order: use = or !=")
            wanted = compare is operator.eq
            return lambda row: isinstance(one := column(row), float) and math.isnan(one) == wanted
        return lambda row: _holds(compare, column(row), value)

    def _membership(self, column: Callable[[Row], Value], is_state: bool) -> Callable[[Row], bool]:
        if not self._skip("operator", "("):
            self._refuse("'(' must come here")
        values = [self._value(is_state)]
        while self._skip("operator", ","):
            values.append(self._value(is_state))
        if not self._skip("operator", ")"):
            self._refuse("',' or ')' must come here")
        known = {(_kind(value), value) for value in values}
        return lambda row: (kind := _kind(value := column(row))) != "other" and (kind, value) in known

    def _containment(self, column: Callable[[Row], Value]) -> Callable[[Row], bool]:
        if self._next.kind not in ("text", "name", "number", "word"):
            self._refuse("a text must come here")
        part = self._take().value.casefold()
        return lambda row: isinstance(value := column(row), str) and part in value.casefold()

    def _value(self, is_state: bool) -> Value:
        token = self._next
        if token.kind == "word" and token.value.lower() in CONSTANTS:
            return CONSTANTS[self._take().value.lower()]
        if token.kind == "number":
            return float(self._take().value)
        if token.kind not in ("text", "name") or token.is_column:
            self._refuse("a value must come here")
        return self._take().value.upper() if is_state else self._take().value


def _kind(value: Value) -> str:
    """Values of two kinds are never equal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other"


def _holds(compare: Callable[[Any, Any], bool], value: Value, other: Value) -> bool:
    kind = _kind(value)
    if kind in ("null", "other") or other is None:
        return False
    return compare(value, other) if kind == _kind(other) else compare is operator.ne

"""All configurations of a small discrete search space, to find an untried one among them quickly."""

import random
from collections.abc import Iterable, Mapping

import numpy as np

from service.schemas.fields import Scalar
from service.schemas.study.search_space import FloatParameter, IntParameter, Parameter, is_active

Key = tuple[tuple[str, int], ...]
"""A configuration: each of its parameters with the position of its value."""
ABSENT = -1


def position_of(parameter: Parameter, value: object) -> int:
    """The position of a value in its parameter's range: equal floats may differ in the last bit, and true is not 1."""
    if isinstance(parameter, FloatParameter):
        return round((value - parameter.low) / (parameter.step or 1.0))  # type: ignore[operator]
    if isinstance(parameter, IntParameter):
        return int(value)  # type: ignore[call-overload, no-any-return]
    return parameter.position(value)  # type: ignore[arg-type]


class ConfigurationTable:
    """Has a row for each configuration. The order of the rows is random, and the same for the same search space."""

    def __init__(self, space: Mapping[str, Parameter], tried: Iterable[Key]) -> None:
        """The parameters of the search space have few values. `tried` are the configurations to leave out."""
        self._space = space
        self._values = {name: list(parameter.grid()) for name, parameter in space.items()}
        self._indexes = {
            name: {position_of(space[name], value): index for index, value in enumerate(values)}
            for name, values in self._values.items()
        }
        rows = self._rows()
        random.Random(0).shuffle(rows)
        self._columns = dict(zip(space, np.array(rows, dtype=np.int64).reshape(len(rows), len(space)).T, strict=True))
        self._row_numbers = {row: number for number, row in enumerate(rows)}
        self._is_untried = np.ones(len(rows), dtype=bool)
        for key in tried:
            self.add(key)

    def _rows(self) -> list[tuple[int, ...]]:
        """Every configuration as the indexes of its values; ABSENT for parameters whose condition is not met."""
        found: list[tuple[tuple[int, ...], dict[str, Scalar]]] = [((), {})]
        for name, parameter in self._space.items():
            beginnings, found = found, []
            for row, params in beginnings:
                if is_active(parameter, params):
                    values = enumerate(self._values[name])
                    found += [((*row, index), {**params, name: value}) for index, value in values]
                else:
                    found.append(((*row, ABSENT), params))
        return [row for row, _ in found]

    def _row_number(self, key: Key) -> int:
        positions = dict(key)
        row = (self._indexes[name][positions[name]] if name in positions else ABSENT for name in self._space)
        return self._row_numbers[tuple(row)]

    def add(self, key: Key) -> None:
        """Note that a configuration is tried."""
        self._is_untried[self._row_number(key)] = False

    def untried(self, others: Iterable[Key], given: Mapping[str, Scalar]) -> dict[str, Scalar] | None:
        """The first untried configuration that is none of `others` and has the given values; None if there is none.

        A given value does not count where its parameter's condition is not met, or if it is outside of the range.
        """
        is_free = self._is_untried.copy()
        for key in others:
            is_free[self._row_number(key)] = False
        for name, value in given.items():
            if name in self._space and self._space[name].contains(value):
                column = self._columns[name]
                is_free &= (column == self._indexes[name][position_of(self._space[name], value)]) | (column == ABSENT)
        row = int(is_free.argmax())
        if not is_free[row]:
            return None
        indexes = {name: int(column[row]) for name, column in self._columns.items()}
        return {name: self._values[name][index] for name, index in indexes.items() if index != ABSENT}

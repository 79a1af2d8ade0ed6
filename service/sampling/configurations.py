"""The tried configurations of a discrete search space, so that none is tried twice while others are left."""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.errors import InvalidError, NothingLeftError
from service.schemas.fields import Scalar
from service.schemas.study.checks import MAX_GRID
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study.search_space import (
    FloatParameter,
    IntParameter,
    Parameter,
    is_active,
    n_configurations,
    same,
)

Key = tuple[tuple[str, int], ...]


class Configurations:
    """The tried configurations of one study. The caller locks."""

    def __init__(self, space: Mapping[str, Parameter], tried: Iterable[Mapping[str, Scalar]] = ()) -> None:
        self._space = space
        self._discrete = bool(space) and all(parameter.size() is not None for parameter in space.values())
        self._size = n_configurations(space, MAX_GRID + 1) if self._discrete else None
        self._tried: set[Key] = set()
        for params in tried:
            self.add(params)

    def add(self, params: Mapping[str, Scalar]) -> None:
        """Add a tried configuration, unless it is incomplete or outside this search space."""
        key = self._key(params)
        if key is not None:
            self._tried.add(key)

    def __contains__(self, params: Mapping[str, Scalar]) -> bool:
        return self._key(params) in self._tried

    def untried(
        self, others: Iterable[Mapping[str, Scalar]], given: Mapping[str, Scalar] | None = None
    ) -> dict[str, Scalar] | None:
        """A random untried configuration that is not among `others` and has the `given` values.

        None if there is none, or if the search space has more than MAX_GRID configurations.
        """
        if self._size is None or self._size > MAX_GRID:
            return None
        gone = self._tried | {self._key(params) for params in others}
        every = _all_configurations(self._space, list(self._space), {})
        left = [params for params in every if self._key(params) not in gone and self._has(params, given or {})]
        # Seeded by the number of tried configurations, so that the same study makes the same choice.
        return random.Random(len(gone)).choice(left) if left else None

    def fill_in(self, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The given values as a complete configuration: if values are missing, an untried one that has the given ones.

        Raises NothingLeftError.
        """
        if len(given) == len(self._space):
            return dict(given)
        whole = self.untried([], given)
        if whole is None:
            raise NothingLeftError(f"every configuration with these values is tried or waits: {dict(given)}")
        return whole

    def _has(self, params: Mapping[str, Scalar], given: Mapping[str, Scalar]) -> bool:
        """Whether a configuration has the given values of those parameters that are active in it."""
        return all(
            _position(self._space[name], params[name]) == _position(self._space[name], value)
            for name, value in given.items()
            if name in params and self._space[name].contains(value)
        )

    def _key(self, params: Mapping[str, Scalar]) -> Key | None:
        """The positions of the values in their ranges: equal floats may differ in the last bit, and true is not 1."""
        if not self._discrete:
            return None
        key = []
        for name, parameter in self._space.items():
            if not is_active(parameter, params):
                continue
            if name not in params or not parameter.contains(params[name]):
                return None
            key.append((name, _position(parameter, params[name])))
        return tuple(key)


def first_configurations(definition: Definition) -> list[Params]:
    """The configurations that a definition enqueues. For a grid they are complete, because its sampler completes none.

    Configurations with the most given values choose first. Raises InvalidError if the grid has too few.
    """
    enqueued: list[Params] = list(definition.enqueue)
    if not definition.sampler.whole_configurations:
        return enqueued
    configurations = Configurations(definition.search_space)
    for index in sorted(range(len(enqueued)), key=lambda index: -len(enqueued[index])):
        try:
            enqueued[index] = configurations.fill_in(enqueued[index])
        except NothingLeftError as error:
            raise InvalidError([(f"enqueue.{index}", error.detail)]) from error
        configurations.add(enqueued[index])
    return enqueued


def _position(parameter: Parameter, value: Any) -> int:
    if isinstance(parameter, FloatParameter):
        index: int = round((value - parameter.low) / (parameter.step or 1.0))
        return index
    if isinstance(parameter, IntParameter):
        return int(value)
    return next(index for index, choice in enumerate(parameter.choices) if same(choice, value))


def _all_configurations(
    space: Mapping[str, Parameter], names: list[str], params: dict[str, Scalar]
) -> Iterator[dict[str, Scalar]]:
    """All configurations of a discrete search space."""
    if not names:
        yield params
        return
    name, *rest = names
    if not is_active(space[name], params):
        yield from _all_configurations(space, rest, params)
        return
    for value in space[name].grid():
        yield from _all_configurations(space, rest, {**params, name: value})

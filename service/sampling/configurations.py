"""The tried configurations of a discrete search space, so that none is tried twice while others are left."""

from collections.abc import Iterable, Mapping

from service.errors import InvalidError, NothingLeftError
from service.sampling.configuration_table import ConfigurationTable, Key, position_of
from service.schemas.fields import Scalar
from service.schemas.study.checks import MAX_GRID
from service.schemas.study.counting import n_configurations
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study.search_space import Parameter, is_active


class Configurations:
    """The tried configurations of one study. The caller locks."""

    def __init__(self, space: Mapping[str, Parameter], tried: Iterable[Mapping[str, Scalar]] = ()) -> None:
        self._space = space
        self._discrete = bool(space) and all(parameter.size() is not None for parameter in space.values())
        self._size = n_configurations(space, MAX_GRID + 1) if self._discrete else None
        self._tried: set[Key] = set()
        self._table: ConfigurationTable | None = None
        """Made when an untried configuration is first asked for."""
        for params in tried:
            self.add(params)

    def add(self, params: Mapping[str, Scalar]) -> None:
        """Add a tried configuration, unless it is incomplete or outside this search space."""
        key = self._key(params)
        if key is not None:
            self._tried.add(key)
            if self._table is not None:
                self._table.add(key)

    def __contains__(self, params: Mapping[str, Scalar]) -> bool:
        return self._key(params) in self._tried

    def has_untried(self) -> bool:
        """Whether a configuration is untried; False if there are more than MAX_GRID."""
        return self._size is not None and len(self._tried) < self._size <= MAX_GRID

    def untried(
        self, others: Iterable[Mapping[str, Scalar]], given: Mapping[str, Scalar] | None = None
    ) -> dict[str, Scalar] | None:
        """A random untried configuration that is not among `others` and has the `given` values.

        None if there is none, or if the search space has more than MAX_GRID configurations.
        """
        if self._size is None or self._size > MAX_GRID:
            return None
        self._table = self._table or ConfigurationTable(self._space, self._tried)
        return self._table.untried([key for key in map(self._key, others) if key is not None], given or {})

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

    def _key(self, params: Mapping[str, Scalar]) -> Key | None:
        """A configuration by the positions of its values; None if it is incomplete or outside this search space."""
        if not self._discrete:
            return None
        key = []
        for name, parameter in self._space.items():
            if not is_active(parameter, params):
                continue
            if name not in params or not parameter.contains(params[name]):
                return None
            key.append((name, position_of(parameter, params[name])))
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

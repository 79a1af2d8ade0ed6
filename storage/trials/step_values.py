"""The intermediate values of a trial, to which a value is added without a copy of the others."""

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self


class _Log:
    """Values in the order in which they were set, in 16 bytes each while their steps ascend."""

    def __init__(self, values: Iterable[tuple[int, float]]) -> None:
        self.steps = array("q")
        self.values = array("d")
        self._positions: dict[int, int] | None = None
        """The last position of each step; None while they ascend."""
        for step, value in values:
            self.append(step, value)

    def append(self, step: int, value: float) -> bool:
        """Append a value. Returns whether the step is new."""
        if self._positions is None and self.steps and step <= self.steps[-1]:
            self._positions = {known: position for position, known in enumerate(self.steps)}
        is_new = self._positions is None or step not in self._positions
        self.steps.append(step)
        self.values.append(value)
        if self._positions is not None:
            self._positions[step] = len(self.steps) - 1
        return is_new

    def position(self, step: int) -> int:
        """The last position of a step. Raises KeyError."""
        if self._positions is not None:
            return self._positions[step]
        position = bisect_left(self.steps, step)
        if position == len(self.steps) or self.steps[position] != step:
            raise KeyError(step)
        return position


class StepValues(Mapping[int, float]):
    """Values by step, in the order in which their steps were first set. They never change.

    The objects that `with_value` makes one from another share a log. Each sees the log up to the length that it had
    when the object was made. A copy of such an object is a plain dictionary.
    """

    __slots__ = ("_length", "_log", "_n_steps")

    def __init__(self, log: _Log, n_steps: int) -> None:
        self._log = log
        self._length = len(log.steps)
        self._n_steps = n_steps

    @classmethod
    def of(cls, values: Mapping[int, float]) -> "StepValues":
        """The values of any mapping."""
        return values if isinstance(values, StepValues) else cls(_Log(values.items()), len(values))

    def with_value(self, step: int, value: float) -> "StepValues":
        """These values and one more, or one replaced. It takes a copy only if the log has gone on elsewhere."""
        log = self._log if len(self._log.steps) == self._length else _Log(self.items())
        is_new = log.append(step, value)
        return StepValues(log, self._n_steps + is_new)

    def to_dict(self) -> dict[int, float]:
        """The values as a dictionary of its own."""
        return dict(zip(self._log.steps[: self._length], self._log.values[: self._length], strict=True))

    def __getitem__(self, step: int) -> float:
        position = self._log.position(step)
        # A later position means that the step was first set, or set again, after this object was made.
        return self._log.values[position] if position < self._length else self.to_dict()[step]

    def __len__(self) -> int:
        return self._n_steps

    def __iter__(self) -> Iterator[int]:
        return iter(self.to_dict())

    def keys(self) -> KeysView[int]:
        """The steps."""
        return self.to_dict().keys()

    def values(self) -> ValuesView[float]:
        """The values."""
        return self.to_dict().values()

    def items(self) -> ItemsView[int, float]:
        """Steps and values."""
        return self.to_dict().items()

    def __repr__(self) -> str:
        return repr(self.to_dict())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> dict[int, float]:
        return self.to_dict()

    def __reduce__(self) -> tuple[type[dict[int, float]], tuple[dict[int, float]]]:
        return dict, (self.to_dict(),)

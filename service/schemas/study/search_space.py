"""The search space of a definition: the values of each parameter, and when the parameter exists."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from service.schemas.fields import Scalar, StrictBody

MAX_PARAMETERS = 100
MAX_CHOICES = 256
MAX_INT = 2**53

When = Annotated[
    dict[str, Annotated[list[Scalar], Field(min_length=1, max_length=MAX_CHOICES)]] | None,
    Field(
        description="The parameter exists only while every named earlier parameter has one of the listed values.",
        examples=[{"optimizer": ["sgd"]}],
    ),
]
Log = Annotated[
    bool, Field(description="Whether to sample on a logarithmic scale; low must then be above 0.", examples=[True])
]


def same(left: Scalar, right: Scalar) -> bool:
    """Equality of JSON scalars in which true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number. True and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_scalar(value: Any) -> bool:
    """Whether a JSON value is neither a list nor an object."""
    return isinstance(value, str | int | float | bool | None)


def identity(value: Scalar) -> tuple[bool, Scalar]:
    """What equals that of another scalar if both are the same, so that it can be looked up."""
    return isinstance(value, bool), value


class FloatRange(StrictBody):
    """A real number between two inclusive bounds, which may be equal if code asks for the parameter while it runs."""

    type: Literal["float"] = Field(description="Kind of the parameter.", examples=["float"])
    low: float = Field(description="Smallest value, inclusive; in the unit of the training field.", examples=[1e-6])
    high: float = Field(description="Largest value, inclusive; in the unit of the training field.", examples=[1e-2])
    log: Log = False
    step: float | None = Field(
        None, gt=0, description="Step of the values from low; null for a continuous range.", examples=[0.1]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_bounds(self.low, self.high, self.log, self.step)
        if self.step is not None and (self.high - self.low) / self.step > MAX_INT:
            raise ValueError(f"step is too small for the range: step={self.step}")
        return self

    def contains(self, value: Any) -> bool:
        """Whether a JSON value is one of the parameter's values."""
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return bool(abs(steps - round(steps)) < 1e-8)  # the tolerance of Optuna

    @property
    def last(self) -> float:
        """The largest value that can be sampled: `high`, or the last step below it."""
        size = self.size()
        return self.high if size is None else self.at(size - 1)

    def edges(self) -> list[Scalar]:
        """The values that training fields may refuse: the ends of a range, or all choices."""
        return [self.low, self.last]

    def size(self) -> int | None:
        """Number of distinct values; None for a continuous range."""
        if self.step is None:
            return None
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) // Decimal(str(self.step))) + 1

    def grid(self) -> list[Scalar]:
        """All values, in order; empty for a continuous range."""
        return [self.at(index) for index in range(self.size() or 0)]

    def at(self, index: int) -> float:
        """The value at an index, in decimal as in Optuna: three steps of 0.1 are 0.3, not 0.30000000000000004."""
        assert self.step is not None, "a continuous range has no grid"
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step)))


class FloatParameter(FloatRange):
    """A real number between two inclusive bounds."""

    when: When = None

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        check_width(self.low, self.high)
        return self


class IntRange(StrictBody):
    """A whole number between two inclusive bounds, which may be equal if code asks for the parameter while it runs."""

    type: Literal["int"] = Field(description="Kind of the parameter.", examples=["int"])
    low: int = Field(ge=-MAX_INT, le=MAX_INT, description="Smallest value, inclusive.", examples=[32])
    high: int = Field(ge=-MAX_INT, le=MAX_INT, description="Largest value, inclusive.", examples=[512])
    log: Log = False
    step: int | None = Field(
        None, ge=1, le=MAX_INT, description="Step of the values from low; null for every whole number.", examples=[32]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_bounds(self.low, self.high, self.log, self.step)
        return self

    def contains(self, value: Any) -> bool:
        """Whether a JSON value is one of the parameter's values."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % (self.step or 1) == 0

    def edges(self) -> list[Scalar]:
        """The values that training fields may refuse: the ends of a range, or all choices."""
        return [self.low, self.last]

    @property
    def last(self) -> int:
        """The largest value that can be sampled: `high`, or the last step below it."""
        return self.high - (self.high - self.low) % (self.step or 1)

    def size(self) -> int | None:
        """Number of distinct values. A log range counts too, because each whole number in it can be sampled."""
        return (self.high - self.low) // (self.step or 1) + 1

    def grid(self) -> Sequence[Scalar]:
        """All values, in order."""
        return range(self.low, self.high + 1, self.step or 1)


class IntParameter(IntRange):
    """A whole number between two inclusive bounds."""

    when: When = None

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        check_width(self.low, self.high)
        return self


class Choices(StrictBody):
    """One of a list of values."""

    type: Literal["categorical"] = Field(description="Kind of the parameter.", examples=["categorical"])
    choices: list[Scalar] = Field(
        min_length=1,
        max_length=MAX_CHOICES,
        description="The values to choose from: strings, numbers, true, false or null, all distinct.",
        examples=[["sgd", "adam"]],
    )

    # Found when they are first asked for: a model of other programs' choices may have lists, which are never asked for.
    _positions: dict[tuple[bool, Scalar], int] | None = PrivateAttr(None)
    _edges: list[Scalar] | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        earlier: set[Scalar] = set()
        for choice in self.choices:
            # Optuna finds a choice by Python's equality, so 1 and true would be the same choice.
            if choice in earlier:
                raise ValueError(f"choices must be distinct: {choice!r} is listed twice")
            earlier.add(choice)
        return self

    def position(self, value: Scalar) -> int:
        """The index of a choice. Raises KeyError for another value."""
        return self._known_positions()[identity(value)]

    def contains(self, value: Any) -> bool:
        """Whether a JSON value is one of the parameter's values."""
        return is_scalar(value) and identity(value) in self._known_positions()

    def edges(self) -> list[Scalar]:
        """The values that training fields may refuse: of numbers the ends, because the fields take ranges of them."""
        if self._edges is None:
            self._edges = _ends(self.choices)
        return self._edges

    def _known_positions(self) -> dict[tuple[bool, Scalar], int]:
        if self._positions is None:
            self._positions = {identity(choice): index for index, choice in enumerate(self.choices)}
        return self._positions

    def size(self) -> int | None:
        """Number of choices."""
        return len(self.choices)

    def grid(self) -> list[Scalar]:
        """All values, in order."""
        return list(self.choices)


class CategoricalParameter(Choices):
    """One of a list of values."""

    when: When = None


def _ends(choices: Sequence[Scalar]) -> list[Scalar]:
    """The choices without the numbers between others of their type."""
    ends: list[Scalar] = []
    for kind in (int, float):
        alike = [choice for choice in choices if is_number(choice) and isinstance(choice, kind)]
        ends += [min(alike), max(alike)] if alike else []
    return [choice for choice in choices if not is_number(choice) or choice in ends]


def check_width(low: float, high: float) -> None:
    """Raises ValueError for a range of no width."""
    if low >= high:
        raise ValueError(f"low must be below high: low={low}, high={high}")


def check_bounds(low: float, high: float, log: bool, step: float | None) -> None:
    """Raises ValueError for bounds in the wrong order, too far apart or beyond a log scale, and for log with step."""
    if low > high:
        raise ValueError(f"low must be below high: low={low}, high={high}")
    if not math.isfinite(high - low):
        raise ValueError(f"high - low must be a finite number: low={low}, high={high}")
    if log and low <= 0:
        raise ValueError(f"low must be above 0 when log is true: low={low}")
    if log and step is not None:
        raise ValueError(f"step cannot be combined with log: step={step}")


Parameter = Annotated[FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")]
Distribution = Annotated[FloatRange | IntRange | Choices, Field(discriminator="type")]
SearchSpace = dict[Annotated[str, Field(min_length=1, max_length=128)], Parameter]


def is_active(parameter: Parameter, params: Mapping[str, Scalar]) -> bool:
    """Whether a parameter exists, given the parameters that come before it."""
    for parent, values in (parameter.when or {}).items():
        if parent not in params or not any(same(params[parent], value) for value in values):
            return False
    return True

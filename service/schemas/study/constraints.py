"""Bounds on metrics that a trial has to keep to count as a result."""

from typing import Self

from pydantic import Field, model_validator

from service.schemas.fields import StrictBody


class Constraint(StrictBody):
    """A metric that must not be above `max`, below `min`, or both; a trial that breaks it is no result."""

    metric: str = Field(
        min_length=1,
        max_length=128,
        description="Name of a metric that training reports.",
        examples=["n_parameters"],
    )
    max: float | None = Field(
        None, description="Largest value allowed, in the metric's unit; null for no such bound.", examples=[1e6]
    )
    min: float | None = Field(
        None, description="Smallest value allowed, in the metric's unit; null for no such bound.", examples=[None]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError(f"max or min must be given for {self.metric}")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min must not be above max: min={self.min}, max={self.max}")
        return self

    def distances(self, value: float) -> dict[str, float]:
        """By the name of each bound, how far a value is beyond it: 0 or less where it is kept, as Optuna counts."""
        found = {}
        if self.max is not None:
            found[f"{self.metric} <= {self.max:g}"] = value - self.max
        if self.min is not None:
            found[f"{self.metric} >= {self.min:g}"] = self.min - value
        return found

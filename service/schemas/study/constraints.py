"""Bounds on the metrics of a trial. A trial that breaks one is not among the best."""

from typing import Self

from pydantic import Field, model_validator

from service.schemas.fields import StrictBody


class Constraint(StrictBody):
    """A metric that must not be above `max` or below `min`. A trial that breaks this is never the best."""

    metric: str = Field(
        min_length=1,
        max_length=128,
        description="Name of a metric that training reports.",
        examples=["n_parameters"],
    )
    max: float | None = Field(
        None, description="Largest allowed value, in the metric's unit; null for no upper bound.", examples=[1e6]
    )
    min: float | None = Field(
        None, description="Smallest allowed value, in the metric's unit; null for no lower bound.", examples=[None]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError(f"max or min must be given for {self.metric}")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min must not be above max: min={self.min}, max={self.max}")
        return self

    def constraint_values(self, value: float) -> dict[str, float]:
        """How far a value is beyond each bound, by the bound's name; as in Optuna, 0 or less satisfies it."""
        values = {}
        if self.max is not None:
            values[f"{self.metric} <= {self.max:g}"] = value - self.max
        if self.min is not None:
            values[f"{self.metric} >= {self.min:g}"] = self.min - value
        return values

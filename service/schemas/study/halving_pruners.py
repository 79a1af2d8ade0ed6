"""Successive halving and Hyperband, which prune trials at rungs, or pause and promote them.

The options are those of Optuna's classes, and those of promotion. A step is an epoch, counted from 0.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.study.pruner_options import PrunerOptions

ReductionFactor = Annotated[
    int, Field(ge=2, le=1000, description="Ratio of trials to promoted trials at each rung.", examples=[3])
]
MIN_FACTOR = 1.1


def _check_ratio(value: Any) -> Any:
    """A whole number as an int. Raises one error instead of one for each member of the union."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PydanticCustomError("ratio", "must be a number")
    return int(value) if value == int(value) else value


PromotedRatio = Annotated[
    Annotated[
        int | float,
        Field(
            ge=MIN_FACTOR,
            le=1000,
            description="Ratio of trials to promoted trials at each rung: with 1.5, two of three go on. A whole number "
            "from 2 on, unless promote is true.",
            examples=[3],
        ),
    ],
    BeforeValidator(_check_ratio),
]
Bootstrap = Annotated[
    int,
    Field(
        ge=0,
        le=1_000_000,
        description="Number of trials that must have reached a rung before any is promoted.",
        examples=[0],
    ),
]


def _check_resource(value: Any) -> Any:
    """Raises one error instead of one for each member of the union."""
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool)):
        raise PydanticCustomError("resource", "must be a whole number or 'auto'")
    return value


AutoResource = Annotated[Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"], BeforeValidator(_check_resource)]
Promote = Annotated[
    bool,
    Field(
        description="Whether to pause a trial at a rung instead of pruning it, and to resume it from its checkpoint "
        "when it is among the best there. Rungs are then counted in whole epochs, the first after min_resource epochs.",
        examples=[True],
    ),
]

NFinalists = Annotated[
    Annotated[int, Field(ge=0, le=1000)] | None,
    Field(
        description="With promote: number of best trials that are trained to their ends before the study finishes. "
        "Those of them that are still paused go on when nothing else is left to start. "
        "Null for the larger of 3 and the square root of the study's trials.",
        examples=[3],
    ),
]


def check_promote(promote: bool, bootstrap_count: int, n_finalists: int | None) -> None:
    """Raises ValueError for `promote` with a bootstrap count, and for finalists without it."""
    if not promote and n_finalists is not None:
        raise ValueError(f"n_finalists needs promote: n_finalists={n_finalists}")
    if promote and bootstrap_count > 0:
        raise ValueError(f"promote cannot be combined with bootstrap_count: bootstrap_count={bootstrap_count}")


class SuccessiveHalving(PrunerOptions):
    """Asynchronous successive halving (Li et al., arXiv 1810.05934)."""

    prunes = True
    grace_option = "min_resource"

    name: Literal["successive_halving"] = Field(description="Name of the pruner.", examples=["successive_halving"])
    min_resource: AutoResource = Field(
        "auto",
        description="Steps before the first rung; auto estimates them from the first complete trial.",
        examples=["auto"],
    )
    reduction_factor: PromotedRatio = 4
    min_early_stopping_rate: int = Field(
        0, ge=0, le=100, description="Number of rungs to leave out at the start.", examples=[0]
    )
    bootstrap_count: Bootstrap = 0
    n_startup_trials: int = Field(
        0, ge=0, le=1_000_000, description="Number of first trials of the study that are never pruned.", examples=[5]
    )
    promote: Promote = False
    rung_factor: float | None = Field(
        None,
        ge=MIN_FACTOR,
        le=1000,
        allow_inf_nan=False,
        description="With promote: ratio of the epochs of each rung to those of the rung before, rounded to whole "
        "epochs and at least one more. With 1.6 and min_resource 1 the rungs are after 1, 2, 3, 5, 8, 13, … epochs. "
        "Null for reduction_factor.",
        examples=[1.6],
    )
    n_finalists: NFinalists = None

    @property
    def promotes(self) -> bool:
        """Whether `promote` is set."""
        return self.promote

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.promote and (self.reduction_factor < 2 or isinstance(self.reduction_factor, float)):
            raise ValueError(
                "reduction_factor must be a whole number from 2 on, unless promote is true: "
                f"reduction_factor={self.reduction_factor:g}"
            )
        if not self.promote and self.rung_factor is not None:
            raise ValueError(f"rung_factor needs promote: rung_factor={self.rung_factor:g}")
        if self.promote and self.n_startup_trials > 0:
            raise ValueError(
                f"promote cannot be combined with n_startup_trials: n_startup_trials={self.n_startup_trials}"
            )
        if self.promote and self.min_resource == "auto":
            raise ValueError("promote needs a min_resource that is a number: min_resource='auto'")
        check_promote(self.promote, self.bootstrap_count, self.n_finalists)
        if self.bootstrap_count > 0 and self.min_resource == "auto":
            raise ValueError(
                f"bootstrap_count needs a min_resource that is a number: bootstrap_count={self.bootstrap_count}"
            )
        return self


class Hyperband(PrunerOptions):
    """Several brackets of successive halving (Li et al., 2018)."""

    prunes = True
    grace_option = "min_resource"

    name: Literal["hyperband"] = Field(description="Name of the pruner.", examples=["hyperband"])
    min_resource: int = Field(1, ge=1, le=1_000_000, description="Steps before the first rung.", examples=[1])
    max_resource: AutoResource = Field(
        "auto", description="Steps of a whole trial; auto estimates them from the complete trials.", examples=[20]
    )
    reduction_factor: ReductionFactor = 3
    bootstrap_count: Bootstrap = 0
    promote: Promote = False
    n_finalists: NFinalists = None

    @property
    def promotes(self) -> bool:
        """Whether `promote` is set."""
        return self.promote

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.promote and self.max_resource == "auto":
            raise ValueError("promote needs a max_resource that is a number: max_resource='auto'")
        check_promote(self.promote, self.bootstrap_count, self.n_finalists)
        if isinstance(self.max_resource, int) and self.max_resource < self.min_resource:
            raise ValueError(
                "max_resource must not be below min_resource: "
                f"min_resource={self.min_resource}, max_resource={self.max_resource}"
            )
        if self.bootstrap_count > 0 and self.max_resource == "auto":
            raise ValueError(
                f"bootstrap_count needs a max_resource that is a number: bootstrap_count={self.bootstrap_count}"
            )
        return self

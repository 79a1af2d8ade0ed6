"""Pruners by name, each with its options and with what the rest of the service has to know of it.

The options are those of Optuna's class of that name. A step is an epoch, counted from 0. A new pruner is a class here,
a member of `AnyPruner`, an entry in `service/pruning/pruners.py` and a row in docs/searches.md.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from service.schemas.study.data import named
from service.schemas.study.halving_pruners import Hyperband, SuccessiveHalving
from service.schemas.study.pruner_options import PrunerOptions

StartupTrials = Annotated[
    int,
    Field(ge=0, le=1_000_000, description="Number of trials that must be complete before any is pruned.", examples=[5]),
]
WarmupSteps = Annotated[
    int,
    Field(ge=0, le=1_000_000, description="First step (epoch, from 0) at which trials may be pruned.", examples=[1]),
]
IntervalSteps = Annotated[
    int, Field(ge=1, le=1_000_000, description="Number of steps between two checks.", examples=[1])
]
MinTrials = Annotated[
    int,
    Field(
        ge=1,
        le=1_000_000,
        description="Number of trials that must have reached a step before any is pruned at it.",
        examples=[1],
    ),
]


class NoPruner(PrunerOptions):
    """Every trial trains to its end."""

    prunes = False
    grace_option = None

    name: Literal["none"] = Field(description="Name of the pruner.", examples=["none"])


class Median(PrunerOptions):
    """Stop a trial whose best value so far is worse than the median of the others at the same step."""

    prunes = True
    grace_option = "n_warmup_steps"

    name: Literal["median"] = Field(description="Name of the pruner.", examples=["median"])
    n_startup_trials: StartupTrials = 5
    n_warmup_steps: WarmupSteps = 0
    interval_steps: IntervalSteps = 1
    n_min_trials: MinTrials = 1


class Percentile(PrunerOptions):
    """Keep a trial only while its best value is in the top percentile at the same step."""

    prunes = True
    grace_option = "n_warmup_steps"

    name: Literal["percentile"] = Field(description="Name of the pruner.", examples=["percentile"])
    percentile: float = Field(25.0, ge=0, le=100, description="Share of trials to keep, in percent.", examples=[25.0])
    n_startup_trials: StartupTrials = 5
    n_warmup_steps: WarmupSteps = 0
    interval_steps: IntervalSteps = 1
    n_min_trials: MinTrials = 1


class Threshold(PrunerOptions):
    """Stop a trial whose value leaves the given range."""

    prunes = True
    grace_option = "n_warmup_steps"

    name: Literal["threshold"] = Field(description="Name of the pruner.", examples=["threshold"])
    lower: float | None = Field(
        None, description="Values below this are pruned, in the metric's unit; null for no lower bound.", examples=[0.2]
    )
    upper: float | None = Field(
        None,
        description="Values above this are pruned, in the metric's unit; null for no upper bound.",
        examples=[10.0],
    )
    n_warmup_steps: WarmupSteps = 0
    interval_steps: IntervalSteps = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lower is None and self.upper is None:
            raise ValueError("lower or upper must be given")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower must not be above upper: lower={self.lower}, upper={self.upper}")
        return self


class Wilcoxon(PrunerOptions):
    """Wilcoxon signed-rank test against the best trial, step by step."""

    prunes = True
    grace_option = "n_startup_steps"

    name: Literal["wilcoxon"] = Field(description="Name of the pruner.", examples=["wilcoxon"])
    p_threshold: float = Field(0.1, ge=0, le=1, description="p-value below which a trial is pruned.", examples=[0.1])
    n_startup_steps: int = Field(
        2, ge=0, le=1_000_000, description="Number of steps before the first test.", examples=[2]
    )


Wrapped = Annotated[
    Annotated[
        NoPruner | Median | Percentile | SuccessiveHalving | Hyperband | Threshold | Wilcoxon,
        Field(discriminator="name"),
    ],
    BeforeValidator(named),
]


class Patient(PrunerOptions):
    """Let another pruner stop a trial only if the trial has not improved for some steps."""

    prunes = True
    grace_option = "patience"

    name: Literal["patient"] = Field(description="Name of the pruner.", examples=["patient"])
    wrapped_pruner: Wrapped | None = Field(
        None,
        description="The other pruner; null to prune every trial that has not improved.",
        examples=[{"name": "median"}],
    )
    patience: int = Field(
        3,
        ge=0,
        le=1_000_000,
        description="Number of steps without a better value before a trial may be pruned.",
        examples=[3],
    )
    min_delta: float = Field(
        0.0,
        ge=0,
        description="Smallest change that counts as better, in the metric's unit.",
        examples=[0.0],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.wrapped_pruner is not None and self.wrapped_pruner.promotes:
            raise ValueError("wrapped_pruner must not promote: wrapped_pruner.promote is true")
        return self


AnyPruner = NoPruner | Median | Percentile | SuccessiveHalving | Hyperband | Patient | Threshold | Wilcoxon
Pruner = Annotated[
    Annotated[AnyPruner, Field(discriminator="name")],
    BeforeValidator(named),
]

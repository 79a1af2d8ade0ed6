"""Pruners by name, each with its options and with what the rest of the service has to know of it.

The options are those of Optuna's class of that name. A step is an epoch, counted from 0. A new pruner is a class here,
a member of `AnyPruner`, an entry in `service/pruning/pruners.py` and a row in docs/searches.md.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.fields import StrictBody
from service.schemas.study.data import named

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
ReductionFactor = Annotated[
    int, Field(ge=2, le=1000, description="Ratio of trials to promoted trials at each rung.", examples=[3])
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


def check_promote(promote: bool, bootstrap_count: int) -> None:
    """Raises ValueError for `promote` with a bootstrap count."""
    if promote and bootstrap_count > 0:
        raise ValueError(f"promote cannot be combined with bootstrap_count: bootstrap_count={bootstrap_count}")


class PrunerOptions(StrictBody):
    """The traits that every pruner states. There are no defaults: a test fails for a pruner that leaves one out."""

    prunes: ClassVar[bool]
    """Whether it ever ends a trial early."""
    grace_option: ClassVar[str | None]
    """The option to raise so that trials train for longer before they are pruned; None if it has none."""

    @property
    def promotes(self) -> bool:
        """Whether trials pause at rungs and resume when they are promoted."""
        return False


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
    reduction_factor: ReductionFactor = 4
    min_early_stopping_rate: int = Field(
        0, ge=0, le=100, description="Number of rungs to leave out at the start.", examples=[0]
    )
    bootstrap_count: Bootstrap = 0
    n_startup_trials: int = Field(
        0, ge=0, le=1_000_000, description="Number of first trials of the study that are never pruned.", examples=[5]
    )
    promote: Promote = False

    @property
    def promotes(self) -> bool:
        """Whether `promote` is set."""
        return self.promote

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.promote and self.n_startup_trials > 0:
            raise ValueError(
                f"promote cannot be combined with n_startup_trials: n_startup_trials={self.n_startup_trials}"
            )
        if self.promote and self.min_resource == "auto":
            raise ValueError("promote needs a min_resource that is a number: min_resource='auto'")
        check_promote(self.promote, self.bootstrap_count)
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

    @property
    def promotes(self) -> bool:
        """Whether `promote` is set."""
        return self.promote

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.promote and self.max_resource == "auto":
            raise ValueError("promote needs a max_resource that is a number: max_resource='auto'")
        check_promote(self.promote, self.bootstrap_count)
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

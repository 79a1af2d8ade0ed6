"""The fields of a study definition, version 1. The rules that span several fields are in other modules."""

from typing import Annotated, Literal

from pydantic import Field

from service.schemas.fields import Scalar, StrictBody, StudyName
from service.schemas.study.allowance import Needs
from service.schemas.study.constraints import Constraint
from service.schemas.study.halving_pruners import SuccessiveHalving
from service.schemas.study.pruners import Pruner
from service.schemas.study.samplers import Sampler, Tpe
from service.schemas.study.search_space import MAX_PARAMETERS, SearchSpace
from service.schemas.study.training import Training
from service.schemas.study.user_training import AnyTraining, UserTraining

MAX_TRIALS = 1_000_000
KEEP_TOP = 5
MARGIN = 0.1
MAX_KEPT = 10_000
MIN_FAILURES_IN_A_ROW = 10

MaxTotalEpochs = Annotated[int, Field(strict=True, ge=1, le=10**12)]
MaxDeviceHours = Annotated[float, Field(gt=0, le=1e9)]
Direction = Literal["maximize", "minimize"]
Params = dict[Annotated[str, Field(max_length=128)], Scalar]


class Objective(StrictBody):
    """A metric to maximize or to minimize."""

    metric: str = Field(
        min_length=1,
        max_length=128,
        description="Name of the metric, which training reports.",
        examples=["validation_accuracy"],
    )
    direction: Direction = Field(description="Whether larger or smaller values are better.", examples=["maximize"])


class Confirmation(StrictBody):
    """How the best trials of a study are confirmed before the test split is read."""

    top_k: int = Field(3, ge=1, le=30, description="Number of best configurations to train again.", examples=[3])
    n_seeds: int = Field(
        3, ge=1, le=30, description="Number of fresh seeds to train each configuration with.", examples=[3]
    )


class Narrowing(StrictBody):
    """Rounds of trials, each sampled from ranges around the best trials so far."""

    rounds: int = Field(
        ge=1, le=1000, description="Number of rounds, including the first one with the whole ranges.", examples=[3]
    )
    trials_per_round: int = Field(
        ge=1,
        le=MAX_TRIALS,
        description="Trials per round; any remainder of n_trials goes to the last round.",
        examples=[30],
    )
    keep_top: int = Field(
        KEEP_TOP, ge=1, le=MAX_KEPT, description="Number of best trials around which the ranges narrow.", examples=[5]
    )
    margin: float = Field(
        MARGIN,
        ge=0,
        le=1,
        description="Margin on either side of those trials, as a share of the present range on the parameter's scale.",
        examples=[0.1],
    )


class Patience(StrictBody):
    """When a study ends because its trials bring nothing any more."""

    trials: int = Field(
        ge=1, le=MAX_TRIALS, description="Number of trials without an improvement after which it ends.", examples=[50]
    )
    min_delta: float = Field(
        0.0,
        ge=0,
        description="Smallest change of the objective value that counts as an improvement, in the metric's unit.",
        examples=[0.001],
    )


class DefinitionFields(StrictBody):
    """Every field of a definition, without the rules that span several of them."""

    name: StudyName
    objectives: list[Objective] = Field(
        [Objective(metric="validation_accuracy", direction="maximize")],
        min_length=1,
        max_length=8,
        description="The metrics to optimize. The first one drives pruning.",
        examples=[[{"metric": "validation_accuracy", "direction": "maximize"}]],
    )
    constraints: list[Constraint] = Field(
        [],
        max_length=16,
        description="Bounds on final metrics. Trials that break one are not among the best.",
        examples=[[{"metric": "n_parameters", "max": 1e6}]],
    )
    search_space: SearchSpace = Field(
        {},
        max_length=MAX_PARAMETERS,
        description="Training fields to search, by dotted name. With an entrypoint the names are free, and there "
        "may be none. A parameter that others depend on comes before them.",
        examples=[{"learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}],
    )
    training: AnyTraining = Field(
        description="Training fields with the same value in every trial, or the entrypoint of custom code.",
        examples=[{"dataset": "mnist", "model": {"name": "mlp", "hidden": [128, 64]}, "epochs": 20}],
    )
    sampler: Sampler = Field(
        Tpe(name="tpe"),
        description="The sampler, which chooses the parameters; a bare name stands for {name: …}.",
        examples=[{"name": "tpe", "seed": 0}],
    )
    pruner: Pruner = Field(
        SuccessiveHalving(name="successive_halving", min_resource=1, reduction_factor=2, n_startup_trials=2),
        description="The pruner, which ends poor trials early; a bare name stands for {name: …}. The default is "
        "successive_halving, or none with several objectives or a first objective that is known only at the end. For "
        "built-in training it pauses trials and promotes the best; for custom code and with narrowing it keeps the "
        "better half and never prunes the first two trials.",
        examples=[{"name": "median", "n_startup_trials": 5, "n_warmup_steps": 1}],
    )
    n_trials: int = Field(
        ge=1, le=MAX_TRIALS, description="Total number of trials, including failed ones.", examples=[100]
    )
    timeout_seconds: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Seconds after the start of the first trial at which the study ends; null for no limit.",
        examples=[3600.0],
    )
    target_value: float | None = Field(
        None,
        description="Objective value at which the study ends, in the metric's unit; null for none.",
        examples=[0.98],
    )
    patience: Patience | None = Field(
        None,
        description="Ends the study when so many trials in a row have ended without improving the best value; null for "
        "none. Failed trials do not count.",
        examples=[{"trials": 50, "min_delta": 0.001}],
    )
    max_total_epochs: MaxTotalEpochs | None = Field(
        None,
        description="Epochs that all trials may train together before the study ends; null for no limit. Each epoch of "
        "a trial counts once, however often it was trained. With custom code, each report counts as an epoch.",
        examples=[2000],
    )
    max_device_hours: MaxDeviceHours | None = Field(
        None,
        description="Hours of devices that all trials may use before the study ends; null for no limit. The "
        "devices of workers that hold trials count, also those of failed attempts.",
        examples=[24.0],
    )
    max_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="Maximum number of attempts at one trial if workers fail or disappear.",
        examples=[3],
    )
    max_failures_in_a_row: int | None = Field(
        None,
        ge=1,
        le=MAX_TRIALS,
        description="Number of failed trials in a row at which the service pauses the study. A worker or a machine on "
        "which so many have failed gets no more of its trials, while others go on. Null for the larger of 10 and a "
        "quarter of n_trials.",
        examples=[10],
    )
    enqueue: list[Params] = Field(
        [],
        max_length=1000,
        description="Configurations to train first. Missing parameters are sampled.",
        examples=[[{"learning_rate": 0.01}]],
    )
    warm_start_from: list[StudyName] = Field(
        [],
        max_length=20,
        description="Names of studies of this service. The sampler learns from their finished trials that fit the "
        "search space. These are not trials of this study.",
        examples=[["mnist-mlp-2025"]],
    )
    warm_start_defaults: Params = Field(
        {},
        max_length=MAX_PARAMETERS,
        description="Values of parameters for trials of warm_start_from that lack them: what was fixed when they ran.",
        examples=[{"epochs": 5}],
    )
    narrowing: Narrowing | None = Field(
        None,
        description="Rounds in which the ranges of float parameters are narrowed; null to keep the whole ranges.",
        examples=[{"rounds": 3, "trials_per_round": 30, "keep_top": 5, "margin": 0.1}],
    )
    confirmation: Confirmation | None = Field(
        None,
        description="The final evaluation to begin when the study has finished; null to begin it only on request.",
        examples=[{"top_k": 3, "n_seeds": 3}],
    )

    @property
    def is_user_code(self) -> bool:
        """Whether an entrypoint or a command trains, so that no training field is known."""
        return not isinstance(self.training, Training)

    @property
    def asks_for_params(self) -> bool:
        """Whether an entrypoint trains, which may ask for parameters that are not in the search space."""
        return isinstance(self.training, UserTraining)

    @property
    def promotes(self) -> bool:
        """Whether trials pause at rungs and resume when they are promoted."""
        return self.pruner.promotes

    @property
    def entrypoints(self) -> tuple[str, ...]:
        """The entrypoints that a worker must allow to train this; empty if everything is built in."""
        return self.training.entrypoints

    @property
    def needs(self) -> Needs:
        """What a worker must allow to train this; empty if everything is built in."""
        return self.training.needs

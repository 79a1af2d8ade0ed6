"""The fields of a study definition, version 1. The rules that span several fields are in the modules beside this."""

from typing import Annotated, Literal

from pydantic import Field

from service.schemas.fields import Scalar, StrictBody, StudyName
from service.schemas.study.constraints import Constraint
from service.schemas.study.pruners import Pruner, SuccessiveHalving
from service.schemas.study.samplers import Sampler, Tpe
from service.schemas.study.search_space import MAX_PARAMETERS, SearchSpace
from service.schemas.study.user_training import AnyTraining, UserTraining

MAX_TRIALS = 1_000_000
KEEP_TOP = 5
MARGIN = 0.1
MAX_KEPT = 10_000

Direction = Literal["maximize", "minimize"]
Params = dict[Annotated[str, Field(max_length=128)], Scalar]


class Objective(StrictBody):
    """One metric to make as large or as small as possible."""

    metric: str = Field(
        min_length=1,
        max_length=128,
        description="Name of a metric that training reports.",
        examples=["validation_accuracy"],
    )
    direction: Direction = Field(description="Which way is better.", examples=["maximize"])


class Confirmation(StrictBody):
    """How the best trials of a study are confirmed before the test split is read."""

    top_k: int = Field(
        3, ge=1, le=30, description="How many of the best configurations are trained again.", examples=[3]
    )
    n_seeds: int = Field(3, ge=1, le=30, description="With how many fresh seeds each.", examples=[3])


class Narrowing(StrictBody):
    """Rounds of trials, each sampled from ranges around the best trials so far."""

    rounds: int = Field(
        ge=1, le=1000, description="How many rounds, the one with the whole ranges included.", examples=[3]
    )
    trials_per_round: int = Field(
        ge=1,
        le=MAX_TRIALS,
        description="Trials of each round; what n_trials has more belongs to the last one.",
        examples=[30],
    )
    keep_top: int = Field(
        KEEP_TOP, ge=1, le=MAX_KEPT, description="The ranges close in on so many of the best trials.", examples=[5]
    )
    margin: float = Field(
        MARGIN,
        ge=0,
        le=1,
        description="Room on either side of them, as a share of the range that is narrowed, on its own scale.",
        examples=[0.1],
    )


class DefinitionFields(StrictBody):
    """Every field of a definition, without the rules that span several of them."""

    name: StudyName
    objectives: list[Objective] = Field(
        [Objective(metric="validation_accuracy", direction="maximize")],
        min_length=1,
        max_length=8,
        description="What to optimize; the first one drives pruning.",
        examples=[[{"metric": "validation_accuracy", "direction": "maximize"}]],
    )
    constraints: list[Constraint] = Field(
        [],
        max_length=16,
        description="Bounds that a trial's final metrics must keep for it to be among the best.",
        examples=[[{"metric": "n_parameters", "max": 1e6}]],
    )
    search_space: SearchSpace = Field(
        {},
        max_length=MAX_PARAMETERS,
        description="Training fields to search, by dotted name; with an entrypoint free names, or none at all. "
        "A parent stands before what depends on it.",
        examples=[{"learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}],
    )
    training: AnyTraining = Field(
        description="Training fields that are the same for every trial, or the entrypoint of your own code.",
        examples=[{"dataset": "mnist", "model": {"name": "mlp", "hidden": [128, 64]}, "epochs": 20}],
    )
    sampler: Sampler = Field(
        Tpe(name="tpe"),
        description="How parameters are chosen; a bare name stands for {name: …}.",
        examples=[{"name": "tpe", "seed": 0}],
    )
    pruner: Pruner = Field(
        SuccessiveHalving(name="successive_halving", min_resource=1, reduction_factor=2, n_startup_trials=2),
        description="Which trials are given up early; a bare name stands for {name: …}. Without it: successive_halving "
        "that keeps the better half after the first two trials, or none for several objectives and for one that is "
        "known only at the end.",
        examples=[{"name": "median", "n_startup_trials": 5, "n_warmup_steps": 1}],
    )
    n_trials: int = Field(
        ge=1, le=MAX_TRIALS, description="How many trials there will be: exactly so many.", examples=[100]
    )
    timeout_seconds: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="End the study so many seconds after its first trial; null for never.",
        examples=[3600.0],
    )
    target_value: float | None = Field(
        None,
        description="End the study when a trial's objective value is as good, in the objective's unit.",
        examples=[0.98],
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="LoginRateLimiter at one trial when workers die under it.", examples=[3]
    )
    enqueue: list[Params] = Field(
        [],
        max_length=1000,
        description="Configurations to try first; missing parameters are sampled.",
        examples=[[{"learning_rate": 0.01}]],
    )
    warm_start_from: list[StudyName] = Field(
        [],
        max_length=20,
        description="Studies of this service whose finished trials the sampler learns from, as far as they fit the "
        "search space. They are no trials of this study.",
        examples=[["mnist-mlp-2025"]],
    )
    narrowing: Narrowing | None = Field(
        None,
        description="Narrow the ranges of float parameters in rounds; null to sample from the whole ranges.",
        examples=[{"rounds": 3, "trials_per_round": 30, "keep_top": 5, "margin": 0.1}],
    )
    confirmation: Confirmation | None = Field(
        None,
        description="Begin the final evaluation when the study has finished; null to begin it by a call.",
        examples=[{"top_k": 3, "n_seeds": 3}],
    )

    @property
    def is_user_code(self) -> bool:
        """Whether the user's own code trains, which may ask for parameters that are not in the search space."""
        return isinstance(self.training, UserTraining)

    @property
    def promotes(self) -> bool:
        """Whether trials pause at rungs, and go on when they are promoted."""
        return self.pruner.promotes

    @property
    def entrypoints(self) -> tuple[str, ...]:
        """What a worker must allow to train this; empty when all of it is built in."""
        return self.training.entrypoints

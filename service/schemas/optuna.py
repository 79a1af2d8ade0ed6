"""A study and its trials as Optuna has them. `export?format=optuna` writes them, one JSON object a line."""

from datetime import UTC, datetime
from typing import Any, get_args

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from pydantic import Field, JsonValue

from service.schemas.fields import Answer, Number, Timestamp
from service.schemas.imports import ImportedTrial
from service.schemas.results import Metrics, TrialState
from service.schemas.study.definition_fields import Direction
from service.schemas.study.search_space import Choices, Distribution, FloatRange, IntRange


class OptunaStudy(Answer):
    """The first line of an export: a study without its trials."""

    study_name: str = Field(description="Name of the study.", examples=["mnist-mlp"])
    directions: list[Direction] = Field(description="Direction of each objective.", examples=[["maximize"]])
    metric_names: list[str] = Field(description="Metric of each objective.", examples=[["validation_accuracy"]])
    user_attrs: dict[str, JsonValue] = Field(description="User attributes of the study, by name.", examples=[{}])


class OptunaTrial(Answer):
    """Every further line of an export: one trial."""

    number: int = Field(description="Number of the trial, from 0.", examples=[12])
    state: TrialState = Field(description="State of the trial.", examples=["COMPLETE"])
    values: list[Number] | None = Field(
        description="Objective values, or the last intermediate value of a pruned trial; null for other trials.",
        examples=[[0.978]],
    )
    params: dict[str, Any] = Field(description="Parameters of the trial.", examples=[{"learning_rate": 0.003}])
    distributions: dict[str, Any] = Field(
        description="Distribution of each parameter, in Optuna's JSON format.",
        examples=[{"learning_rate": {"name": "FloatDistribution", "attributes": {"low": 1e-5, "high": 0.1}}}],
    )
    intermediate_values: dict[int, Number] = Field(
        description="The first objective's metric at each reported step; empty with several objectives.",
        examples=[{"0": 0.91, "1": 0.94}],
    )
    metrics: Metrics = Field(
        description="Final value of each metric, or the last reported one, in the metric's unit.",
        examples=[{"train_loss": 0.04}],
    )
    user_attrs: dict[str, JsonValue] = Field(description="User attributes of the trial, by name.", examples=[{}])
    system_attrs: dict[str, JsonValue] = Field(
        description="System attributes of the trial, which Optuna and its samplers set.", examples=[{}]
    )
    datetime_start: Timestamp | None = Field(
        description="When the trial started; null before.", examples=["2026-01-02T03:04:05Z"]
    )
    datetime_complete: Timestamp | None = Field(
        description="When the trial ended; null before.", examples=["2026-01-02T03:05:05Z"]
    )


def distribution(parameter: Distribution) -> BaseDistribution:
    """The Optuna distribution of a parameter of a definition."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, FloatRange):
        return FloatDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step)
    return IntDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step or 1)


def local(moment: datetime | None) -> datetime | None:
    """An aware time as Optuna stores it: in the local time zone and naive. None stays None."""
    return None if moment is None else moment.astimezone().replace(tzinfo=None)


def utc(moment: datetime | None) -> datetime | None:
    """The UTC time of a time that Optuna has stored. None stays None."""
    return None if moment is None else moment.astimezone(UTC)


NAMES: dict[OptunaState, TrialState] = {OptunaState[name]: name for name in get_args(TrialState)}
"""The names of Optuna's states."""


def imported(trial: FrozenTrial) -> ImportedTrial:
    """An Optuna trial as an imported one. Nothing is validated."""
    is_pruned = trial.state == OptunaState.PRUNED and trial.last_step is not None
    return ImportedTrial.model_construct(
        state=NAMES[trial.state],
        params=trial.params,
        values=trial.values if trial.state == OptunaState.COMPLETE else None,
        constraints=trial.constraints,
        last_step=trial.last_step if is_pruned else None,
        last_value=trial.intermediate_values[trial.last_step or 0] if is_pruned else None,
    )


def described(given: BaseDistribution) -> Distribution:
    """An Optuna distribution as a parameter of a definition. Nothing is validated."""
    if isinstance(given, CategoricalDistribution):
        return Choices.model_construct(type="categorical", choices=list(given.choices))
    if isinstance(given, FloatDistribution):
        return FloatRange.model_construct(type="float", low=given.low, high=given.high, log=given.log, step=given.step)
    low, high, log, step = (getattr(given, name) for name in ("low", "high", "log", "step"))
    return IntRange.model_construct(type="int", low=low, high=high, log=log, step=None if step == 1 else step)

"""A study and its trials in Optuna's words: what `export?format=optuna` writes, one object a line."""

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
    """The first line: what Optuna knows of a study besides its trials."""

    study_name: str = Field(description="Name of the study.", examples=["mnist-mlp"])
    directions: list[Direction] = Field(description="Which way is better, of each objective.", examples=[["maximize"]])
    metric_names: list[str] = Field(description="Metric of each objective.", examples=[["validation_accuracy"]])
    user_attrs: dict[str, JsonValue] = Field(description="What was noted with the study.", examples=[{}])


class OptunaTrial(Answer):
    """Every further line: a trial as Optuna has it."""

    number: int = Field(description="Number of the trial, from 0.", examples=[12])
    state: TrialState = Field(description="Its state.", examples=["COMPLETE"])
    values: list[Number] | None = Field(
        description="Objective values; of a pruned trial its last intermediate value.", examples=[[0.978]]
    )
    params: dict[str, Any] = Field(description="Its parameters.", examples=[{"learning_rate": 0.003}])
    distributions: dict[str, Any] = Field(
        description="Of each parameter, as Optuna writes them in JSON.",
        examples=[{"learning_rate": {"name": "FloatDistribution", "attributes": {"low": 1e-5, "high": 0.1}}}],
    )
    intermediate_values: dict[int, Number] = Field(
        description="The first objective's metric at each reported step; empty with several objectives.",
        examples=[{"0": 0.91, "1": 0.94}],
    )
    metrics: Metrics = Field(description="The last or final value of each metric.", examples=[{"train_loss": 0.04}])
    user_attrs: dict[str, JsonValue] = Field(description="What was noted with the trial.", examples=[{}])
    system_attrs: dict[str, JsonValue] = Field(description="What Optuna and its samplers noted with it.", examples=[{}])
    datetime_start: Timestamp | None = Field(description="When it was started.", examples=["2026-01-02T03:04:05Z"])
    datetime_complete: Timestamp | None = Field(description="When it ended.", examples=["2026-01-02T03:05:05Z"])


def distribution(parameter: Distribution) -> BaseDistribution:
    """A parameter of a definition as Optuna has it."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, FloatRange):
        return FloatDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step)
    return IntDistribution(parameter.low, parameter.last, log=parameter.log, step=parameter.step or 1)


def local(moment: datetime | None) -> datetime | None:
    """A time as Optuna keeps it."""
    return None if moment is None else moment.astimezone().replace(tzinfo=None)


def utc(moment: datetime | None) -> datetime | None:
    """A time that Optuna has kept."""
    return None if moment is None else moment.astimezone(UTC)


NAMES: dict[OptunaState, TrialState] = {OptunaState[name]: name for name in get_args(TrialState)}


def imported(trial: FrozenTrial) -> ImportedTrial:
    """What a sampler learns of an Optuna trial; its values are not checked."""
    is_pruned = trial.state == OptunaState.PRUNED and trial.last_step is not None
    return ImportedTrial.model_construct(
        state=NAMES[trial.state],
        params=trial.params,
        values=trial.values if trial.state == OptunaState.COMPLETE else None,
        constraints=trial.constraints,
        last_step=trial.last_step if is_pruned else None,
        last_value=trial.intermediate_values[trial.last_step or 0] if is_pruned else None,
    )


def described(found: BaseDistribution) -> Distribution:
    """An Optuna distribution in the words of a definition; its bounds are not checked."""
    if isinstance(found, CategoricalDistribution):
        return Choices.model_construct(type="categorical", choices=list(found.choices))
    if isinstance(found, FloatDistribution):
        return FloatRange.model_construct(type="float", low=found.low, high=found.high, log=found.log, step=found.step)
    low, high, log, step = (getattr(found, name) for name in ("low", "high", "log", "step"))
    return IntRange.model_construct(type="int", low=low, high=high, log=log, step=None if step == 1 else step)

"""A study and its trials in Optuna's words: what `export?format=optuna` writes, one object a line."""

from typing import Any, Literal

from pydantic import Field, JsonValue

from service.schemas.fields import Answer, Number, Timestamp
from service.schemas.results import Metrics, TrialState


class OptunaStudy(Answer):
    """The first line: what Optuna knows of a study besides its trials."""

    study_name: str = Field(description="Name of the study.", examples=["mnist-mlp"])
    directions: list[Literal["minimize", "maximize"]] = Field(
        description="Which way is better, of each objective.", examples=[["maximize"]]
    )
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

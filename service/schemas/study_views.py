"""Compact answers about many trials, for pages and plots."""

from typing import Any

from pydantic import Field

from service.schemas.fields import Answer, MetricName, Number, Timestamp
from service.schemas.results import TrialState
from service.schemas.study.definition_fields import Direction


class TrialCurves(Answer):
    """The curves of one trial."""

    number: int = Field(description="Number of the trial.", examples=[12])
    state: TrialState = Field(description="State of the trial.", examples=["COMPLETE"])
    value: Number | None = Field(
        description="Value of the first objective; null unless the trial is complete.", examples=[0.97]
    )
    steps: list[int] = Field(description="The reported steps (epochs, from 0), thinned to `points`.", examples=[[0, 1]])
    curves: list[list[Number | None]] = Field(
        description="The values at these steps of each of `metrics`, in its unit; null where a step has none, and an "
        "empty list for a metric that the trial has not reported.",
        examples=[[[0.91, 0.94]]],
    )


class BulkCurves(Answer):
    """The curves of many trials."""

    metrics: list[MetricName] = Field(
        description="The metrics, in the order of `curves`.", examples=[["validation_accuracy"]]
    )
    available: list[MetricName] = Field(
        description="Every metric of some of these trials.", examples=[["validation_accuracy", "train_loss"]]
    )
    truncated: bool = Field(
        description="Whether the last trials were left out, because there would be too many values.", examples=[False]
    )
    trials: list[TrialCurves] = Field(description="The trials, in the order asked for.", examples=[[]])


class TrialTable(Answer):
    """Rows of a table of trials."""

    total: int = Field(description="How many trials match the filter.", examples=[1234])
    offset: int = Field(description="Position of the first row among these, from 0.", examples=[0])
    columns: list[str] = Field(
        description="Names of the columns.", examples=[["number", "state", "values.validation_accuracy"]]
    )
    available: list[str] = Field(
        description="Names of all columns; of metrics and attributes, those of the first and the last trials.",
        examples=[["number", "state", "values.validation_accuracy", "params.learning_rate"]],
    )
    rows: list[list[Any]] = Field(
        description="The cells of each row. Null where a trial has nothing.", examples=[[[12, "COMPLETE", 0.97]]]
    )


class BestSoFar(Answer):
    """The places at which the best value so far became better."""

    x: list[float] = Field(description="Places on the axis.", examples=[[0, 7]])
    y: list[Number] = Field(description="The best value from each place on, in the metric's unit.", examples=[[0.9]])


class ObjectiveProgress(Answer):
    """How one objective has come on. Only complete trials that keep every constraint count."""

    metric: MetricName = Field(description="Metric of the objective.", examples=["validation_accuracy"])
    direction: Direction = Field(description="Direction of the objective.", examples=["maximize"])
    by_trial: BestSoFar = Field(description="By the number of the trial.", examples=[{"x": [0], "y": [0.9]}])
    by_epochs: BestSoFar = Field(
        description="By the epochs that all trials had trained when the trial ended.",
        examples=[{"x": [20], "y": [0.9]}],
    )
    by_seconds: BestSoFar = Field(
        description="By the seconds from the start of the first trial.", examples=[{"x": [61.5], "y": [0.9]}]
    )


class CountsOverTime(Answer):
    """Trials by state at evenly spaced times."""

    seconds: list[float] = Field(description="Seconds from the start of the first trial.", examples=[[0.0, 60.0]])
    RUNNING: list[int] = Field(description="Trials that had started and not ended.", examples=[[0, 4]])
    COMPLETE: list[int] = Field(description="Trials that had completed.", examples=[[0, 12]])
    PRUNED: list[int] = Field(description="Trials that had been pruned.", examples=[[0, 3]])
    FAIL: list[int] = Field(description="Trials that had failed.", examples=[[0, 1]])


class Progress(Answer):
    """How a study has come on."""

    n_trials: int = Field(description="Number of trials that exist.", examples=[100])
    n_finished: int = Field(description="Number of trials that have ended.", examples=[90])
    n_epochs: int = Field(description="Epochs that all trials have trained.", examples=[1800])
    started_at: Timestamp = Field(
        description="When the first trial started; before, when the study was created.",
        examples=["2026-01-02T03:04:06Z"],
    )
    seconds: float = Field(description="Seconds from then to the end of the study, or to now.", examples=[3600.0])
    objectives: list[ObjectiveProgress] = Field(description="The objectives, in their order.", examples=[[]])
    counts: CountsOverTime = Field(description="Trials by state over time.", examples=[{"seconds": [0.0]}])

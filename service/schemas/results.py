"""Studies and trials, as the service answers them."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, PlainSerializer

from service.schemas.fields import Answer, MetricName, Number, StudyName, Timestamp
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params

StudyState = Literal["running", "paused", "stopped", "finished"]
TrialState = Literal["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"]
"""Optuna's names of the states."""
LeaseOutcome = Literal["complete", "prune", "fail", "release", "expire", "stop", "pause"]
ExportFormat = Literal["csv", "json", "optuna"]

Metrics = dict[MetricName, Number]
Cursor = Annotated[
    str | None, Field(description="Value of `cursor` for the next page; null after the last page.", examples=[None])
]


def _as_written(definition: Definition) -> dict[str, Any]:
    return definition.model_dump(mode="json", exclude_unset=True)


AsWritten = Annotated[Definition, PlainSerializer(_as_written, return_type=dict[str, Any])]
"""A definition without its defaults: with them, a searched training field would be fixed too."""


class TrialCounts(Answer):
    """Number of trials of a study by Optuna's states."""

    WAITING: int = Field(0, description="Trials that wait for a worker, paused ones included.", examples=[0])
    RUNNING: int = Field(0, description="Trials under a lease.", examples=[2])
    COMPLETE: int = Field(0, description="Trials that have completed with objective values.", examples=[17])
    PRUNED: int = Field(0, description="Trials that were pruned.", examples=[9])
    FAIL: int = Field(0, description="Trials that failed.", examples=[0])


class Attempt(Answer):
    """One lease of a trial: which worker had it and how it ended."""

    attempt: int = Field(description="Number of the attempt, from 1.", examples=[1])
    lease_id: str = Field(description="Id of the lease.", examples=["8f14e45fceea167a"])
    worker: str = Field(description="Id of the worker.", examples=["lab-gpu-1/cuda:0"])
    started_at: Timestamp = Field(description="When the lease was granted.", examples=["2026-01-02T03:04:05Z"])
    ended_at: Timestamp | None = Field(
        description="When the lease ended; null while it is open.", examples=["2026-01-02T03:05:05Z"]
    )
    outcome: LeaseOutcome | None = Field(
        description="How the lease ended; null while it is open.", examples=["complete"]
    )
    reason: str | None = Field(
        description="Why the lease ended, for example an error; null if there is nothing to say.", examples=[None]
    )


class Trial(Answer):
    """One trial."""

    study: StudyName
    number: int = Field(description="Number of the trial in its study, from 0.", examples=[12])
    state: TrialState = Field(description="State of the trial, by Optuna's name.", examples=["COMPLETE"])
    params: Params = Field(description="Parameters of the trial.", examples=[{"learning_rate": 0.003}])
    unused_params: Params = Field(
        default_factory=dict,
        description="Enqueued values that a finished trial did not use: the parameter did not exist in it, or its code "
        "never asked for it.",
        examples=[{}],
    )
    values: list[Number] | None = Field(
        description="Objective values, in the order of the objectives; null unless the trial is complete.",
        examples=[[0.978]],
    )
    metrics: Metrics = Field(
        description="Final value of each metric, or the last reported one, in the metric's unit.",
        examples=[{"validation_accuracy": 0.978}],
    )
    constraints: dict[str, Number] = Field(
        default_factory=dict,
        description="How far the trial is beyond each constraint, in the metric's unit; 0 or less if it keeps it.",
        examples=[{"n_parameters <= 1e+06": -890614.0}],
    )
    paused_at_rung: int | None = Field(
        None, description="The rung, from 0, at which the trial is paused; null if it is not paused.", examples=[None]
    )
    retry_of: int | None = Field(
        None,
        description="Number of the failed trial that this one tries again with the same parameters; null for others.",
        examples=[None],
    )
    violated: list[str] = Field(
        default_factory=list,
        description="Names of the constraints that the trial breaks. Such a trial is never the best.",
        examples=[[]],
    )
    user_attrs: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="User attributes of the trial, which entrypoints and workers set. `data` says what it trains on.",
        examples=[{}],
    )
    step: int | None = Field(
        description="Last reported step (epoch, from 0); null before the first report.", examples=[19]
    )
    attempts: list[Attempt] = Field(
        description="The leases of the trial, oldest first. Of more than 20, the first one and the newest 19.",
        examples=[[]],
    )
    n_attempts: int = Field(0, description="How many leases the trial has had.", examples=[1])
    reason: str | None = Field(description="Why the trial failed; null if it did not.", examples=[None])
    worker: str | None = Field(
        description="Id of the last worker of the trial; null before the first.", examples=["lab-gpu-1/cuda:0"]
    )
    started_at: Timestamp | None = Field(
        description="When the trial was first given to a worker; null before.", examples=["2026-01-02T03:04:05Z"]
    )
    finished_at: Timestamp | None = Field(
        description="When the trial ended; null before.", examples=["2026-01-02T03:05:05Z"]
    )
    duration_seconds: float | None = Field(
        description="Seconds from started_at to finished_at; null before the end.", examples=[60.0]
    )


class Study(Answer):
    """One study."""

    name: StudyName
    final_of: StudyName | None = Field(
        None,
        description="Name of the study whose final evaluation consists of this study's trials; null for other studies.",
        examples=[None],
    )
    state: StudyState = Field(description="State of the study.", examples=["running"])
    state_reason: str | None = Field(
        None,
        description="Why the study is in its state: why the service has paused it, or why it has ended. Null for a "
        "running study and for one that a user has paused.",
        examples=["the last 10 trials have failed (max_failures_in_a_row), the last one: no file labels.csv"],
    )
    definition: AsWritten = Field(
        description="The definition as it was written, with the present n_trials and limits.",
        examples=[{"name": "mnist-mlp"}],
    )
    n_imported: int = Field(
        0,
        description="Number of imported trials. The sampler learns from them, but they are not trials of the study.",
        examples=[0],
    )
    trial_counts: TrialCounts = Field(description="Number of trials by state.", examples=[{"COMPLETE": 17}])
    best: Trial | None = Field(
        description="The best complete trial that keeps the constraints; null without one or with several objectives.",
        examples=[None],
    )
    created_at: Timestamp = Field(description="When the study was created.", examples=["2026-01-02T03:04:05Z"])
    started_at: Timestamp | None = Field(
        description="When the first trial was given to a worker; null before.", examples=["2026-01-02T03:04:06Z"]
    )
    finished_at: Timestamp | None = Field(
        description="When the study ended; null before.", examples=["2026-01-02T04:04:05Z"]
    )
    finished_reason: str | None = Field(
        description="Why the study ended, in words; null before.", examples=["all 100 trials are finished"]
    )
    waits_for: str | None = Field(
        None,
        description="Why no trial can start or be trained: no worker allows the entrypoint, the service cannot make a "
        "trial, or the workers cannot train the trials, since when and why. Null otherwise.",
        examples=[None],
    )
    sampler_note: str | None = Field(
        None,
        description="Which parameters are random though the sampler is not, and why: the sampler failed (since the "
        "service started), or cannot model a parameter. Null if there are none.",
        examples=[None],
    )
    data: str | None = Field(
        None,
        description="What the trials train on, as the newest one has told it: examples of each class in each split, "
        "and files that were left out. Null before, and for data sets without such a description.",
        examples=["images of 3x64x64 in 2 classes; train: 16 (ant 8, bee 8); validation: 4 (ant 2, bee 2)"],
    )
    trials_per_hour: float | None = Field(
        description="Ended trials per hour since started_at; null before the first end.", examples=[412.5]
    )
    epochs_trained: int | None = Field(
        None,
        description="Epochs that all trials have trained, as max_total_epochs counts them; null without that limit.",
        examples=[None],
    )
    device_hours: float | None = Field(
        None,
        description="Hours of devices that all trials have used, as max_device_hours counts them; null without that "
        "limit.",
        examples=[None],
    )
    history: list[Number] | None = Field(
        None,
        description="The best value of the first objective so far, at evenly spread ended trials, from the first "
        "complete one on. Null unless the list of studies was asked for it.",
        examples=[None],
    )


class StudyList(Answer):
    """A page of studies."""

    studies: list[Study] = Field(description="A page of studies, oldest first.", examples=[[]])
    next_cursor: Cursor


class TrialList(Answer):
    """A page of trials."""

    trials: list[Trial] = Field(description="A page of trials.", examples=[[]])
    next_cursor: Cursor


class BestTrials(Answer):
    """The best trials of a study, or its Pareto front."""

    trials: list[Trial] = Field(
        description="The best complete trials that keep their constraints, best first.", examples=[[]]
    )
    note: str | None = Field(
        None, description="Why the list is empty although trials are complete; null otherwise.", examples=[None]
    )
    better_unfinished: Trial | None = Field(
        None,
        description="The pruned or paused trial with the best last value, if no complete trial is as good. Null "
        "otherwise, and with several objectives.",
        examples=[None],
    )


class Curves(Answer):
    """The metrics that a trial reported, step by step."""

    steps: list[int] = Field(description="The reported steps (epochs, from 0).", examples=[[0, 1, 2]])
    metrics: dict[str, list[Number | None]] = Field(
        description="One value for each step, by metric, in the metric's unit; null if it was not reported.",
        examples=[{"validation_accuracy": [0.91, 0.94, 0.95]}],
    )
    next_cursor: str | None = Field(
        None, description="Value of `cursor` for the next page; left out on the last page.", examples=["WzAuMCwgMTk5XQ"]
    )

    @classmethod
    def joined(cls, pages: Iterable["Curves"]) -> "Curves":
        """The curves of all pages together. A metric that a page does not have was not reported there."""
        steps: list[int] = []
        metrics: dict[str, list[Number | None]] = {}
        for page in pages:
            for name, values in page.metrics.items():
                column = metrics.setdefault(name, [])
                column += [*[None] * (len(steps) - len(column)), *values]
            steps += page.steps
        for column in metrics.values():
            column += [None] * (len(steps) - len(column))
        return cls(steps=steps, metrics=metrics)


class Importances(Answer):
    """The importance of each parameter for the first objective."""

    metric: str = Field(description="Metric of the first objective.", examples=["validation_accuracy"])
    importances: dict[str, float] = Field(
        description="Share of each parameter, largest first; the sum is 1. Empty before two trials differ.",
        examples=[{"learning_rate": 0.8, "dropout": 0.2}],
    )
    note: str | None = Field(
        None,
        description="Which parameters have no share and why, and how the shares were found if ranges differ between "
        "trials; null if there is nothing to say.",
        examples=[None],
    )

"""What the service tells about studies and trials."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, PlainSerializer

from service.schemas.fields import Answer, Body, Number, StudyName, Timestamp
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params

StudyState = Literal["running", "paused", "stopped", "finished"]
RequestedState = Literal["paused", "running", "stopped"]
"""The states that a user can bring a study into."""
TrialState = Literal["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"]
"""Optuna's names of the states."""
LeaseOutcome = Literal["complete", "prune", "fail", "release", "expire", "stop", "pause"]
ExportFormat = Literal["csv", "json", "optuna"]

Metrics = dict[Annotated[str, Field(min_length=1, max_length=128)], Number]
Cursor = Annotated[str | None, Field(description="Pass it as cursor to read on; null at the end.", examples=[None])]


def _as_written(definition: Definition) -> dict[str, Any]:
    return definition.model_dump(mode="json", exclude_unset=True)


AsWritten = Annotated[Definition, PlainSerializer(_as_written, return_type=dict[str, Any])]
"""Defaults are left out: filled in, a searched training field would also be a fixed one."""


class TrialCounts(Answer):
    """How many trials of a study are in each of Optuna's states."""

    WAITING: int = Field(0, description="Trials waiting for a worker.", examples=[0])
    RUNNING: int = Field(0, description="Trials under a lease.", examples=[2])
    COMPLETE: int = Field(0, description="Trials with an objective value.", examples=[17])
    PRUNED: int = Field(0, description="Trials that the pruner gave up.", examples=[9])
    FAIL: int = Field(0, description="Trials that failed.", examples=[0])


class Attempt(Answer):
    """One lease of a trial: who had it, and how it ended."""

    attempt: int = Field(description="Number of the attempt, from 1.", examples=[1])
    lease_id: str = Field(description="The lease.", examples=["8f14e45fceea167a"])
    worker: str = Field(description="Id of the worker.", examples=["lab-gpu-1/cuda:0"])
    started_at: Timestamp = Field(description="When the lease was granted.", examples=["2026-01-02T03:04:05Z"])
    ended_at: Timestamp | None = Field(
        description="When the lease ended; null while it is open.", examples=["2026-01-02T03:05:05Z"]
    )
    outcome: LeaseOutcome | None = Field(
        description="How the lease ended; null while it is open.", examples=["complete"]
    )
    reason: str | None = Field(description="Why, when it failed.", examples=[None])


class Trial(Answer):
    """One trial."""

    study: StudyName
    number: int = Field(description="Number of the trial in its study, from 0.", examples=[12])
    state: TrialState = Field(description="Optuna's word for its state.", examples=["COMPLETE"])
    params: Params = Field(description="The parameters chosen for it.", examples=[{"learning_rate": 0.003}])
    values: list[Number] | None = Field(
        description="Objective values, in the order of the objectives; null until complete.",
        examples=[[0.978]],
    )
    metrics: Metrics = Field(
        description="The last reported or the final value of each metric, in the metric's unit.",
        examples=[{"validation_accuracy": 0.978}],
    )
    constraints: dict[str, Number] = Field(
        default_factory=dict,
        description="By constraint how far the trial is beyond its bound, in the metric's unit; 0 or less when kept.",
        examples=[{"n_parameters <= 1e+06": -890614.0}],
    )
    paused_at_rung: int | None = Field(
        None, description="The rung, from 0, at which it waits to be promoted; else null.", examples=[None]
    )
    violated: list[str] = Field(
        default_factory=list,
        description="The constraints that it breaks: such a trial is never the best.",
        examples=[[]],
    )
    user_attrs: dict[str, JsonValue] = Field(
        default_factory=dict, description="What an entrypoint has noted by set_user_attr.", examples=[{}]
    )
    step: int | None = Field(description="Last reported step (epoch, from 0), or null.", examples=[19])
    attempts: list[Attempt] = Field(description="Its leases, first to last.", examples=[[]])
    reason: str | None = Field(description="Why it failed; null otherwise.", examples=[None])
    worker: str | None = Field(description="Id of its last worker.", examples=["lab-gpu-1/cuda:0"])
    started_at: Timestamp | None = Field(
        description="When it was first given to a worker.", examples=["2026-01-02T03:04:05Z"]
    )
    finished_at: Timestamp | None = Field(description="When it ended.", examples=["2026-01-02T03:05:05Z"])
    duration_seconds: float | None = Field(description="From start to end, in seconds.", examples=[60.0])


class Study(Answer):
    """One study."""

    name: StudyName
    final_of: StudyName | None = Field(
        None,
        description="The study whose final evaluation this one's trials are; null for every other study.",
        examples=[None],
    )
    state: StudyState = Field(description="State of the study.", examples=["running"])
    definition: AsWritten = Field(
        description="The definition as it was written, with n_trials as it is now.", examples=[{"name": "mnist-mlp"}]
    )
    n_imported: int = Field(
        0, description="Trials from elsewhere that its sampler learns from; none of its own.", examples=[0]
    )
    trial_counts: TrialCounts = Field(description="Trials by state.", examples=[{"COMPLETE": 17}])
    best: Trial | None = Field(
        description="The best complete trial that keeps its constraints; null without, and with several objectives.",
        examples=[None],
    )
    created_at: Timestamp = Field(description="When it was created.", examples=["2026-01-02T03:04:05Z"])
    started_at: Timestamp | None = Field(
        description="When its first trial was given to a worker.", examples=["2026-01-02T03:04:06Z"]
    )
    finished_at: Timestamp | None = Field(description="When it ended.", examples=["2026-01-02T04:04:05Z"])
    finished_reason: str | None = Field(
        description="Why it ended, in words; null while it goes on.", examples=["all 100 trials are finished"]
    )
    waits_for: str | None = Field(
        None, description="Why no trial begins, when no worker allows the entrypoint; else null.", examples=[None]
    )
    trials_per_hour: float | None = Field(
        description="Finished trials per hour since started_at; null before the first.", examples=[412.5]
    )


class StudyList(Answer):
    studies: list[Study] = Field(description="A page of studies, oldest first.", examples=[[]])
    next_cursor: Cursor


class TrialList(Answer):
    trials: list[Trial] = Field(description="A page of trials.", examples=[[]])
    next_cursor: Cursor


class BestTrials(Answer):
    trials: list[Trial] = Field(
        description="The best complete trials that keep their constraints, best first.", examples=[[]]
    )
    note: str | None = Field(
        None, description="Why there is none although trials are complete; else null.", examples=[None]
    )


class Curves(Answer):
    """What a trial reported, epoch by epoch."""

    steps: list[int] = Field(description="The reported steps (epochs, from 0).", examples=[[0, 1, 2]])
    metrics: dict[str, list[Number | None]] = Field(
        description="Per metric one value for each step, null where it was not reported; in the metric's unit.",
        examples=[{"validation_accuracy": [0.91, 0.94, 0.95]}],
    )


class Importances(Answer):
    """How much each parameter matters for the first objective."""

    metric: str = Field(description="The objective's metric.", examples=["validation_accuracy"])
    importances: dict[str, float] = Field(
        description="Share of each parameter, largest first, summing to 1; empty before two trials differ.",
        examples=[{"learning_rate": 0.8, "dropout": 0.2}],
    )


class StudyChange(Body):
    """A change of a study's state, or an extension."""

    state: RequestedState | None = Field(None, description="The state to bring it into.", examples=["paused"])
    n_trials: int | None = Field(
        None, strict=True, ge=1, le=1_000_000, description="A larger number of trials.", examples=[200]
    )


class NewTrial(Body):
    """A configuration to try next."""

    params: Params = Field(
        description="Parameters of the search space; missing ones are sampled.",
        examples=[{"learning_rate": 0.01}],
    )

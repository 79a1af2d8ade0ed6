"""The events of the event stream, each one JSON object."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from service.schemas.fields import Number, StudyName
from service.schemas.results import Metrics
from service.schemas.study.definition_fields import Params

EventType = Literal[
    "study_created",
    "study_paused",
    "study_resumed",
    "study_stopped",
    "study_extended",
    "round_begun",
    "trials_imported",
    "study_finished",
    "study_deleted",
    "trial_created",
    "trial_started",
    "trial_reported",
    "trial_pruned",
    "trial_completed",
    "trial_failed",
    "trial_requeued",
    "trial_released",
    "trial_paused",
]


@dataclass(slots=True)  # made for every report: a pydantic model takes ten times as long
class Event:
    """A change that is in the database. Fields without a meaning for the type of the event are left out."""

    type: Annotated[
        EventType,
        Field(
            description="What happened. trial_started: a worker got the trial; trial_requeued: its attempt failed or "
            "its lease expired, and it is tried again; trial_released: its worker gave it back; trial_paused: "
            "it waits at a rung to be promoted.",
            examples=["trial_reported"],
        ),
    ]
    study: Annotated[StudyName, Field(description="Name of the study.", examples=["mnist-mlp"])]
    at: Annotated[datetime, Field(description="Time of the event.", examples=["2026-01-02T03:04:05Z"])]
    trial: Annotated[int | None, Field(description="Number of the trial.", examples=[12])] = None
    attempt: Annotated[int | None, Field(description="Number of the attempt at the trial, from 1.", examples=[1])] = (
        None
    )
    worker: Annotated[str | None, Field(description="Id of the worker.", examples=["lab-gpu-1/cuda:0"])] = None
    params: Annotated[
        Params | None, Field(description="The trial's parameters.", examples=[{"learning_rate": 0.003}])
    ] = None
    step: Annotated[
        int | None,
        Field(
            description="The reported step (epoch, from 0), or the last step that a trial keeps for its next attempt.",
            examples=[3],
        ),
    ] = None
    metrics: Annotated[
        Metrics | None,
        Field(
            description="The reported or final value of each metric, in the metric's unit.",
            examples=[{"validation_accuracy": 0.93}],
        ),
    ] = None
    values: Annotated[
        list[Number] | None, Field(description="Objective values of a complete trial.", examples=[[0.978]])
    ] = None
    reason: Annotated[
        str | None,
        Field(description="The reason, cut off after 500 characters.", examples=["train_loss is nan at epoch 3"]),
    ] = None
    round: Annotated[int | None, Field(description="Number of the narrowing round, from 1.", examples=[2])] = None
    n_trials: Annotated[int | None, Field(description="Total number of trials of the study.", examples=[100])] = None


EVENT = TypeAdapter(Event)

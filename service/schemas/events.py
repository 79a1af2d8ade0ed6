"""What the event stream tells: one JSON object an event."""

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
    """Something that has happened, and is in the database. Fields that an event has no use for are left out."""

    type: Annotated[
        EventType,
        Field(
            description="What happened. trial_started: a worker has it; trial_requeued: its attempt failed, or its "
            "worker fell silent, and it is tried again; trial_released: its worker gave it back; trial_paused: "
            "it waits at a rung to be promoted.",
            examples=["trial_reported"],
        ),
    ]
    study: Annotated[StudyName, Field(description="Name of the study.", examples=["mnist-mlp"])]
    at: Annotated[datetime, Field(description="When it happened.", examples=["2026-01-02T03:04:05Z"])]
    trial: Annotated[int | None, Field(description="Number of the trial.", examples=[12])] = None
    attempt: Annotated[int | None, Field(description="Which attempt at the trial, from 1.", examples=[1])] = None
    worker: Annotated[str | None, Field(description="Id of the worker.", examples=["lab-gpu-1/cuda:0"])] = None
    params: Annotated[
        Params | None, Field(description="The trial's parameters.", examples=[{"learning_rate": 0.003}])
    ] = None
    step: Annotated[
        int | None,
        Field(
            description="The reported epoch, from 0; of a trial that was put back, the last one that it keeps.",
            examples=[3],
        ),
    ] = None
    metrics: Annotated[
        Metrics | None,
        Field(
            description="What was reported, or the final values; in the metric's unit.",
            examples=[{"validation_accuracy": 0.93}],
        ),
    ] = None
    values: Annotated[
        list[Number] | None, Field(description="Objective values of a complete trial.", examples=[[0.978]])
    ] = None
    reason: Annotated[
        str | None, Field(description="Why: the first 500 characters.", examples=["train_loss is nan at epoch 3"])
    ] = None
    round: Annotated[int | None, Field(description="Number of the narrowing round, from 1.", examples=[2])] = None
    n_trials: Annotated[int | None, Field(description="Trials of the study, all told.", examples=[100])] = None


EVENT = TypeAdapter(Event)

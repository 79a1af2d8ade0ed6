"""Workers, as the service answers them."""

from pydantic import Field

from service.schemas.fields import Answer, StudyName, Timestamp
from service.schemas.results import Cursor
from service.schemas.worker_info import WorkerInfo

MAX_SHOWN = 100
"""Trials of a worker in an answer."""


class RunningTrial(Answer):
    """A trial that a worker has under lease."""

    study: StudyName
    number: int = Field(description="Number of the trial in its study.", examples=[12])


class Worker(WorkerInfo, Answer):
    """A worker that has claimed at least once."""

    trials_running: int = Field(description="Number of trials that the worker has under lease.", examples=[1])
    trials: list[RunningTrial] = Field(
        default_factory=list,
        max_length=MAX_SHOWN,
        description=f"These trials, {MAX_SHOWN} at most.",
        examples=[[{"study": "mnist-mlp", "number": 12}]],
    )
    first_seen_at: Timestamp = Field(description="Time of the worker's first claim.", examples=["2026-01-02T03:04:05Z"])
    last_seen_at: Timestamp = Field(
        description="Time of the worker's last call; after a restart of the service, of its last claim.",
        examples=["2026-01-02T03:04:05Z"],
    )


class WorkerList(Answer):
    """A page of workers."""

    workers: list[Worker] = Field(description="A page of workers, the last seen first.", examples=[[]])
    next_cursor: Cursor = None

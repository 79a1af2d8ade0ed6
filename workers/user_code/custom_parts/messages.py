"""Messages of the process that trains custom models. User code may send anything, so they are checked."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from service.schemas.locations import first_error
from service.schemas.protocol import Complete, Report
from service.schemas.study.limits import MAX_LANES
from workers.data.trial_data import MAX_DESCRIPTION
from workers.user_code.failures import invalid_message
from workers.user_code.outcome import Failed
from workers.user_process.channel import Message
from workers.user_process.failures import MAX_REASON


class TrialMessage(BaseModel):
    """A message about the trial that the process calls `id`. `n_claimable` and `n_lanes` are the process's own."""

    id: str
    n_claimable: int = Field(ge=0, le=MAX_LANES)
    n_lanes: int = Field(ge=1, le=MAX_LANES)


class Started(TrialMessage):
    """The trial is in its lane, or waits for one.

    `unfusable_reason`: why the process has only one lane. `about_data`: what the trial trains on; empty if there is
    nothing to tell.
    """

    call: Literal["started"]
    unfusable_reason: Annotated[str, Field(max_length=MAX_REASON)] | None
    about_data: Annotated[str, Field(max_length=MAX_DESCRIPTION)] = ""


class Epoch(TrialMessage):
    """The trial has finished an epoch. With `final` metrics it was the last one."""

    call: Literal["epoch"]
    epoch: int
    metrics: dict[str, float]
    final: dict[str, float] | None


class TrialFailed(TrialMessage):
    """The trial cannot go on; the others in the process can."""

    call: Literal["trial_failed"]
    reason: str
    retry: bool


class Dropped(TrialMessage):
    """The process has left the trial, as it was told to."""

    call: Literal["dropped"]


class ProcessFailed(BaseModel):
    """The process is about to end, with all of its trials."""

    call: Literal["failed"]
    reason: str
    retry: bool


MESSAGES: TypeAdapter[Started | Epoch | TrialFailed | Dropped | ProcessFailed] = TypeAdapter(
    Annotated[Started | Epoch | TrialFailed | Dropped | ProcessFailed, Field(discriminator="call")]
)


def parse_message(message: Message) -> TrialMessage | Failed:
    """Check a message. Failed if the process has failed, or if the message breaks a rule of its type or of a report."""
    try:
        parsed = MESSAGES.validate_python(message)
        if isinstance(parsed, Epoch):
            Report(lease_id=parsed.id, step=parsed.epoch, metrics=parsed.metrics)
            if parsed.final is not None:
                Complete(metrics={**parsed.final, "waiting_seconds": 0.0})  # the worker adds this metric
    except ValidationError as error:
        return invalid_message(first_error(error))
    if isinstance(parsed, ProcessFailed):
        return Failed(parsed.reason[:MAX_REASON] or "no reason", parsed.retry)
    return parsed

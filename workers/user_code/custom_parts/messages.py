"""What the process of own models says, which may say anything."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from service.schemas.protocol import Complete, Report
from service.schemas.study.limits import MAX_LANES
from workers.user_code.conversation import BrokenConversationError, Message

MAX_REASON = 500


class TrialMessage(BaseModel):
    """Of one trial; `room` and `n_lanes` are the whole process's."""

    id: str
    room: int = Field(ge=0, le=MAX_LANES)
    n_lanes: int = Field(ge=1, le=MAX_LANES)


class Started(TrialMessage):
    call: Literal["begun"]
    unfusable_reason: Annotated[str, Field(max_length=MAX_REASON)] | None


class Epoch(TrialMessage):
    """An epoch is over; with `final` so is the trial."""

    call: Literal["epoch"]
    epoch: int
    metrics: dict[str, float]
    final: dict[str, float] | None


class TrialFailed(TrialMessage):
    call: Literal["broken"]
    reason: str
    retry: bool


class Dropped(TrialMessage):
    call: Literal["dropped"]


class ProcessFailed(BaseModel):
    """The process is about to end, with all its trials."""

    call: Literal["failed"]
    reason: str
    retry: bool


Anything = Started | Epoch | TrialFailed | Dropped | ProcessFailed
KINDS: TypeAdapter[Anything] = TypeAdapter(Annotated[Anything, Field(discriminator="call")])


def read(message: Message) -> Anything:
    """Raises BrokenConversationError for what breaks a rule, those of Report and Complete included."""
    try:
        said = KINDS.validate_python(message)
        if isinstance(said, Epoch):
            Report(lease_id=said.id, step=said.epoch, metrics=said.metrics)
            if said.final is not None:
                Complete(metrics={**said.final, "waiting_seconds": 0.0})  # as the worker adds it
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BrokenConversationError(f"{first['loc']}: {first['msg']}"[:MAX_REASON]) from error
    return said

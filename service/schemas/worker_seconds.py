"""What workers spend their time on."""

from typing import Annotated

from pydantic import Field

from service.schemas.fields import WorkerBody

Seconds = Annotated[float, Field(strict=True, ge=0, le=1e10, allow_inf_nan=False)]


class WorkerSeconds(WorkerBody):
    """What a worker process has spent its time on since it began, in seconds."""

    training: Seconds = Field(0.0, description="Training trials.", examples=[41.5])
    idle: Seconds = Field(0.0, description="Waiting without a trial for the next one.", examples=[2.0])
    start: Seconds = Field(0.0, description="Until the first claim.", examples=[0.2])
    claims: Seconds = Field(0.0, description="Claiming trials while nothing trained.", examples=[0.3])
    data: Seconds = Field(0.0, description="Loading trials and their data.", examples=[0.4])
    reports: Seconds = Field(0.0, description="Passing results on, and waiting for decisions.", examples=[0.1])
    checkpoints: Seconds = Field(0.0, description="Saving the states of trials.", examples=[0.1])
    other: Seconds = Field(0.0, description="All else.", examples=[0.1])
    used_lanes: Seconds = Field(0.0, description="Training, times the lanes with a trial.", examples=[160.0])
    empty_lanes: Seconds = Field(
        0.0, description="Training, times the lanes without a trial although there may have been one.", examples=[6.0]
    )

    @property
    def whole(self) -> float:
        """All of the time, without that of the lanes, which is counted by lane."""
        names = WorkerSeconds.model_fields.keys() - {"used_lanes", "empty_lanes"}
        return sum(float(getattr(self, name)) for name in names)

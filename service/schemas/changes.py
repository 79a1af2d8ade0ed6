"""What users change in a study: its state, its limits, and its trials."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Body
from service.schemas.study.definition_fields import MAX_TRIALS, MaxDeviceHours, MaxTotalEpochs, Params

RequestedState = Literal["paused", "running", "stopped"]
"""The states that a user can bring a study into."""


class StudyChange(Body):
    """A new state of a study, a larger number of trials, larger limits, or several of these."""

    state: RequestedState | None = Field(None, description="The new state; null to leave it.", examples=["paused"])
    n_trials: int | None = Field(
        None,
        strict=True,
        ge=1,
        le=MAX_TRIALS,
        description="The new number of trials, larger than before; null to leave it.",
        examples=[200],
    )
    max_total_epochs: MaxTotalEpochs | None = Field(
        None,
        description="The new limit on epochs, larger than before; null to leave it. The study must have one.",
        examples=[4000],
    )
    max_device_hours: MaxDeviceHours | None = Field(
        None,
        description="The new limit on device hours, larger than before; null to leave it. The study must have one.",
        examples=[48.0],
    )


class NewTrial(Body):
    """A configuration to train next."""

    params: Params = Field(
        description="Values of parameters of the search space. Missing parameters are sampled.",
        examples=[{"learning_rate": 0.01}],
    )
    skip_if_exists: bool = Field(
        False,
        strict=True,
        description="Whether to add no trial if one has exactly these parameters or was enqueued with them.",
        examples=[True],
    )

"""A worker process, as it describes itself."""

from pydantic import Field

from service.schemas.fields import Identifier, WorkerBody
from service.schemas.study.devices import MAX_DEVICES
from service.schemas.worker_seconds import WorkerSeconds


class WorkerInfo(WorkerBody):
    """A worker, as it describes itself."""

    id: Identifier = Field(
        min_length=1, max_length=200, description="Unique name of the worker.", examples=["lab-gpu-1/cuda:0"]
    )
    host: Identifier = Field(
        "", max_length=200, description="Name of the worker's machine; may be empty.", examples=["lab-gpu-1"]
    )
    device: Identifier = Field(
        "", max_length=200, description="The device that the worker trains on; may be empty.", examples=["cuda:0"]
    )
    n_lanes: int = Field(
        1,
        strict=True,
        ge=1,
        le=100_000,
        description="How many trials the worker trains at the same time.",
        examples=[1],
    )
    n_devices: int = Field(
        1,
        strict=True,
        ge=1,
        le=MAX_DEVICES,
        description="How many devices the worker process has, which one trial may use together.",
        examples=[1],
    )
    narrows_version: Identifier | None = Field(
        None,
        max_length=100,
        description="The worker's version of narrows; null if it does not say.",
        examples=["0.1.0"],
    )
    torch_version: Identifier | None = Field(
        None,
        max_length=100,
        description="The worker's version of PyTorch; null if it does not say.",
        examples=["2.15.0+cu130"],
    )
    seconds: WorkerSeconds | None = Field(
        None, description="What the worker has spent its time on; null if it does not say so.", examples=[None]
    )

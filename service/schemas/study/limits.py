"""What a worker's processes may take at most."""

from typing import Annotated

from pydantic import Field

MAX_LANES = 1024
"""Trials that one worker process trains at a time, at most."""

TimeoutSeconds = Annotated[float | None, Field(gt=0, le=1e9)]

TrialTimeout = Annotated[
    TimeoutSeconds,
    Field(description="An attempt at a trial fails after so many seconds; null for never.", examples=[3600.0]),
]
StepTimeout = Annotated[
    TimeoutSeconds,
    Field(
        description="An attempt fails when it has reported nothing for so many seconds, counted from its start, "
        "and its end counts as a report; null for never.",
        examples=[600.0],
    ),
]
MemoryLimit = Annotated[
    int | None,
    Field(
        ge=64,
        le=2**30,
        description="Memory that the process may allocate on the host (RLIMIT_DATA), in MiB; null for no limit.",
        examples=[8192],
    ),
]

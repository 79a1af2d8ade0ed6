"""What a worker's processes may take at most."""

from typing import Annotated

from pydantic import Field

MAX_LANES = 1024
"""Trials that one worker process trains at a time, at most."""

TimeoutSeconds = Annotated[float | None, Field(gt=0, le=1e9)]

TrialTimeout = Annotated[
    TimeoutSeconds,
    Field(description="Seconds after which an attempt at a trial fails; null for no limit.", examples=[3600.0]),
]
StepTimeout = Annotated[
    TimeoutSeconds,
    Field(
        description="Seconds without a report after which an attempt fails. They count from the start, and the end "
        "counts as a report; null for no limit.",
        examples=[600.0],
    ),
]
MemoryLimit = Annotated[
    int | None,
    Field(
        ge=64,
        le=2**30,
        description="Memory in MiB that the process may allocate on the host (RLIMIT_DATA); null for no limit. Trials "
        "that share a device have equal parts of it.",
        examples=[8192],
    ),
]

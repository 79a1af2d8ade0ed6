"""Files that workers keep with a trial: checkpoints to resume from, best models."""

from typing import Annotated

from pydantic import Field

from service.schemas.fields import NAME_PATTERN, NAME_RULE, Answer, Timestamp

CHECKPOINT = "checkpoint"
"""Name of the artifact that a trial is resumed from. It is deleted when the trial has ended."""

OUTPUT = "output"
"""Name of the artifact with the last lines that an entrypoint printed.

It is accepted after the end of the trial or of a failed attempt too.
"""

MAX_EARLIER_OUTPUTS = 5
"""Attempts before the last one whose output is kept."""


def earlier_output(attempt: int) -> str:
    """Name of the artifact with the output of an attempt that another one has followed."""
    return f"{OUTPUT}-{attempt}"


ArtifactName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description=f"Name of the artifact: {NAME_RULE}.",
        examples=[CHECKPOINT],
    ),
]


class Artifact(Answer):
    """One file of a trial."""

    name: ArtifactName
    size_bytes: int = Field(description="Size of the file in bytes.", examples=[438120])
    sha256: str = Field(description="SHA-256 of the content, in hexadecimal.", examples=["9f86d081884c7d65" * 4])
    step: int | None = Field(
        description="Last step (epoch, from 0) before the file was made; null if it belongs to no step.", examples=[3]
    )
    attempt: int = Field(description="Number of the attempt that uploaded the file, from 1.", examples=[1])
    created_at: Timestamp = Field(description="Time of the upload.", examples=["2026-01-02T03:04:05Z"])


class ArtifactList(Answer):
    """The files of one trial."""

    artifacts: list[Artifact] = Field(description="The trial's artifacts, ordered by name.", examples=[[]])

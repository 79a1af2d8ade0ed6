"""Files that workers keep with a trial: checkpoints to resume from, best models."""

from typing import Annotated

from pydantic import Field

from service.schemas.fields import NAME_PATTERN, Answer, Timestamp

CHECKPOINT = "checkpoint"
"""The artifact of this name is where the trial is resumed; it is deleted when the trial has ended."""

OUTPUT = "output"
"""The end of what the process of a trial with an entrypoint wrote; taken even when the trial has just ended."""

ArtifactName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="Name of the artifact: letters, digits, '.', '_' and '-', 128 characters at most.",
        examples=[CHECKPOINT],
    ),
]


class Artifact(Answer):
    """One file of a trial."""

    name: ArtifactName
    size_bytes: int = Field(description="Its size in bytes.", examples=[438120])
    sha256: str = Field(description="SHA-256 of its content, in hexadecimal.", examples=["9f86d081884c7d65" * 4])
    step: int | None = Field(description="The step (epoch, from 0) it was made after, or null.", examples=[3])
    attempt: int = Field(description="The attempt that made it, from 1.", examples=[1])
    created_at: Timestamp = Field(description="When it was uploaded.", examples=["2026-01-02T03:04:05Z"])


class ArtifactList(Answer):
    artifacts: list[Artifact] = Field(description="The trial's artifacts, by name.", examples=[[]])

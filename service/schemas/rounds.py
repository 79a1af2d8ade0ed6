"""Narrowing rounds: the ranges that each round's trials are sampled from."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Answer, Number, StrictBody, StudyName, Timestamp
from service.schemas.study.definition_fields import MAX_KEPT

FIRST_ROUND = 1

RangeVerdict = Literal["first", "shrunk", "kept", "widened"]
"""What became of the range of the round before; `first` in the first round."""


class NarrowRequest(StrictBody):
    """Begin the next round now, or see what it would be."""

    keep_top: int | None = Field(
        None,
        ge=1,
        le=MAX_KEPT,
        description="The ranges close in on so many of the best trials; null for what the definition says, or 5.",
        examples=[5],
    )
    margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Room on either side of them, as a share of the present range; null for what the definition says, "
        "or 0.1.",
        examples=[0.1],
    )
    round: int | None = Field(
        None,
        ge=FIRST_ROUND + 1,
        le=2**31 - 1,
        description="Number of the round to begin, from a preview; one that has begun gets 409. Null for the next.",
        examples=[2],
    )
    preview: bool = Field(False, description="Answer what would be, and change nothing.", examples=[True])


class Range(Answer):
    """The range of one float parameter in a round."""

    low: float = Field(description="Smallest value, inclusive; in the unit of the training field.", examples=[1e-4])
    high: float = Field(description="Largest value, inclusive; in the unit of the training field.", examples=[1e-2])
    log: bool = Field(description="Whether its scale is logarithmic.", examples=[True])
    share: float = Field(
        description="How much of the first round's range it is, on its own scale; 1 is all of it.", examples=[0.4]
    )
    verdict: RangeVerdict = Field(
        description="What became of the range of the round before; first in the first round.", examples=["shrunk"]
    )
    note: str | None = Field(
        description="Why it was not shrunk, or how it grew at an end, in words; null otherwise.",
        examples=["the best trial lies at its low end, 1e-05: it should be widened, by a new study's lower low"],
    )


class Round(Answer):
    """One round: its ranges, and the trials that are its own."""

    round: int = Field(description="Number of the round, from 1.", examples=[2])
    first_trial: int = Field(description="Number of its first trial.", examples=[20])
    n_trials: int = Field(description="How many trials were made in it.", examples=[20])
    best: Number | None = Field(
        description="Best objective value of its complete trials; null without one, and with several objectives.",
        examples=[0.981],
    )
    began_at: Timestamp | None = Field(
        description="When it began; null in a preview, and in the first round before the study's first trial.",
        examples=["2026-01-02T03:04:05Z"],
    )
    requested_by: str | None = Field(
        description="Name of the token that asked; anonymous without one, narrowing if the definition asked, null in "
        "the first round.",
        examples=["narrowing"],
    )
    keep_top: int | None = Field(description="How many trials were to be kept; null in the first round.", examples=[5])
    margin: float | None = Field(
        description="Room beside them, as a share of the range; null in the first round.", examples=[0.1]
    )
    kept: list[int] = Field(
        description="Numbers of the trials that the ranges close in on, best first.", examples=[[12, 7, 3, 18, 9]]
    )
    ranges: dict[str, Range] = Field(
        description="By parameter, floats alone: int and categorical ones are not narrowed.", examples=[{}]
    )
    note: str | None = Field(description="Why no range was shrunk; null otherwise.", examples=[None])


class NarrowedRound(Round):
    """The round that has begun, or would."""

    study: StudyName
    preview: bool = Field(description="Whether nothing was changed.", examples=[False])


class RoundList(Answer):
    study: StudyName
    rounds: list[Round] = Field(description="All rounds, the first one first.", examples=[[]])

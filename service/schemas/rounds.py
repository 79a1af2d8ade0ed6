"""Narrowing rounds: the ranges from which the trials of each round are sampled."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Answer, Number, StrictBody, StudyName, Timestamp
from service.schemas.study.definition_fields import MAX_KEPT

FIRST_ROUND = 1

RangeVerdict = Literal["first", "shrunk", "kept", "widened"]
"""What became of the range of the round before; `first` in the first round."""


class NarrowRequest(StrictBody):
    """Begin the next round now, or preview it."""

    keep_top: int | None = Field(
        None,
        ge=1,
        le=MAX_KEPT,
        description="Number of best trials around which the ranges narrow; null for the definition's value, or 5.",
        examples=[5],
    )
    margin: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Margin on either side of the best trials, as a share of the present range; null for the "
        "definition's value, or 0.1.",
        examples=[0.1],
    )
    round: int | None = Field(
        None,
        ge=FIRST_ROUND + 1,
        le=2**31 - 1,
        description="Number of the round to begin, as previewed. One that has begun gets 409. Null for the next.",
        examples=[2],
    )
    preview: bool = Field(
        False, description="Whether to answer with the next round without beginning it.", examples=[True]
    )


class Range(Answer):
    """The range of one float parameter in a round."""

    low: float = Field(description="Smallest value, inclusive; in the unit of the training field.", examples=[1e-4])
    high: float = Field(description="Largest value, inclusive; in the unit of the training field.", examples=[1e-2])
    log: bool = Field(description="Whether the scale is logarithmic.", examples=[True])
    share: float = Field(
        description="Share of the first round's range, on the parameter's scale; 1 is the whole range.", examples=[0.4]
    )
    verdict: RangeVerdict = Field(
        description="What became of the range of the round before; first in the first round.", examples=["shrunk"]
    )
    note: str | None = Field(
        description="Why the range was not shrunk, or at which end it grew, in words; null otherwise.",
        examples=["the best trial lies at its low end, 1e-05: it should be widened, by a new study's lower low"],
    )


class Round(Answer):
    """One round: its ranges and its trials."""

    round: int = Field(description="Number of the round, from 1.", examples=[2])
    first_trial: int = Field(description="Number of the first trial of the round.", examples=[20])
    n_trials: int = Field(description="Number of trials that were created in the round.", examples=[20])
    best: Number | None = Field(
        description="Best objective value of the round's complete trials; null without one or with several objectives.",
        examples=[0.981],
    )
    began_at: Timestamp | None = Field(
        description="When the round began; null for a preview, and for the first round before the first trial.",
        examples=["2026-01-02T03:04:05Z"],
    )
    requested_by: str | None = Field(
        description="Name of the requesting token; anonymous without a token, narrowing if the definition requested "
        "the round, null for the first round.",
        examples=["narrowing"],
    )
    keep_top: int | None = Field(
        description="Number of best trials around which the ranges narrowed; null for the first round.", examples=[5]
    )
    margin: float | None = Field(
        description="Margin on either side of the best trials, as a share of the range; null for the first round.",
        examples=[0.1],
    )
    kept: list[int] = Field(
        description="Numbers of the trials around which the ranges narrowed, best first.", examples=[[12, 7, 3, 18, 9]]
    )
    ranges: dict[str, Range] = Field(
        description="Range of each float parameter. Int and categorical parameters are not narrowed.", examples=[{}]
    )
    note: str | None = Field(description="Why no range was shrunk, in words; null otherwise.", examples=[None])


class NarrowedRound(Round):
    """The round that has begun, or a preview of it."""

    study: StudyName
    preview: bool = Field(description="Whether this is a preview.", examples=[False])


class RoundList(Answer):
    """The rounds of one study."""

    study: StudyName
    rounds: list[Round] = Field(description="All rounds, oldest first.", examples=[[]])

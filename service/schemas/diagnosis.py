"""The diagnosis of a study: how its trials learned, and what to change next."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Answer, Number
from service.schemas.results import TrialState

Verdict = Literal["overfitting", "underfitting", "diverged", "healthy", "unclear"]

Figure = Number | None


class TrialDiagnosis(Answer):
    """How one trial learned. Figures are in the metric's unit; null if the curves are too short or missing."""

    number: int = Field(description="Number of the trial in its study, from 0.", examples=[12])
    state: TrialState = Field(description="State of the trial, by Optuna's name.", examples=["COMPLETE"])
    verdict: Verdict = Field(description="What the curves of the trial look like.", examples=["overfitting"])
    because: str = Field(
        description="The reason for the verdict, in words.",
        examples=["validation got worse by 0.031 since epoch 7 while the gap grew by 0.055"],
    )
    n_epochs: int = Field(description="Number of epochs with both a train and a validation value.", examples=[20])
    best_epoch: int | None = Field(
        description="Epoch of the best validation value, from 0; null if there is none.", examples=[7]
    )
    best_validation: Figure = Field(description="The best validation value.", examples=[0.942])
    train: Figure = Field(description="Train value at the end: the mean of the last 3 epochs.", examples=[0.998])
    validation: Figure = Field(
        description="Validation value at the end: the mean of the last 3 epochs.", examples=[0.911]
    )
    gap: Figure = Field(
        description="How much better the train value is than the validation value at the end.",
        examples=[0.087],
    )
    gap_slope: Figure = Field(description="Growth of the gap per epoch since the best epoch.", examples=[0.0046])
    fall: Figure = Field(
        description="How much worse the validation value is at the end than at its best.", examples=[0.031]
    )
    tolerance: Figure = Field(description="Differences up to this value count as noise.", examples=[0.016])
    improving: bool = Field(
        description="Whether validation still improved in the last quarter of the epochs.", examples=[False]
    )


class VerdictCounts(Answer):
    """How many trials got each verdict."""

    overfitting: int = Field(
        0, description="Trials whose validation value gets worse, or stays far worse than training.", examples=[12]
    )
    underfitting: int = Field(0, description="Trials whose train and validation values are both poor.", examples=[5])
    diverged: int = Field(
        0, description="Trials whose values became infinite or nan, or are worse than at the start.", examples=[2]
    )
    healthy: int = Field(0, description="Trials with none of these problems.", examples=[20])
    unclear: int = Field(
        0, description="Trials that are too short to judge or lack one of the two curves.", examples=[9]
    )


class Advice(Answer):
    """A change to try next."""

    field: str | None = Field(
        description="Field of the definition to change; null if the advice is about no single field.",
        examples=["search_space.weight_decay"],
    )
    message: str = Field(
        description="What to change and why, in words.",
        examples=["12 of 39 trials overfit: raise the bounds of weight_decay (now 1e-08 to 0.0001)"],
    )


class Diagnosis(Answer):
    """Which trials of a study overfit, underfit or diverged, and what to change next."""

    study: str = Field(description="Name of the study.", examples=["mnist-mlp"])
    train_metric: str = Field(description="The metric whose train curves are judged.", examples=["train_loss"])
    validation_metric: str = Field(description="The same metric in validation.", examples=["validation_loss"])
    counts: VerdictCounts = Field(description="Trials by verdict.", examples=[{"healthy": 20, "overfitting": 12}])
    advice: list[Advice] = Field(description="What to change next, the most important first.", examples=[[]])
    trials: list[TrialDiagnosis] = Field(description="The trials that have started, ordered by number.", examples=[[]])
    n_left_out: int = Field(description="Number of older trials that were left out because of the limit.", examples=[0])


HUGE = 1e100
"""Larger values are taken for infinite, because their sums and squares overflow."""

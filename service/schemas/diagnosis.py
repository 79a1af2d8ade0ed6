"""What the service tells about how the trials of a study learn."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Answer, Number
from service.schemas.results import TrialState

Verdict = Literal["overfitting", "underfitting", "diverged", "healthy", "unclear"]

Figure = Number | None


class TrialDiagnosis(Answer):
    """How one trial learned. Figures are in the metric's unit, and null where the curves do not tell."""

    number: int = Field(description="Number of the trial in its study, from 0.", examples=[12])
    state: TrialState = Field(description="Optuna's word for its state.", examples=["COMPLETE"])
    verdict: Verdict = Field(description="What its curves look like.", examples=["overfitting"])
    because: str = Field(
        description="Why, in words.",
        examples=["validation got worse by 0.031 since epoch 7 while the gap grew by 0.055"],
    )
    n_epochs: int = Field(description="Epochs with both values.", examples=[20])
    best_epoch: int | None = Field(description="Epoch of the best validation value, from 0.", examples=[7])
    best_validation: Figure = Field(description="The best validation value.", examples=[0.942])
    train: Figure = Field(description="Train value at the end: the mean of the last 3 epochs.", examples=[0.998])
    validation: Figure = Field(description="Validation value at the end, likewise.", examples=[0.911])
    gap: Figure = Field(
        description="How much better training is than validation at the end.",
        examples=[0.087],
    )
    gap_slope: Figure = Field(description="How much the gap grows an epoch since the peak.", examples=[0.0046])
    fall: Figure = Field(description="How much validation fell from its best value to the end.", examples=[0.031])
    tolerance: Figure = Field(description="Differences up to this one are taken for noise.", examples=[0.016])
    improving: bool = Field(description="Whether validation still got better in the last quarter.", examples=[False])


class VerdictCounts(Answer):
    """How many trials got each verdict."""

    overfitting: int = Field(0, description="Validation falls, or stands still far below training.", examples=[12])
    underfitting: int = Field(0, description="Train and validation are both low.", examples=[5])
    diverged: int = Field(0, description="Not finite any more, or worse than at the start.", examples=[2])
    healthy: int = Field(0, description="None of these.", examples=[20])
    unclear: int = Field(0, description="Too short to tell, or without train and validation curves.", examples=[9])


class Advice(Answer):
    """One thing to change next."""

    field: str | None = Field(
        description="Field of the definition that it is about; null for no single one.",
        examples=["search_space.weight_decay"],
    )
    message: str = Field(
        description="What to change and why, in words.",
        examples=["12 of 39 trials overfit: raise the bounds of weight_decay (now 1e-08 to 0.0001)"],
    )


class Diagnosis(Answer):
    """Which trials of a study overfit, underfit or diverged, and what to change next."""

    study: str = Field(description="Name of the study.", examples=["mnist-mlp"])
    train_metric: str = Field(description="The metric whose curves in training are looked at.", examples=["train_loss"])
    validation_metric: str = Field(description="The same metric in validation.", examples=["validation_loss"])
    counts: VerdictCounts = Field(description="Trials by verdict.", examples=[{"healthy": 20, "overfitting": 12}])
    advice: list[Advice] = Field(description="What to change next, the most important first.", examples=[[]])
    trials: list[TrialDiagnosis] = Field(description="The trials that have begun, by number.", examples=[[]])
    n_left_out: int = Field(description="Older trials beyond the limit, which were not looked at.", examples=[0])


HUGE = 1e100
"""Beyond this, sums and squares are not finite either."""

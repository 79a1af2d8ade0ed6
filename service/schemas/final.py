"""The final evaluation of a study: its best trials are confirmed, and the winner is tested once on the test split."""

import hashlib
import re
from typing import Annotated, Literal

from pydantic import Field

from service.schemas.fields import Answer, Identifier, Number, StudyName, Timestamp
from service.schemas.results import Attempt
from service.schemas.study.definition_fields import Confirmation, Params

MAX_REASON = 1000

FinalState = Literal["running", "complete", "failed"]
TrialNumber = Annotated[int, Field(description="Number of the trial in the study.", examples=[12])]


class FinalRequest(Confirmation):
    """Begin the final evaluation. One that is running or complete is returned and not begun again."""

    train_on_validation: bool = Field(
        False,
        description="Train the winner on train and validation data together before the test split is read.",
        examples=[False],
    )
    force: bool = Field(
        False,
        description="Use the test split again although there is a record. The record says that it was forced.",
        examples=[False],
    )
    reason: Identifier | None = Field(
        None,
        min_length=1,
        max_length=MAX_REASON,
        description="Why the test split is used again; required with force.",
        examples=["the test files were mislabelled"],
    )


class Candidate(Answer):
    """A configuration that is trained again with fresh seeds."""

    trial_number: TrialNumber
    params: Params = Field(description="The parameters of the configuration.", examples=[{"learning_rate": 0.003}])
    validation_said: Number = Field(
        description="Objective value of the trial in the search, in the metric's unit.", examples=[0.978]
    )
    confirmed_values: list[Number] = Field(
        description="Objective value for each fresh seed, in the metric's unit, without failed trainings.",
        examples=[[0.974, 0.976]],
    )
    confirmed_mean: Number | None = Field(
        description="Mean of confirmed_values; null if there are none.", examples=[0.975]
    )
    standard_error: Number | None = Field(
        description="Standard error of confirmed_mean; null for fewer than two values.", examples=[0.001]
    )
    violated: list[str] = Field(
        [],
        description="Constraints that are broken in the mean over the fresh seeds. Such a candidate cannot win.",
        examples=[[]],
    )


class TestScore(Answer):
    """The result of one model on the test split."""

    __test__ = False  # pytest would take the class for a test because of its name

    loss: Number = Field(description="Mean cross entropy on the test split, in nats.", examples=[0.081])
    accuracy: float = Field(description="Share of the test images classified correctly.", examples=[0.972])
    accuracy_low: float = Field(
        description="Lower end of Wilson's 95 % interval of the accuracy, from n_images.", examples=[0.968]
    )
    accuracy_high: float = Field(
        description="Upper end of Wilson's 95 % interval of the accuracy, from n_images.", examples=[0.975]
    )
    n_images: int = Field(description="Images in the test split.", examples=[10000])


class Evaluation(Answer):
    """One final evaluation. It does not change any more when it is complete."""

    number: int = Field(description="Number of this evaluation of the study, from 1.", examples=[1])
    state: FinalState = Field(
        description="running: trials still train; complete: the winner is tested; failed: the reason is in failure.",
        examples=["complete"],
    )
    linked_study: StudyName = Field(
        description="Name of the study that holds its trials.", examples=["mnist-mlp.final"]
    )
    trials_done: int = Field(description="Number of trials of the linked study that have ended.", examples=[10])
    trials_total: int = Field(description="Number of trials that the linked study will have.", examples=[10])
    requested_by: str = Field(
        description="Name of the requesting token; anonymous without a token, confirmation for the definition.",
        examples=["lab"],
    )
    requested_at: Timestamp = Field(description="Time of the request.", examples=["2026-01-02T03:04:05Z"])
    forced: bool = Field(description="Whether the test split was used before.", examples=[False])
    reason: str | None = Field(description="Why it was forced; null if it was not.", examples=[None])
    metric: str = Field(
        description="Metric of the first objective, by which the candidates are ranked.",
        examples=["validation_accuracy"],
    )
    n_seeds: int = Field(description="Number of fresh seeds for each configuration.", examples=[3])
    train_on_validation: bool = Field(
        description="Whether the tested model was trained on the validation data too.", examples=[False]
    )
    candidates: list[Candidate] = Field(
        description="The configurations, best confirmed mean first; until all are confirmed, in the search's order.",
        examples=[[]],
    )
    winner: int | None = Field(
        description="Trial number of the best confirmed mean; null until it is known.", examples=[12]
    )
    distinguishable: bool | None = Field(
        description="Whether the winner differs from the runner-up; null if that cannot be decided.", examples=[False]
    )
    comparison: str | None = Field(
        description="How distinguishable was decided, in words; null until then.",
        examples=["Welch's t-test of trials 12 and 7: p = 0.21"],
    )
    tested_trial: int | None = Field(
        description="Number of the trial in the linked study whose model was tested; null until there is one.",
        examples=[9],
    )
    test_said: TestScore | None = Field(
        description="The test score; null until the evaluation is complete.", examples=[None]
    )
    test_attempts: list[Attempt] = Field(
        description="The leases of the tested trial. One that did not end by complete may have read the test split. "
        "The next attempt trains the same model with the same seed. Of more than 20 leases, the first one and the "
        "newest 19.",
        examples=[[]],
    )
    n_test_attempts: int = Field(0, description="How many leases the tested trial has had.", examples=[1])
    failure: str | None = Field(description="Why the evaluation failed; null if it did not.", examples=[None])
    ended_at: Timestamp | None = Field(
        description="When the evaluation ended; null while it is running.", examples=["2026-01-02T04:04:05Z"]
    )


class Final(Evaluation):
    """The latest final evaluation of a study, with the earlier ones."""

    study: StudyName
    earlier: list[Evaluation] = Field(description="The earlier evaluations, oldest first.", examples=[[]])


RESERVED = re.compile(r"\.final(-\d+)?$")
"""Endings of names that are reserved for linked studies."""
MAX_NAME = 128


def linked_name(name: str, number: int) -> str:
    """The name of the study for the trials of final evaluation `number`: NAME.final, NAME.final-2 etc."""
    ending = ".final" if number == 1 else f".final-{number}"
    if len(name) + len(ending) > MAX_NAME:  # a digest tells apart names that begin alike
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        name = f"{name[: MAX_NAME - len(ending) - len(digest) - 1]}-{digest}"
    return f"{name}{ending}"

"""The final evaluation of a study: the best trials confirmed, and the test split looked at once."""

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
    """Begin the final evaluation. What is already there, or under way, is answered and not begun again."""

    train_on_validation: bool = Field(
        False,
        description="Train the winner on train and validation data together before the test split is read.",
        examples=[False],
    )
    force: bool = Field(
        False,
        description="Look at the test split again although there is a record; the record then says so.",
        examples=[False],
    )
    reason: Identifier | None = Field(
        None,
        min_length=1,
        max_length=MAX_REASON,
        description="Why; needed with force.",
        examples=["the test files were mislabelled"],
    )


class Candidate(Answer):
    """A configuration that was trained again."""

    trial_number: TrialNumber
    params: Params = Field(description="Its parameters.", examples=[{"learning_rate": 0.003}])
    validation_said: Number = Field(
        description="Its objective value in the search, in the metric's unit.", examples=[0.978]
    )
    confirmed_values: list[Number] = Field(
        description="Objective value with each fresh seed; failed trainings are left out.", examples=[[0.974, 0.976]]
    )
    confirmed_mean: Number | None = Field(description="Their mean; null without any.", examples=[0.975])
    standard_error: Number | None = Field(
        description="Standard error of the mean; null with fewer than two.", examples=[0.001]
    )
    violated: list[str] = Field(
        [],
        description="Constraints that the fresh seeds do not keep, in the mean; such a candidate cannot win.",
        examples=[[]],
    )


class TestScore(Answer):
    """What the test split said, of one model, once."""

    __test__ = False  # no test, whatever pytest thinks of the name

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
    """One final evaluation; nothing in it changes once it is complete."""

    number: int = Field(description="Number of this evaluation of the study, from 1.", examples=[1])
    state: FinalState = Field(
        description="running; complete: the record is there; failed: see failure.", examples=["complete"]
    )
    linked_study: StudyName = Field(
        description="Name of the study that holds its trials.", examples=["mnist-mlp.final"]
    )
    trials_done: int = Field(description="Trials of the linked study that have ended.", examples=[10])
    trials_total: int = Field(description="Trials of the linked study in the end.", examples=[10])
    requested_by: str = Field(
        description="Name of the token that asked; anonymous without one, confirmation if the definition asked.",
        examples=["lab"],
    )
    requested_at: Timestamp = Field(description="When it was asked for.", examples=["2026-01-02T03:04:05Z"])
    forced: bool = Field(description="Whether it looks at the test split again.", examples=[False])
    reason: str | None = Field(description="Why it was forced; null otherwise.", examples=[None])
    metric: str = Field(description="Metric of the first objective, which ranks.", examples=["validation_accuracy"])
    n_seeds: int = Field(description="Fresh seeds of each configuration.", examples=[3])
    train_on_validation: bool = Field(
        description="Whether the tested model was trained on validation data too.", examples=[False]
    )
    candidates: list[Candidate] = Field(
        description="The configurations: best confirmed mean first; until all are confirmed, as in the search.",
        examples=[[]],
    )
    winner: int | None = Field(
        description="Trial number of the best confirmed mean; null before it is known.", examples=[12]
    )
    distinguishable: bool | None = Field(
        description="Whether the winner differs from the runner-up; null when that cannot be told.", examples=[False]
    )
    comparison: str | None = Field(
        description="How that was decided, in words.", examples=["Welch's t-test of trials 12 and 7: p = 0.21"]
    )
    tested_trial: int | None = Field(
        description="Number of the trial in the linked study whose model the test split has judged.", examples=[9]
    )
    test_said: TestScore | None = Field(description="The test score; null until complete.", examples=[None])
    test_attempts: list[Attempt] = Field(
        description="Every lease of the tested trial. One that ended otherwise than by complete may have read the test "
        "split; its repetition trains the same model with the same seed.",
        examples=[[]],
    )
    failure: str | None = Field(description="Why it failed; null otherwise.", examples=[None])
    ended_at: Timestamp | None = Field(description="When it ended.", examples=["2026-01-02T04:04:05Z"])


class Final(Evaluation):
    """The latest final evaluation of a study, with those before it."""

    study: StudyName
    earlier: list[Evaluation] = Field(description="Earlier evaluations, first to last.", examples=[[]])


RESERVED = re.compile(r"\.final(-\d+)?$")


MAX_NAME = 128


def linked_name(name: str, number: int) -> str:
    """The name of the study that holds the trials of a study's final evaluation: NAME.final, NAME.final-2, …"""
    ending = ".final" if number == 1 else f".final-{number}"
    if len(name) + len(ending) > MAX_NAME:  # what is cut off is told apart by its digest
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        name = f"{name[: MAX_NAME - len(ending) - len(digest) - 1]}-{digest}"
    return f"{name}{ending}"

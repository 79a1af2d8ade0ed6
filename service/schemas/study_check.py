"""The answer to a definition that was only checked."""

from typing import Literal

from pydantic import Field

from service.schemas.fields import Answer, StudyName


class StudyCheck(Answer):
    """What creating a study from a valid definition would meet. Nothing was created."""

    name: StudyName
    n_trials: int = Field(description="Number of trials of the definition.", examples=[100])
    existing: Literal["same", "other"] | None = Field(
        description="The study of this name: `same` has the same definition, so creating it again returns it; `other` "
        "has another one. Null if there is none.",
        examples=[None],
    )
    replaceable: bool = Field(
        description="Whether the definition may replace an `other` study, because no trial of that is complete.",
        examples=[False],
    )

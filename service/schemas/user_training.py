"""What a trial of a user's own code is given: the entrypoint takes the place of data set, model and optimizer."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, model_validator

from service.schemas.entrypoints import Entrypoint
from service.schemas.fields import StrictBody, finite
from service.schemas.training import Training

MAX_ARGUMENTS = 100
FIRST_PARAMETERS = ("trial", "context")
"""How the function's first parameter is called: an Optuna objective takes a trial, a train function a context."""

Seconds = Annotated[float | None, Field(gt=0, le=1e9)]


class UserTraining(StrictBody):
    """A function of the user's own trains, in a process of its own, on workers that allow it."""

    entrypoint: Entrypoint
    arguments: Annotated[dict[Annotated[str, Field(max_length=128)], JsonValue], AfterValidator(finite)] = Field(
        {},
        max_length=MAX_ARGUMENTS,
        description="Keyword arguments of the function, besides its first parameter.",
        examples=[{"epochs": 20}],
    )
    trial_timeout_seconds: Seconds = Field(
        None, description="An attempt at a trial fails after so many seconds; null for never.", examples=[3600.0]
    )
    step_timeout_seconds: Seconds = Field(
        None,
        description="An attempt fails when it has reported nothing for so many seconds, counted from its start, "
        "and its end counts as a report; null for never.",
        examples=[600.0],
    )
    memory_limit_mib: int | None = Field(
        None,
        ge=64,
        le=2**30,
        description="Memory that the process may allocate on the host (RLIMIT_DATA), in MiB; null for no limit.",
        examples=[8192],
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**48,
        description="Seed of the study's trainings; each trial's own seed is drawn from it and its number.",
        examples=[0],
    )

    @model_validator(mode="before")
    @classmethod
    def _check_alone(cls, value: Any) -> Any:
        built_in = sorted((value.keys() & Training.model_fields.keys()) - {"seed"}) if isinstance(value, dict) else []
        if built_in:
            raise ValueError(f"entrypoint takes the place of the built-in training: {', '.join(built_in)} is given too")
        return value

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        for name in self.arguments:
            if not name.isidentifier() or name in FIRST_PARAMETERS:
                raise ValueError(f"arguments must have names of Python parameters, but trial and context: {name!r}")
        return self


def kind_of_training(value: Any) -> str:
    """Which of the two a training is: `user_code` has an entrypoint."""
    has_entrypoint = "entrypoint" in value if isinstance(value, dict) else isinstance(value, UserTraining)
    return "user_code" if has_entrypoint else "built_in"


AnyTraining = Annotated[
    Annotated[Training, Tag("built_in")] | Annotated[UserTraining, Tag("user_code")],
    Discriminator(kind_of_training),
]

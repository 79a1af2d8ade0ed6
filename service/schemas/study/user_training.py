"""The training of a trial with custom code: an entrypoint replaces data set, model and optimizer."""

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from service.schemas.fields import StrictBody
from service.schemas.study.allowance import Needs
from service.schemas.study.command_training import CommandTraining
from service.schemas.study.devices import Devices, Launch, check_launch, whole
from service.schemas.study.entrypoints import MAX_ARGUMENTS, Arguments, Entrypoint
from service.schemas.study.limits import MemoryLimit, StepTimeout, TrialTimeout
from service.schemas.study.training import Training, TrainingSeed

FIRST_PARAMETERS = ("trial", "context")
"""Names of the function's first parameter: an Optuna objective takes a trial, a train function a context."""


class UserTraining(StrictBody):
    """Custom code: a function trains, in a separate process on workers that allow it."""

    entrypoint: Entrypoint
    arguments: Arguments = Field(
        {},
        max_length=MAX_ARGUMENTS,
        description="Keyword arguments of the function, besides its first parameter.",
        examples=[{"epochs": 20}],
    )
    devices: Devices = 1
    launch: Launch = None
    trial_timeout_seconds: TrialTimeout = None
    step_timeout_seconds: StepTimeout = None
    memory_limit_mib: MemoryLimit = None
    seed: TrainingSeed = 0

    @model_validator(mode="before")
    @classmethod
    def _check_no_built_in_fields(cls, value: Any) -> Any:
        others = Training.model_fields.keys() - cls.model_fields.keys()
        built_in = sorted(value.keys() & others) if isinstance(value, dict) else []
        if built_in:
            raise ValueError(
                f"entrypoint replaces the built-in training, which must not be given too: {', '.join(built_in)}"
            )
        return value

    @model_validator(mode="after")
    def _check_arguments(self) -> Self:
        for name in self.arguments:
            if name in FIRST_PARAMETERS:
                raise ValueError(f"arguments must have other names than the function's first parameter: {name!r}")
        return self

    @model_validator(mode="after")
    def _check_launch(self) -> Self:
        check_launch(self.launch, self.devices)
        return self

    @property
    def entrypoints(self) -> tuple[str, ...]:
        """The entrypoints that a worker must allow to train this."""
        return (self.entrypoint,)

    @property
    def needs(self) -> Needs:
        """What a worker must allow to train this."""
        return Needs(self.entrypoints, n_devices=whole(self.devices))


def kind_of_training(value: Any) -> str:
    """The kind of a training: `command` or `user_code` if it has a command or an entrypoint, else `built_in`."""
    if "command" in value if isinstance(value, dict) else isinstance(value, CommandTraining):
        return "command"
    has_entrypoint = "entrypoint" in value if isinstance(value, dict) else isinstance(value, UserTraining)
    return "user_code" if has_entrypoint else "built_in"


AnyTraining = Annotated[
    Annotated[Training, Tag("built_in")]
    | Annotated[UserTraining, Tag("user_code")]
    | Annotated[CommandTraining, Tag("command")],
    Discriminator(kind_of_training),
]

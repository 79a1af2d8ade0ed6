"""The training of a trial by a program: a command replaces data set, model and optimizer."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from service.schemas.fields import Identifier, MetricName, StrictBody
from service.schemas.study.allowance import Needs
from service.schemas.study.devices import Devices, Launch, check_launch, whole
from service.schemas.study.entrypoints import MAX_ARGUMENTS, Arguments
from service.schemas.study.guarded_variables import is_guarded
from service.schemas.study.limits import MemoryLimit, StepTimeout, TrialTimeout
from service.schemas.study.output_patterns import check_pattern
from service.schemas.study.placeholders import leading_words, literal, parse
from service.schemas.study.training import Training, TrainingSeed

MAX_COMMAND = 200
MAX_ARGUMENT = 8_192
MAX_PATTERN = 1_000
MAX_VARIABLES = 100


def _check_argument(value: str) -> str:
    parse(value)
    return value


def _check_folder(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"working_directory must be a path below the worker's --code: {value!r}")
    return value


def _check_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"the name of a variable has letters, digits and '_', and no digit first: {name!r}")
    return name


Argument = Annotated[Identifier, Field(max_length=MAX_ARGUMENT), AfterValidator(_check_argument)]
MetricPattern = Annotated[str, Field(max_length=MAX_PATTERN), AfterValidator(lambda text: check_pattern(text, "value"))]
StepPattern = Annotated[str, Field(max_length=MAX_PATTERN), AfterValidator(lambda text: check_pattern(text, "step"))]
Variable = Annotated[str, Field(max_length=255), AfterValidator(_check_variable)]


class CommandTraining(StrictBody):
    """A program: it trains, in a separate process on workers that allow it."""

    command: list[Argument] = Field(
        min_length=1,
        max_length=MAX_COMMAND,
        description="The program and its arguments, which no shell reads. `{name}` is the value of a parameter, "
        "`{args}` is `--name=value` of all parameters. `python` is the worker's own interpreter.",
        examples=[["python", "train.py", "{args}"]],
    )
    arguments: Arguments = Field(
        {},
        max_length=MAX_ARGUMENTS,
        description="Constants that are passed on as parameters are.",
        examples=[{"log-interval": 10}],
    )
    metrics: dict[MetricName, MetricPattern] = Field(
        {},
        max_length=100,
        description="Regular expressions (RE2) that find metrics in the lines of the program's output, by metric; the "
        "group `value` is the number.",
        examples=[{"validation_accuracy": "val_acc=(?P<value>[0-9.]+)"}],
    )
    step: StepPattern | None = Field(
        None,
        description="Regular expression (RE2) that finds the step in a line of the output, as the group `step`; null "
        "to count the values of the first objective from 0.",
        examples=[r"epoch (?P<step>\d+)"],
    )
    environment: dict[Variable, Annotated[Identifier, Field(max_length=MAX_ARGUMENT)]] = Field(
        {},
        max_length=MAX_VARIABLES,
        description="Variables of the program's environment. Those that can make it run other code are for workers "
        "started with --allow-environment.",
        examples=[{"OMP_NUM_THREADS": "1"}],
    )
    working_directory: Annotated[Identifier, Field(max_length=1024), AfterValidator(_check_folder)] = Field(
        ".", description="The folder to start the program in, below the worker's --code.", examples=["."]
    )
    grace_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="Seconds that the program may take to end after SIGTERM. SIGKILL follows.",
        examples=[30.0],
    )
    devices: Devices = 1
    launch: Launch = None
    trial_timeout_seconds: TrialTimeout = None
    step_timeout_seconds: StepTimeout = None
    memory_limit_mib: MemoryLimit = None
    seed: TrainingSeed = 0

    @model_validator(mode="before")
    @classmethod
    def _check_no_other_kind(cls, value: Any) -> Any:
        others = (Training.model_fields.keys() | {"entrypoint"}) - cls.model_fields.keys()
        given = sorted(value.keys() & others) if isinstance(value, dict) else []
        if given:
            raise ValueError(f"command replaces the training by Narrows, which must not be given too: {given}")
        return value

    @model_validator(mode="after")
    def _check_program(self) -> Self:
        if not literal(self.command[0]):
            raise ValueError(f"the program must be given as it is, without placeholders: {self.command[0]!r}")
        check_launch(self.launch, self.devices, self.command[0])
        return self

    @property
    def entrypoints(self) -> tuple[str, ...]:
        """No entrypoint."""
        return ()

    @property
    def needs(self) -> Needs:
        """What a worker must allow to train this: its words before the first placeholder, and guarded variables."""
        guarded = tuple(sorted(filter(is_guarded, self.environment)))
        command = leading_words(self.command)
        return Needs(command=command, environment=guarded, n_devices=whole(self.devices))

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the placeholders pass on: the constants and the parameters of a trial."""
        return {**self.arguments, **params}

"""What the workers of this machine are started with."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, DirectoryPath, Field, FilePath

from service.schemas.study.allowance import Allowance, AllowedCommand, AllowedVariable, command_words
from service.schemas.study.entrypoints import Prefix

KeepModels = Literal["best", "all", "none"]


class Options(BaseModel):
    """How workers are started, with the names of the settings of `narrows worker`, which gives their defaults."""

    model_config = ConfigDict(frozen=True)

    server: str
    devices: str
    processes: int | None = None
    devices_per_trial: int | None = None
    """Devices of each process, for trials that use several; None for one, or as many as `devices` says."""
    trials_per_device: int = 1
    """Trials of users' code that may share a device."""
    lanes: Annotated[int | None, BeforeValidator(lambda value: None if value == "auto" else value)] = None
    """Trials that a process trains at a time; None, or `auto`, for as many as are fastest."""
    checkpoint_seconds: float
    keep_models: KeepModels
    allow: tuple[Prefix, ...] = ()
    allow_command: tuple[AllowedCommand, ...] = ()
    allow_environment: tuple[AllowedVariable, ...] = ()
    python: Annotated[FilePath, AfterValidator(Path.absolute)] | None = None
    code: Annotated[DirectoryPath, AfterValidator(Path.resolve)] | None = None
    keep_folders: Annotated[Path, AfterValidator(Path.resolve)] | None = None
    fresh_imports: bool = False
    study: str | None = None
    data_dir: Path
    download: bool
    exit_when_idle: float | None = None
    tensorboard: Annotated[Path, AfterValidator(Path.resolve)] | None = None
    mlflow: str | None = None
    log_level: str
    token: str | None = Field(default=None, exclude=True)

    @property
    def allowance(self) -> Allowance:
        """The users' code that these workers run."""
        return Allowance(self.allow, tuple(map(command_words, self.allow_command)), self.allow_environment)


def parse(arguments: Sequence[str], token: str | None = None) -> Options:
    """The options of a command line of --name=value, repeated for a list. A missing one ends the process."""
    parser = argparse.ArgumentParser(prog="python -m workers", description="Started by `narrows worker`.")
    for name, field in Options.model_fields.items():
        if not field.exclude:
            action = "append" if field.default == () else "store"
            parser.add_argument(_flag(name), action=action, required=field.is_required(), default=argparse.SUPPRESS)
    return Options(**vars(parser.parse_args(arguments)), token=token)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

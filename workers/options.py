"""What the workers of this machine are started with."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, DirectoryPath, Field

from service.schemas.study.entrypoints import Prefix

KeepModels = Literal["best", "all", "none"]


class Options(BaseModel):
    """How workers are started, with the names of the settings of `narrows worker`, which gives their defaults."""

    model_config = ConfigDict(frozen=True)

    server: str
    devices: str
    processes: int | None = None
    lanes: Annotated[int | None, BeforeValidator(lambda value: None if value == "auto" else value)] = None
    """Trials that a process trains at a time; None, or `auto`, for as many as are fastest."""
    checkpoint_seconds: float
    keep_models: KeepModels
    allow: tuple[Prefix, ...] = ()
    code: Annotated[DirectoryPath, AfterValidator(Path.resolve)] | None = None
    keep_folders: Annotated[Path, AfterValidator(Path.resolve)] | None = None
    study: str | None = None
    data_dir: Path
    download: bool
    exit_when_idle: float | None = None
    tensorboard: Annotated[Path, AfterValidator(Path.resolve)] | None = None
    mlflow: str | None = None
    log_level: str
    device: str | None = None
    """The device on which this very process trains; None for the fleet's own process."""
    token: str | None = Field(default=None, exclude=True)

    def arguments(self) -> list[str]:
        """The command line that `parse` makes these options of. The token is left out: `ps` would show it."""
        values = {name: value if isinstance(value, tuple) else (value,) for name, value in self.model_dump().items()}
        given = [(name, value) for name, several in values.items() for value in several if value is not None]
        return [f"{_flag(name)}={value}" for name, value in given]


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

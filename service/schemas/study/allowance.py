"""What a study needs to be allowed by a worker, and what a worker allows."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from service.schemas.fields import Identifier
from service.schemas.study.entrypoints import is_allowed


def command_words(text: str) -> tuple[str, ...]:
    """The words of an allowed command. Raises ValueError if there is none, or a quote is not closed."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"an allowed command must be words as a shell reads them: {error}: {text!r}") from None
    if not words:
        raise ValueError("an allowed command must have a word")
    return words


def _check_command(text: str) -> str:
    command_words(text)
    return text


AllowedCommand = Annotated[
    Identifier,
    Field(
        max_length=8_192,
        description="The leading words of commands that the worker runs, quoted as for a shell.",
        examples=["python train.py"],
    ),
    AfterValidator(_check_command),
]
AllowedVariable = Annotated[
    Identifier,
    Field(min_length=1, max_length=255, description="Name of a variable that commands may set.", examples=["PATH"]),
]


class Allowance(NamedTuple):
    """What a worker allows: prefixes of entrypoints, leading words of commands, names of variables.

    n_devices: devices of the worker process, which one trial may have together.
    """

    entrypoints: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    environment: tuple[str, ...] = ()
    n_devices: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether the worker runs no users' code."""
        return not (self.entrypoints or self.commands or self.environment)


NOTHING = Allowance()
"""What a worker without users' code allows."""


class Needs(NamedTuple):
    """What a worker must allow to train a study; empty if all is built in.

    command: the leading words of the study's command, up to its first placeholder. n_devices: devices that one trial
    uses. A trial of one device, or of a share of one, may also run in a worker process with several devices.
    """

    entrypoints: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    n_devices: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether any worker may train the study: it has no users' code."""
        return not (self.entrypoints or self.command or self.environment)

    def are_met(self, allowance: Allowance) -> bool:
        """Whether the worker allows all of it."""
        return not self.missing(allowance)

    def missing(self, allowance: Allowance) -> list[str]:
        """What the worker does not allow, in words."""
        missing = [
            f"the entrypoint {entrypoint}"
            for entrypoint in self.entrypoints
            if not is_allowed(entrypoint, allowance.entrypoints)
        ]
        if self.command and not _is_command_allowed(self.command, allowance.commands):
            missing.append(f"the command {shlex.join(self.command)}")
        missing += [f"the variable {name}" for name in self.environment if name not in allowance.environment]
        if self.n_devices not in (1, allowance.n_devices):
            missing.append(f"trials of {self.n_devices} devices")
        return missing

    def text(self) -> str:
        """All of it in words."""
        return " and ".join(self.missing(Allowance())).replace("the entrypoint ", "")

    def flags(self) -> str:
        """The flags of a worker that allows all of it."""
        packages = dict.fromkeys(entrypoint.partition(":")[0].partition(".")[0] for entrypoint in self.entrypoints)
        flags = [f"--allow {package}" for package in packages]
        if self.command:
            flags.append(f"--allow-command {shlex.quote(shlex.join(self.command))}")
        flags += [f"--allow-environment {name}" for name in self.environment]
        if self.n_devices > 1:
            flags.append(f"--devices-per-trial {self.n_devices}")
        return " ".join(flags)


def _is_command_allowed(words: Sequence[str], commands: Iterable[Sequence[str]]) -> bool:
    return any(tuple(words[: len(allowed)]) == tuple(allowed) for allowed in commands)

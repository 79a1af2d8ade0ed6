"""An attempt at a trial of users' code: its process, and how to talk with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.schemas.protocol import Lease
from workers.fleet.device_group import DeviceGroup
from workers.user_code.outcome import Failed
from workers.user_code.output_tail import OutputTail
from workers.user_code.process import GRACE_SECONDS
from workers.user_process.channel import Message

PRUNED_SECONDS = 30.0
"""How long code may go on after it was told that its trial is pruned."""


@dataclass(frozen=True)
class TrialFiles:
    """Where the files of an attempt are.

    scratch: a folder of the attempt. folder: its working folder. model: where its code writes a model. resume_step:
    the first step to train; above 0 if the folder `checkpoints` has the files of an earlier attempt.
    """

    scratch: Path
    folder: Path
    checkpoints: Path
    model: Path
    resume_step: int


class TrialProcess(Protocol):
    """The process of an attempt, or its processes."""

    @property
    def output(self) -> OutputTail:
        """What it writes."""

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""

    def ended_within(self, seconds: float) -> bool:
        """Wait for its end. False if it has not ended in time."""

    def last_lines(self) -> str:
        """The last lines that it has written, for the reason of a failure."""

    def end(self, grace_seconds: float) -> int:
        """Send SIGTERM, kill what is left after `grace_seconds`, and return its status as Popen does."""


@dataclass(frozen=True)
class Attempt:
    """A process that has started.

    receive: wait so many seconds for the next message; it returns None after them, and Failed when the process has
    ended or sent garbage. send: answer the last message. grace_seconds: how long the process may take to end after
    SIGTERM. pruned_seconds: how long it may go on since its trial was pruned. close: free what `receive` uses.
    """

    process: TrialProcess
    receive: Callable[[float], Message | Failed | None]
    send: Callable[[Message], None]
    grace_seconds: float = GRACE_SECONDS
    pruned_seconds: Callable[[], float] = lambda: PRUNED_SECONDS
    close: Callable[[], None] = lambda: None

    def end(self) -> None:
        """End the process and all that it has started."""
        self.close()
        self.process.end(self.grace_seconds)


StartAttempt = Callable[[Lease, TrialFiles, DeviceGroup], Attempt]
"""Starts the process of an attempt on the trial's devices. Raises OSError."""

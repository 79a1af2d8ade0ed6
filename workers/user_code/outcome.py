"""How an attempt at a trial of a custom objective ends."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Completed:
    """The function has returned objective values, or metrics that contain them."""

    values: list[float] | None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """The trial cannot go on. retry: another attempt may succeed, for instance on another machine.

    not_importable: the module of the entrypoint cannot be imported on this machine.
    """

    reason: str
    retry: bool = False
    not_importable: bool = False

    def reason_with_output(self, last_lines: str) -> str:
        """The reason, followed by the last lines that the code has written, if it has written any."""
        return f"{self.reason}; the end of its output:\n{last_lines}" if last_lines else self.reason


@dataclass(frozen=True)
class PrunedByCode:
    """The code pruned its trial itself."""


@dataclass(frozen=True)
class ClosedByService:
    """The service has closed the trial with a decision, or the lease is lost."""


@dataclass(frozen=True)
class Released:
    """The worker ends, or could not reach the service for too long. Another worker resumes the trial."""


@dataclass(frozen=True)
class Paused:
    """The trial waits at a rung until it is promoted.

    `save_files` uploads the files in checkpoint_dir. It returns False if a later attempt at that could succeed.
    """

    save_files: Callable[[], bool]


Outcome = Completed | Failed | PrunedByCode | Paused | ClosedByService | Released

"""How an attempt at a trial of a user's own code ends."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Completed:
    """The function has returned: objective values, or metrics that hold them."""

    values: list[float] | None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """retry: another attempt may go better, on another machine above all."""

    reason: str
    retry: bool = False


@dataclass(frozen=True)
class GaveUp:
    """The code pruned its trial by itself."""


@dataclass(frozen=True)
class Closed:
    """The service has closed the trial with a decision, or the lease is lost."""


@dataclass(frozen=True)
class GivenBack:
    """This worker ends, or has not reached the service for long: the trial goes on elsewhere."""


@dataclass(frozen=True)
class Paused:
    """The trial waits at a rung, with its files, until it is promoted. `keep` uploads them; False: not for now."""

    keep: Callable[[], bool]


Outcome = Completed | Failed | GaveUp | Paused | Closed | GivenBack

"""Which entrypoints the workers of a service run, as far as their claims tell."""

from collections.abc import Container, Sequence

from service.clock import Clock
from service.schemas.protocol import Claim
from service.schemas.study.entrypoints import is_allowed

HEARD_SECONDS = 90.0
MAX_WORKERS = 10_000


class Allowances:
    """The prefixes of each worker that has any. They are asked for by the minute, and not kept over a restart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._prefixes: dict[str, tuple[float, Sequence[str]]] = {}

    def note(self, claim: Claim) -> None:
        """Take note of a claim. One without prefixes says nothing, as workers with trials at hand ask so."""
        if claim.allow:
            self._prefixes.pop(claim.worker.id, None)
            self._prefixes[claim.worker.id] = (self._clock.monotonic(), claim.allow)
            while len(self._prefixes) > MAX_WORKERS:
                del self._prefixes[next(iter(self._prefixes))]

    def has(self, entrypoints: Sequence[str], busy: Container[str]) -> bool:
        """Whether a worker allows all entrypoints that was heard of lately, or is among the busy ones."""
        since = self._clock.monotonic() - HEARD_SECONDS
        return any(
            all(is_allowed(one, prefixes) for one in entrypoints) and (heard >= since or worker in busy)
            for worker, (heard, prefixes) in list(self._prefixes.items())
        )

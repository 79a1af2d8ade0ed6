"""Which studies a worker leaves to other machines for a while, after faults of its own machine."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.schemas.protocol import MAX_EXCEPT_STUDIES
from workers.faults import Fault

logger = logging.getLogger("narrows.worker")

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


@dataclass
class _Rest:
    since: datetime
    seconds: float
    until: float


class StudyBackoff:
    """Studies of which this worker claims no trials for now, because this machine lacks what their trials need.

    The rest of a study doubles with each fault that follows another one. Trials of other studies are claimed meanwhile.
    A data set that cannot be read, or a module that cannot be imported, rests with the study whose trial has found that
    out: other studies that need it rest as long.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rests: dict[str, _Rest] = {}
        self._lacking: dict[str, float] = {}

    def resting(self) -> list[str]:
        """The studies to claim no trials of now; if there are too many for a claim, those that rest longest."""
        now = self._clock()
        names = [name for name, rest in list(self._rests.items()) if rest.until > now]
        return sorted(names, key=lambda name: -self._rests[name].until)[:MAX_EXCEPT_STUDIES]

    @property
    def seconds_left(self) -> float:
        """Seconds until the next study may be claimed again; infinite if none rests."""
        now = self._clock()
        return min((rest.until - now for rest in list(self._rests.values()) if rest.until > now), default=float("inf"))

    def note_result(self, study: str, fault: Fault | None) -> None:
        """Let a study rest after a fault of this machine; None, for a trial that trains without one, ends its rests.

        A fault of a trial that was claimed before the study's rest began does not make the rest longer.
        """
        if fault is None:
            self._rests.pop(study, None)
        elif fault.retry and not fault.broken:
            self._note_fault(study)
            if fault.lacking is not None:
                self._note_lacking(fault.lacking, self._rests[study].until)

    def is_lacking(self, study: str, need: str) -> bool:
        """Whether a data set or module that a trial needs rests now. The study of the trial then rests as long."""
        now, until = self._clock(), self._lacking.get(need, float("-inf"))
        if until <= now:
            return False
        rest = self._rests.setdefault(study, _Rest(datetime.now(UTC), FIRST_SECONDS, until))
        rest.until = max(rest.until, until)
        logger.warning(
            "%s: needs what was not found here for another study; other studies only for %.3g s",
            study,
            rest.until - now,
        )
        return True

    def _note_fault(self, study: str) -> None:
        now, rest = self._clock(), self._rests.get(study)
        if rest is None:
            rest = self._rests[study] = _Rest(datetime.now(UTC), FIRST_SECONDS, now + FIRST_SECONDS)
        elif rest.until > now:
            return
        else:
            rest.seconds = min(LONGEST_SECONDS, 2 * rest.seconds)
            rest.until = now + rest.seconds
        logger.warning(
            "%s: this machine has not been able to train its trials since %s; other studies only for %g s",
            study,
            f"{rest.since:%Y-%m-%dT%H:%M:%SZ}",
            rest.seconds,
        )

    def _note_lacking(self, need: str, until: float) -> None:
        now = self._clock()
        self._lacking = {known: end for known, end in self._lacking.items() if end > now}
        self._lacking[need] = until

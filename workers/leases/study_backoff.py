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
GIVE_UP_SECONDS = 60.0
"""A study whose trials have failed here for this long will not be trained by this machine soon."""
LACKING = "it needs what was not found here for another study"


@dataclass
class _Rest:
    since: datetime
    began: float
    reason: str
    seconds: float
    until: float


class StudyBackoff:
    """Studies of which this worker claims no trials for now, because this machine lacks what their trials need.

    The rest of a study doubles with each fault that follows another one. Trials of other studies are claimed meanwhile.
    If a data set cannot be read or a module cannot be imported, the other studies that need it rest as long as the
    study of the trial that failed. Any thread may ask for the rests; one thread notes results.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rests: dict[str, _Rest] = {}
        self._lacking: dict[str, float] = {}
        self.trained_at = float("-inf")
        """When an attempt last trained or ended for another reason than this machine's, in seconds of the clock."""

    def resting(self) -> list[str]:
        """The studies to claim no trials of now; if there are too many for a claim, those that rest longest."""
        ends = self._ends()
        return sorted(ends, key=lambda name: -ends[name])[:MAX_EXCEPT_STUDIES]

    @property
    def seconds_left(self) -> float:
        """Seconds until the next study may be claimed again; infinite if none rests."""
        return min(self._ends().values(), default=float("inf")) - self._clock()

    def _ends(self) -> dict[str, float]:
        """When each rest ends, in the clock's time. The list is made at once, because another thread ends rests."""
        now = self._clock()
        return {name: rest.until for name, rest in list(self._rests.items()) if rest.until > now}

    def is_failing(self, study: str) -> bool:
        """Whether the last attempt at a trial of the study has failed for this machine's sake."""
        return study in self._rests

    @property
    def has_given_up(self) -> bool:
        """Whether all studies that rest now have failed here for GIVE_UP_SECONDS or longer."""
        now = self._clock()
        return all(now - rest.began >= GIVE_UP_SECONDS for rest in self._rests.values() if rest.until > now)

    def text(self) -> str:
        """The studies that rest now, since when none of their trials could be trained here, and why."""
        rests = [(name, self._rests[name]) for name in self.resting()]
        return "; ".join(f"{name} since {rest.since:%Y-%m-%dT%H:%M:%SZ}: {rest.reason}" for name, rest in rests)

    def note_result(self, study: str, fault: Fault | None) -> None:
        """Let a study rest after a fault of this machine; None, for a trial that trains without one, ends its rests.

        A fault of a trial that was claimed before the study's rest began does not make the rest longer.
        """
        if fault is not None and fault.retry and not fault.broken:
            self._note_fault(study, fault.reason)
            if fault.lacking is not None:
                self._note_lacking(fault.lacking, self._rests[study].until)
            return
        self.trained_at = self._clock()
        if fault is None:
            self._rests.pop(study, None)

    def is_lacking(self, study: str, need: str) -> bool:
        """Whether a data set or module that a trial needs rests now. The study of the trial then rests as long."""
        now, until = self._clock(), self._lacking.get(need, float("-inf"))
        if until <= now:
            return False
        rest = self._rests.setdefault(study, _Rest(datetime.now(UTC), now, LACKING, FIRST_SECONDS, until))
        rest.until = max(rest.until, until)
        logger.warning(
            "%s: needs what was not found here for another study; other studies only for %.3g s",
            study,
            rest.until - now,
        )
        return True

    def _note_fault(self, study: str, reason: str) -> None:
        now, rest = self._clock(), self._rests.get(study)
        if rest is None:
            rest = _Rest(datetime.now(UTC), now, reason, FIRST_SECONDS, now + FIRST_SECONDS)
            self._rests[study] = rest
        elif rest.until > now:
            return
        else:
            rest.reason = reason
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

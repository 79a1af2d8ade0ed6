"""Where a worker's trials come from: claimed ahead while others train, by a long poll when none does."""

import logging
import math
from collections.abc import Callable

from service.client import ClientError
from service.client.retries import Retries, will_pass
from service.schemas.study.allowance import Allowance
from workers.fleet.stopping import Stopping
from workers.leases.claims import FAULT_PAUSE_SECONDS, is_service_fault
from workers.leases.service_link import CLAIM_LIMIT_SECONDS, POLL_SECONDS, ServiceLink
from workers.leases.trial_prefetcher import Kind
from workers.loop.trainer_router import TrainerRouter
from workers.loop.utilization import Utilization
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.objectives.parallel_trials import ParallelTrials

logger = logging.getLogger("narrows.worker")

LONG_POLL_SECONDS = 20.0
AHEAD_SECONDS = 0.5
"""How long before a lane is free the trial for it is claimed."""


class TrialSource:
    """Claims as many trials as the trainer, or the devices of trials of users' code, have room for.

    `allowance` is the users' code that this worker runs. `exit_when_idle_seconds` is how long the worker
    waits for a trial; None for as long as it takes.
    """

    def __init__(
        self,
        link: ServiceLink,
        trainer: TrainerRouter,
        objectives: ParallelTrials,
        stopping: Stopping,
        utilization: Utilization,
        clock: Callable[[], float],
        *,
        allowance: Allowance,
        exit_when_idle_seconds: float | None,
    ) -> None:
        self._link = link
        self._prefetcher = link.prefetcher
        self._trainer = trainer
        self._objectives = objectives
        self._stopping = stopping
        self._utilization = utilization
        self._allowance = allowance
        self._patience_seconds = float("inf") if exit_when_idle_seconds is None else exit_when_idle_seconds
        self._clock = clock
        self._idle_since: float | None = None
        self._had_rest = False

    def take_ready(self) -> LeasedTrial | None:
        """A trial that was claimed ahead, or None."""
        trial = self._prefetcher.take()
        if trial is not None:
            self._note_claimed(trial)
        return trial

    def claim_ahead(self, n_held: int) -> None:
        """Keep as many trials ready as there will soon be lanes for, beside `n_held` that may come back to theirs.

        Beside trials of users' code it claims further ones for which there is room, one at a time. It does nothing
        while no trial trains: `wait` claims then.
        """
        n_trials = max(0, self._trainer.n_claimable - n_held) + self._trainer.n_free_within(AHEAD_SECONDS)
        if self._trainer.custom_study is not None:
            self._prefetcher.want(n_trials, Kind(self._trainer.n_lanes, self._allowance, self._trainer.custom_study))
        elif self._trainer.trials:
            self._prefetcher.want(n_trials, Kind(self._trainer.n_lanes))
        elif len(self._objectives):
            room, n_lanes = self._objectives.room, self._objectives.n_running + self._objectives.n_free
            self._prefetcher.want(1 if room else 0, Kind(n_lanes, self._allowance, room=room or None))

    def wait(self) -> list[LeasedTrial] | None:
        """Wait a while for a trial; None once the worker was idle for too long. Raises ClientError.

        The first claim after a trial counts as a claim, the following ones as idle time. The time in which attempts
        fail for this machine's sake, and in which their studies rest, is idle time. A worker is not idle for too long
        before it has given up on the studies that rest; after their rest it claims once more.
        """
        self._utilization.switch("claims")
        if not self._prefetcher.pause():
            self._prefetcher.wait_for_claim(POLL_SECONDS)
            return []
        errands, backoff = self._link.errands, self._link.backoff
        rest_seconds = backoff.seconds_left
        has_rest, is_busy = math.isfinite(rest_seconds), errands.is_busy
        after_rest, self._had_rest = self._had_rest and not has_rest, has_rest
        is_first = self._idle_since is None or after_rest
        if self._idle_since is None or (is_busy and not (has_rest or after_rest)):
            self._idle_since = self._clock()  # a trial is not over before the service knows
        seconds_left = self._patience_seconds - (self._clock() - max(self._idle_since, backoff.trained_at))
        if seconds_left <= 0 and not is_first and backoff.has_given_up:
            errands.finish(POLL_SECONDS)
            if has_rest and not is_busy:
                logger.warning("ends: idle, and this machine cannot train what is left: %s", backoff.text())
            return [] if is_busy else None
        wait_seconds = min(LONG_POLL_SECONDS, rest_seconds, seconds_left if seconds_left > 0 else math.inf)
        is_last = seconds_left <= 0 and not is_busy and not has_rest
        return self._poll(0.0 if is_first else wait_seconds, is_last=is_last)

    def close(self) -> list[LeasedTrial]:
        """Claim no more. Returns the trials that were claimed ahead and not taken."""
        return self._prefetcher.close(POLL_SECONDS)

    def _poll(self, wait_seconds: float, *, is_last: bool) -> list[LeasedTrial]:
        """Claim one trial; left at once when this process is asked to end. What fits beside it is claimed ahead."""
        self._utilization.switch("idle" if wait_seconds else "claims")
        if wait_seconds:
            self._trainer.end_idle_process()
        retries = Retries(min(CLAIM_LIMIT_SECONDS, self._patience_seconds), self._stopping)
        trials = []
        try:
            with self._stopping.interruptible():
                leases = self._link.claims.claim(1, self._trainer.n_lanes, wait_seconds, retries, self._allowance)
                trials = [self._link.receive(lease) for lease in leases]
        except ClientError as error:
            if is_last or not (will_pass(error) or is_service_fault(error)):
                raise
            logger.warning("%s; still asking", error)
            if is_service_fault(error):
                self._stopping.wait(FAULT_PAUSE_SECONDS)
        self._utilization.switch("other")
        for trial in trials:
            self._note_claimed(trial)
        return trials

    def _note_claimed(self, trial: LeasedTrial) -> None:
        """End the idle time, unless this machine could not train the last trial of the study."""
        if not self._link.backoff.is_failing(trial.lease.study):
            self._idle_since = None

"""The trials of a worker process from their start to their end."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

import torch

from service.schemas.study.training import Training
from workers.errors import DatasetError
from workers.faults import fault_of
from workers.fleet.stopping import Interrupted, Stopping
from workers.leases.reporter import OPEN_DECISIONS
from workers.leases.service_link import POLL_SECONDS, ServiceLink
from workers.loop.trainer_router import TrainerRouter
from workers.loop.utilization import Utilization
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial, need_of
from workers.training.precision import resolve_precision
from workers.user_code.objectives.parallel_trials import ParallelTrials

logger = logging.getLogger("narrows.worker")

TURN_SECONDS = 0.02
"""Training time between two looks at everything else. A look takes 0.04 ms, 1 % of a step of small models."""


NEWS_SECONDS = 0.1
"""How long to wait for news of trials of users' code: within this time a worker notices that it was asked to end."""


class BrokenDeviceError(Exception):
    """The process can train nothing any more; a fresh one may."""


class ActiveTrials:
    """Starts, trains, reports, saves and ends trials.

    A trial at a rung is held, outside of the trainer, until its report is answered. Trials of users' code run by
    themselves, in `objectives`.
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
        news: threading.Event,
        device: str,
        checkpoint_seconds: float,
    ) -> None:
        """`news` is set when a trial of users' code has ended, or another trial is ready."""
        self._link = link
        self._reporter = link.reporter
        self._finisher = link.finisher
        self._trainer = trainer
        self._objectives = objectives
        self._news = news
        self._stopping = stopping
        self._utilization = utilization
        self._backoff = link.backoff
        self._device = device
        self._checkpoint_seconds = checkpoint_seconds
        self._clock = clock
        self._held: list[LeasedTrial] = []
        self._saved_at = clock()

    def __len__(self) -> int:
        """Number of trials in the trainer, or held."""
        return len(self._trainer.trials) + len(self._held)

    @property
    def n_held(self) -> int:
        """Number of trials at a rung that wait for a decision."""
        return len(self._held)

    @property
    def n_objectives(self) -> int:
        """Number of trials of users' code that run or wait for a device."""
        return len(self._objectives)

    # Start

    def start(self, trial: LeasedTrial) -> None:
        """Start a trial, unless the service has closed it meanwhile.

        Raises Interrupted if this process is asked to end meanwhile; the trial is then given back.
        """
        if self._reporter.decision(trial.lease_id) != "continue":
            self._finisher.note_closed(trial.lease)
        elif self._backoff.is_lacking(trial.lease.study, need_of(trial.lease)):
            self._finisher.release(trial.lease)
        elif not isinstance(trial.lease.training, Training):
            self._trainer.end_idle_process()
            self._objectives.start(trial.lease)
        else:
            self._load(trial)

    def start_decided(self) -> None:
        """Continue, pause or leave the held trials whose reports are answered."""
        for trial in [trial for trial in self._held if self._reporter.flush(trial.lease_id, 0.0)]:
            self._held.remove(trial)
            if self._reporter.decision(trial.lease_id) == "pause":
                self._finisher.upload_and_pause(trial)
            else:
                self.start(trial)

    def wait_for_decision(self) -> None:
        """Wait a little for the decision on the first held trial."""
        self._utilization.switch("reports")
        self._reporter.flush(self._held[0].lease_id, POLL_SECONDS)

    def _load(self, trial: LeasedTrial) -> None:
        facts = self._link.studies.facts(trial.lease.study)
        trial.saved_at = self._clock()
        self._utilization.switch("data")
        try:
            with self._stopping.interruptible():
                self._trainer.start(trial, None if facts is None else facts.max_lanes)
        except Interrupted:
            self._finisher.release(trial.lease)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a trial raises ends the trial, not the worker
            self._fail(FailedTrial(trial, error))
            return
        finally:
            self._utilization.switch("other")
        training = trial.lease.built_in
        if training.precision == "auto":  # otherwise the definition says it
            trial.new_user_attrs["precision"] = resolve_precision(training, torch.device(self._device))
        self._send_user_attrs(trial)

    # Trials of users' code

    def wait_for_objectives(self, *, has_more: bool) -> None:
        """Wait a little for news, and handle the ends of trials of users' code.

        `has_more`: there may be trials for which there is room.
        """
        n_running, n_free = self._objectives.n_running, self._objectives.n_free
        self._utilization.switch("training")
        self._news.wait(NEWS_SECONDS)
        self._news.clear()
        seconds = self._utilization.switch("other")
        self._utilization.note_lanes(seconds, n_running, n_free if has_more else 0)
        self.end_objectives()

    def end_objectives(self) -> None:
        """Handle the ends of trials of users' code. Raises the error of a thread that has failed."""
        for ended in self._objectives.take_ended():
            if ended.error is not None:
                raise ended.error
            self._utilization.take_overhead()
            self._backoff.note_result(ended.lease.study, ended.fault)

    # Train and report

    def train(self, *, has_more: bool) -> None:
        """Train every trial for TURN_SECONDS or to its first event, and pass on what happened.

        `has_more`: there may be trials for the lanes that are empty. Raises BrokenDeviceError.
        """
        n_trained = self._trainer.n_training
        is_first = self._utilization.training_after is None
        self._utilization.switch("training")
        if is_first:
            logger.info("first batch %.2f s after this process began", self._utilization.training_after)
        until = self._clock() + TURN_SECONDS
        events = self._trainer.step()
        while not events and self._trainer.trials and self._clock() < until:
            events = self._trainer.step()
        seconds = self._utilization.switch("reports")
        n_empty = max(0, self._trainer.n_lanes - n_trained) if has_more else 0
        self._utilization.note_lanes(seconds, n_trained, n_empty)
        broken = None
        for event in events:
            if isinstance(event, FinishedEpoch):
                self._report(event)
            else:
                broken = self._fail(event) or broken
        self._utilization.switch("other")
        if broken is not None:
            raise BrokenDeviceError(broken)

    def _report(self, event: FinishedEpoch) -> None:
        trial = event.trial
        self._send_user_attrs(trial)
        if event.epoch > trial.last_step:  # otherwise it was reported before the trial went back to a saved state
            self._reporter.report(trial.lease_id, event.epoch, event.metrics)
            trial.last_step = event.epoch
            if event.final is None and event.epoch in trial.lease.rung_steps:
                self._hold(trial)
        self._backoff.note_result(trial.lease.study, None)
        if event.final is not None:
            final = {**event.final, "waiting_seconds": self._utilization.take_overhead()}
            self._finisher.complete(trial.lease, final, event.model)

    def _hold(self, trial: LeasedTrial) -> None:
        self._trainer.save_state(trial)
        self._trainer.remove(trial.lease_id)
        self._held.append(trial)

    def _fail(self, event: FailedTrial) -> str | None:
        """Fail a trial. Returns the reason if it is that the device is broken."""
        fault = fault_of(event.error, self._device)
        if not fault.expected:
            logger.error("%s: unexpected error", event.trial.title, exc_info=event.error)
        self._utilization.take_overhead()
        self._finisher.fail(event.trial.lease, fault)
        lacking = need_of(event.trial.lease) if isinstance(event.error, DatasetError) else None
        self._backoff.note_result(event.trial.lease.study, replace(fault, lacking=lacking))
        return fault.reason if fault.broken else None

    def _send_user_attrs(self, trial: LeasedTrial) -> None:
        if trial.new_user_attrs:
            self._finisher.add_user_attrs(trial.lease, trial.new_user_attrs)
            trial.new_user_attrs = {}

    # Save and end

    def save_due(self) -> None:
        """Upload the states of trials whose last checkpoint is too old, unless another errand is under way."""
        now = self._clock()
        if now - self._saved_at < min(1.0, self._checkpoint_seconds) or self._link.errands.is_busy:
            return
        self._saved_at = now
        self._utilization.switch("checkpoints")
        for trial in self._trainer.trials:
            if now - trial.saved_at >= self._checkpoint_seconds:
                self._trainer.save_state(trial)
                self._finisher.upload_checkpoint(trial)
                trial.saved_at = now
        self._utilization.switch("other")

    def remove_closed(self) -> None:
        """Remove the trials that the service has closed with its decision on a report."""
        if self._reporter.has_closed:
            for trial in self._trainer.trials:
                if self._reporter.decision(trial.lease_id) not in OPEN_DECISIONS:
                    self._trainer.remove(trial.lease_id)
                    self._finisher.note_closed(trial.lease)

    def give_back(self) -> None:
        """Save all trials and release their leases, so that other workers can continue them."""
        for lease in self._objectives.close():
            self._finisher.release(lease)
        trials = [*self._trainer.trials, *self._held]
        for trial in self._trainer.trials:
            self._trainer.save_state(trial)
        self._trainer.close()
        for trial in trials:
            self._finisher.upload_and_release(trial)

"""The life of one worker process: trials come in, train next to one another, and go out, until it is asked to end."""

import logging
import time
from collections.abc import Callable

import torch

from service.client import Client, ClientError
from service.client.retries import Retries, will_pass
from service.schemas.protocol import Lease, WorkerInfo
from service.schemas.study.user_training import UserTraining
from workers.faults import fault_of
from workers.fleet.stopping import Interrupted, StopFlag, Stopping
from workers.leases.checkpoint_keeper import CheckpointKeeper
from workers.leases.claims import Claims
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS, OutcomeClient
from workers.leases.reporter import OPEN, Reporter
from workers.leases.study_facts import StudyFactsCache
from workers.leases.trial_finisher import TrialFinisher
from workers.leases.trial_prefetcher import TrialPrefetcher
from workers.loop.fault_backoff import FaultBackoff
from workers.loop.trainer_router import Trainer, TrainerRouter
from workers.loop.utilization import Utilization
from workers.options import KeepModels
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.sinks.metric_fanout import NO_SINKS, MetricFanout
from workers.training.precision import resolve_precision
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer
from workers.user_code.objectives.objective_runner import ObjectiveRunner
from workers.user_code.user_code_options import UserCodeOptions

logger = logging.getLogger("narrows.worker")

LONG_POLL_SECONDS = 20.0
CLAIM_LIMIT_SECONDS = 60.0
ASKING_SECONDS = 10.0
POLL_SECONDS = 0.05
TURN_SECONDS = 0.02
"""Trained between two looks at everything else, which take 0.04 ms: 1 % of a step of small models."""
AHEAD_SECONDS = 0.5
"""A trial is claimed so long before its lane is free."""
NO_USER_CODE = UserCodeOptions()
CLOSING_SECONDS = 20.0
"""For what is to be told at the end, once this process was asked to end."""


class BrokenDeviceError(Exception):
    """This process can train nothing any more; a fresh one may."""


class Loop:
    """Trains trials on one device until it is asked to stop, or was without one for `exit_when_idle_seconds`."""

    def __init__(
        self,
        client: Client,
        worker: WorkerInfo,
        bench: Trainer,
        stopping: Stopping,
        *,
        study: str | None = None,
        exit_when_idle_seconds: float | None = None,
        checkpoint_seconds: float = 30.0,
        keep_models: KeepModels = "best",
        n_processes: int = 1,
        user_code: UserCodeOptions = NO_USER_CODE,
        fanout: MetricFanout = NO_SINKS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = worker.device
        self._stopping = stopping
        self._clock = clock
        self._patience_seconds = float("inf") if exit_when_idle_seconds is None else exit_when_idle_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._ended = StopFlag(stopping)
        self._utilization = Utilization(clock)
        self._reporter = Reporter(client, Retries(AWAY_LIMIT_SECONDS, self._ended), clock, fanout)
        self._studies = StudyFactsCache(client, Retries(ASKING_SECONDS, self._ended), n_processes)
        self._claims = Claims(client, worker, study=study)
        self._checkpoints = CheckpointKeeper(client, self._reporter)
        self._prefetcher = TrialPrefetcher(
            self._claims, self._receive, Retries(CLAIM_LIMIT_SECONDS, self._ended), clock
        )
        self._errands = Errands()
        self._own = SubprocessTrainer(user_code, worker.device, client, self._errands, stopping, clock)
        self._bench = TrainerRouter(bench, self._own)
        model_uploader = ModelUploader(client, self._studies, keep_models, Retries(CLAIM_LIMIT_SECONDS, self._ended))
        outcomes = OutcomeClient(client, stopping, fanout)
        self._finisher = TrialFinisher(
            self._reporter, outcomes, model_uploader, self._checkpoints, self._errands, stopping, clock
        )
        self._user_trials = ObjectiveRunner(
            user_code,
            worker.device,
            client,
            self._reporter,
            self._finisher,
            self._errands,
            stopping,
            checkpoint_seconds=checkpoint_seconds,
            clock=clock,
        )
        self._held: list[LeasedTrial] = []
        """Trials at a rung, off the bench, that wait for the decision on their reports."""
        self._allow = user_code.allow
        self._idle_since: float | None = None
        self._backoff = FaultBackoff(clock)
        self._checked_at = clock()

    def run(self) -> None:
        """Raises ClientError when the service will not have this worker, and BrokenDeviceError."""
        try:
            while not self._stopping.is_set() and self._turn():
                pass
        except Interrupted:
            pass
        finally:
            self._end()
        self._errands.check()

    def _turn(self) -> bool:
        """Some batches of every trial, or a wait for one; False when it was too long."""
        self._errands.check()
        self._prefetcher.check()
        self._leave_closed()
        self._go_on_held()
        self._begin_ready()
        if not self._bench.trials and self._held:
            self._reporter.flush(self._held[0].lease_id, POLL_SECONDS)
            return True
        if not self._bench.trials:
            return self._wait_for_trial()
        self._train()
        self._save_some()
        return True

    # Trials come in

    def _receive(self, lease: Lease) -> LeasedTrial:
        self._reporter.follow(lease)
        if isinstance(lease.training, UserTraining):
            return LeasedTrial(lease)
        return self._checkpoints.fetch(lease, Retries(CLAIM_LIMIT_SECONDS, self._ended))

    def _begin_ready(self) -> None:
        n_lanes = max(1, self._bench.n_lanes)
        while self._n_at_hand < n_lanes and (trial := self._prefetcher.take()) is not None:
            self._begin(trial)
        room = max(0, self._bench.room - len(self._held)) + self._bench.n_free_within(AHEAD_SECONDS)
        wanted = 0 if self._backoff.seconds_left > 0 else room
        if self._own.trials:
            self._prefetcher.want(wanted, self._bench.n_lanes, self._allow, self._own.study)
        elif self._bench.trials:
            self._prefetcher.want(wanted, self._bench.n_lanes)

    @property
    def _n_at_hand(self) -> int:
        """Trials in training, and those that may be again soon."""
        return len(self._bench.trials) + len(self._held)

    def _begin(self, trial: LeasedTrial) -> None:
        self._idle_since = None
        if self._reporter.decision(trial.lease_id) != "continue":
            self._finisher.note_closed(trial.lease)
            return
        if isinstance(trial.lease.training, UserTraining):
            self._train_user_code(trial.lease)
            return
        facts = self._studies.facts(trial.lease.study)
        trial.saved_at = self._clock()
        try:
            with self._stopping.interruptible():
                self._bench.start(trial, None if facts is None else facts.max_lanes)
        except Interrupted:
            self._finisher.release(trial.lease)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a trial raises ends the trial, not the worker
            self._give_up(FailedTrial(trial, error))
        else:
            training = trial.lease.built_in
            if training.precision == "auto":  # else the definition says it
                trial.new_user_attrs["precision"] = resolve_precision(training, torch.device(self._device))
            self._note(trial)

    def _note(self, trial: LeasedTrial) -> None:
        """Keep with a trial what is to be noted of it since the last time."""
        if trial.new_user_attrs:
            self._finisher.add_user_attrs(trial.lease, trial.new_user_attrs)
            trial.new_user_attrs = {}

    def _wait_for_trial(self) -> bool:
        """Ask until there is a trial; False after too long without one.

        The first question is part of a trial's own waiting; from then on the worker is idle.
        """
        if not self._prefetcher.pause():
            self._stopping.wait(POLL_SECONDS)
            return True
        if self._backoff.seconds_left > 0:
            self._utilization.switch("idle")
            self._stopping.wait(self._backoff.seconds_left)
            self._utilization.switch("waiting")
            return True
        first, busy, now = self._idle_since is None, self._errands.is_busy, self._clock()
        if self._idle_since is None or busy:  # a trial is not over before the service knows
            self._idle_since = now
        left = self._patience_seconds - (now - self._idle_since)
        if left <= 0 and not first:
            self._errands.finish(POLL_SECONDS)
            return busy
        return self._ask(0.0 if first else min(LONG_POLL_SECONDS, left), last=left <= 0 and not busy)

    def _ask(self, wait_seconds: float, *, last: bool) -> bool:
        """A long poll for one trial, left at once when this process is asked to end. What there is room for beside it
        is then claimed ahead."""
        self._utilization.switch("idle" if wait_seconds else "waiting")
        if wait_seconds:
            self._own.end_idle_process()
        retries = Retries(min(CLAIM_LIMIT_SECONDS, self._patience_seconds), self._stopping)
        try:
            with self._stopping.interruptible():
                leases = self._claims.claim(1, self._bench.n_lanes, wait_seconds, retries, self._allow)
                trials = [self._receive(lease) for lease in leases]
        except ClientError as error:
            if not will_pass(error) or last:
                raise
            logger.warning("%s; still asking", error)
            trials = []
        self._utilization.switch("waiting")
        for trial in trials:
            self._begin(trial)
        return True

    # Training

    def _train_user_code(self, lease: Lease) -> None:
        """From its start to its end. It comes when the lanes are empty, and they stay so meanwhile."""
        self._own.end_idle_process()
        self._utilization.switch("training")
        fault = self._user_trials.run(lease)
        self._utilization.switch("waiting")
        self._utilization.take_waiting()
        self._backoff.note_result(fault)

    def _train(self) -> None:
        n_trained = self._bench.n_training
        self._utilization.switch("training")
        until = self._clock() + TURN_SECONDS
        events = self._bench.step()
        while not events and self._bench.trials and self._clock() < until:
            events = self._bench.step()
        seconds = self._utilization.switch("waiting")
        n_empty = 0 if self._prefetcher.found_nothing else max(0, self._bench.n_lanes - n_trained)
        self._utilization.note_lanes(seconds, n_trained, n_empty)
        broken = None
        for event in events:
            if isinstance(event, FinishedEpoch):
                self._report(event)
            else:
                broken = self._give_up(event) or broken
        if broken is not None:
            raise BrokenDeviceError(broken)

    def _report(self, event: FinishedEpoch) -> None:
        trial = event.trial
        self._note(trial)
        if event.epoch > trial.last_step:  # else it was reported before the trial went back to where it was kept
            self._reporter.report(trial.lease_id, event.epoch, event.metrics)
            trial.last_step = event.epoch
            if event.final is None and event.epoch in trial.lease.rung_steps:
                self._hold(trial)
        if event.final is not None:
            self._backoff.note_result(None)
            final = {**event.final, "waiting_seconds": self._utilization.take_waiting()}
            self._finisher.complete(trial.lease, final, event.model)

    def _hold(self, trial: LeasedTrial) -> None:
        """Take a trial off the bench as it is at its rung, until the decision is there."""
        self._bench.save_state(trial)
        self._bench.remove(trial.lease_id)
        self._held.append(trial)

    def _go_on_held(self) -> None:
        """Train on, pause or leave the trials whose decisions are there."""
        for trial in [trial for trial in self._held if self._reporter.flush(trial.lease_id, 0.0)]:
            self._held.remove(trial)
            if self._reporter.decision(trial.lease_id) == "pause":
                self._finisher.upload_and_pause(trial)
            else:
                self._begin(trial)

    def _give_up(self, event: FailedTrial) -> str | None:
        """Fail a trial; the reason, when it is that the device is broken."""
        fault = fault_of(event.error, self._device)
        if not fault.expected:
            logger.error("%s: unexpected error", event.trial.title, exc_info=event.error)
        self._utilization.take_waiting()
        self._finisher.fail(event.trial.lease, fault)
        self._backoff.note_result(fault)
        return fault.reason if fault.broken else None

    def _leave_closed(self) -> None:
        """Drop the trials that the service has closed with its decision on a report."""
        if self._reporter.has_closed:
            for trial in self._bench.trials:
                if self._reporter.decision(trial.lease_id) not in OPEN:
                    self._bench.remove(trial.lease_id)
                    self._finisher.note_closed(trial.lease)

    def _save_some(self) -> None:
        """Keep the states of trials that were not kept for long, while no other errand is under way."""
        now = self._clock()
        if now - self._checked_at < min(1.0, self._checkpoint_seconds) or self._errands.is_busy:
            return
        self._checked_at = now
        for trial in self._bench.trials:
            if now - trial.saved_at >= self._checkpoint_seconds:
                self._bench.save_state(trial)
                self._finisher.upload_checkpoint(trial)
                trial.saved_at = now

    # The end

    def _end(self) -> None:
        """Give everything back, to go on elsewhere, and wait until all is told."""
        for trial in self._prefetcher.close(POLL_SECONDS):
            self._finisher.release(trial.lease)
        trials = [*self._bench.trials, *self._held]
        for trial in self._bench.trials:
            self._bench.save_state(trial)
        self._own.close()
        for trial in trials:
            self._finisher.upload_and_release(trial)
        self._wait_for_errands()
        self._ended.set()
        self._claims.return_unanswered()
        self._errands.close()
        self._reporter.close()
        logger.info("ends after %s", self._utilization)

    def _wait_for_errands(self) -> None:
        """Up to an hour while the service is away; not for long when this process was asked to end."""
        deadline = self._clock() + AWAY_LIMIT_SECONDS
        while not self._errands.finish(POLL_SECONDS) and self._clock() < deadline:
            if self._stopping.is_set():
                self._errands.finish(CLOSING_SECONDS)
                return

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
from workers.fleet.stopping import Ended, Interrupted, Stopping
from workers.leases.claims import Claims
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import AWAY_LIMIT_SECONDS, OutcomeClient
from workers.leases.reporter import OPEN, Reporter
from workers.leases.resuming import CheckpointKeeper
from workers.leases.study_facts import StudyFactsCache
from workers.leases.trial_finisher import TrialFinisher
from workers.leases.trial_prefetcher import TrialPrefetcher
from workers.loop.fault_backoff import FaultBackoff
from workers.loop.trainer_router import Trainer, TrainerRouter
from workers.loop.utilization import Utilization
from workers.options import KeepModels
from workers.scheduling.lane_scheduler import Broken, Finished
from workers.scheduling.leased_trial import LeasedTrial
from workers.sinks.metric_fanout import NO_FEED, MetricFanout
from workers.training.precision import resolve
from workers.user_code.allowed import UserCode
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer
from workers.user_code.objectives.objective_runner import ObjectiveRunner

logger = logging.getLogger("narrows.worker")

LONG_POLL_SECONDS = 20.0
CLAIM_LIMIT_SECONDS = 60.0
ASKING_SECONDS = 10.0
POLL_SECONDS = 0.05
TURN_SECONDS = 0.02
"""Trained between two looks at everything else, which take 0.04 ms: 1 % of a step of small models."""
AHEAD_SECONDS = 0.5
"""A trial is claimed so long before its lane is free."""
NO_USER_CODE = UserCode()
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
        user_code: UserCode = NO_USER_CODE,
        feed: MetricFanout = NO_FEED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = worker.device
        self._stopping = stopping
        self._clock = clock
        self._patience_seconds = float("inf") if exit_when_idle_seconds is None else exit_when_idle_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._ended = Ended(stopping)
        self._account = Utilization(clock)
        self._reporter = Reporter(client, Retries(AWAY_LIMIT_SECONDS, self._ended), clock, feed)
        self._studies = StudyFactsCache(client, Retries(ASKING_SECONDS, self._ended), n_processes)
        self._claims = Claims(client, worker, study=study)
        self._checkpointing = CheckpointKeeper(client, self._reporter)
        self._intake = TrialPrefetcher(self._claims, self._receive, Retries(CLAIM_LIMIT_SECONDS, self._ended), clock)
        self._errands = Errands()
        self._own = SubprocessTrainer(user_code, worker.device, client, self._errands, stopping, clock)
        self._bench = TrainerRouter(bench, self._own)
        keeping = ModelUploader(client, self._studies, keep_models, Retries(CLAIM_LIMIT_SECONDS, self._ended))
        delivery = OutcomeClient(client, stopping, feed)
        self._handover = TrialFinisher(
            self._reporter, delivery, keeping, self._checkpointing, self._errands, stopping, clock
        )
        self._user_trials = ObjectiveRunner(
            user_code,
            worker.device,
            client,
            self._reporter,
            self._handover,
            self._errands,
            stopping,
            checkpoint_seconds=checkpoint_seconds,
            clock=clock,
        )
        self._held: list[LeasedTrial] = []
        """Trials at a rung, off the bench, that wait for the decision on their reports."""
        self._allow = user_code.allow
        self._idle_since: float | None = None
        self._rest = FaultBackoff(clock)
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
        self._intake.check()
        self._leave_closed()
        self._go_on_held()
        self._begin_ready()
        if not self._bench.works and self._held:
            self._reporter.flush(self._held[0].lease_id, POLL_SECONDS)
            return True
        if not self._bench.works:
            return self._wait_for_trial()
        self._train()
        self._save_some()
        return True

    # Trials come in

    def _receive(self, lease: Lease) -> LeasedTrial:
        self._reporter.follow(lease)
        if isinstance(lease.training, UserTraining):
            return LeasedTrial(lease)
        return self._checkpointing.fetch(lease, Retries(CLAIM_LIMIT_SECONDS, self._ended))

    def _begin_ready(self) -> None:
        n_lanes = max(1, self._bench.n_lanes)
        while self._n_at_hand < n_lanes and (work := self._intake.take()) is not None:
            self._begin(work)
        room = max(0, self._bench.room - len(self._held)) + self._bench.n_soon_free(AHEAD_SECONDS)
        wanted = 0 if self._rest.seconds_left > 0 else room
        if self._own.works:
            self._intake.want(wanted, self._bench.n_lanes, self._allow, self._own.study)
        elif self._bench.works:
            self._intake.want(wanted, self._bench.n_lanes)

    @property
    def _n_at_hand(self) -> int:
        """Trials in training, and those that may be again soon."""
        return len(self._bench.works) + len(self._held)

    def _begin(self, work: LeasedTrial) -> None:
        self._idle_since = None
        if self._reporter.decision(work.lease_id) != "continue":
            self._handover.leave(work.lease)
            return
        if isinstance(work.lease.training, UserTraining):
            self._train_user_code(work.lease)
            return
        facts = self._studies.facts(work.lease.study)
        work.saved_at = self._clock()
        try:
            with self._stopping.interruptible():
                self._bench.begin(work, None if facts is None else facts.most_lanes)
        except Interrupted:
            self._handover.release(work.lease)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a trial raises ends the trial, not the worker
            self._give_up(Broken(work, error))
        else:
            training = work.lease.built_in
            if training.precision == "auto":  # else the definition says it
                work.notes["precision"] = resolve(training, torch.device(self._device))
            self._note(work)

    def _note(self, work: LeasedTrial) -> None:
        """Keep with a trial what is to be noted of it since the last time."""
        if work.notes:
            self._handover.note(work.lease, work.notes)
            work.notes = {}

    def _wait_for_trial(self) -> bool:
        """Ask until there is a trial; False after too long without one.

        The first question is part of a trial's own waiting; from then on the worker is idle.
        """
        if not self._intake.pause():
            self._stopping.wait(POLL_SECONDS)
            return True
        if self._rest.seconds_left > 0:
            self._account.switch("idle")
            self._stopping.wait(self._rest.seconds_left)
            self._account.switch("waiting")
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
        self._account.switch("idle" if wait_seconds else "waiting")
        if wait_seconds:
            self._own.rest()
        retries = Retries(min(CLAIM_LIMIT_SECONDS, self._patience_seconds), self._stopping)
        try:
            with self._stopping.interruptible():
                leases = self._claims.ask(1, self._bench.n_lanes, wait_seconds, retries, self._allow)
                works = [self._receive(lease) for lease in leases]
        except ClientError as error:
            if not will_pass(error) or last:
                raise
            logger.warning("%s; still asking", error)
            works = []
        self._account.switch("waiting")
        for work in works:
            self._begin(work)
        return True

    # Training

    def _train_user_code(self, lease: Lease) -> None:
        """From its start to its end. It comes when the lanes are empty, and they stay so meanwhile."""
        self._own.rest()
        self._account.switch("training")
        fault = self._user_trials.run(lease)
        self._account.switch("waiting")
        self._account.take_waiting()
        self._rest.after(fault)

    def _train(self) -> None:
        n_trained = self._bench.n_in_lanes
        self._account.switch("training")
        until = self._clock() + TURN_SECONDS
        events = self._bench.step()
        while not events and self._bench.works and self._clock() < until:
            events = self._bench.step()
        seconds = self._account.switch("waiting")
        n_empty = 0 if self._intake.was_in_vain else max(0, self._bench.n_lanes - n_trained)
        self._account.note_lanes(seconds, n_trained, n_empty)
        broken = None
        for event in events:
            if isinstance(event, Finished):
                self._report(event)
            else:
                broken = self._give_up(event) or broken
        if broken is not None:
            raise BrokenDeviceError(broken)

    def _report(self, event: Finished) -> None:
        work = event.work
        self._note(work)
        if event.epoch > work.last_step:  # else it was reported before the trial went back to where it was kept
            self._reporter.report(work.lease_id, event.epoch, event.metrics)
            work.last_step = event.epoch
            if event.final is None and event.epoch in work.lease.rung_steps:
                self._hold(work)
        if event.final is not None:
            self._rest.after(None)
            final = {**event.final, "waiting_seconds": self._account.take_waiting()}
            self._handover.complete(work.lease, final, event.model)

    def _hold(self, work: LeasedTrial) -> None:
        """Take a trial off the bench as it is at its rung, until the decision is there."""
        self._bench.keep(work)
        self._bench.drop(work.lease_id)
        self._held.append(work)

    def _go_on_held(self) -> None:
        """Train on, pause or leave the trials whose decisions are there."""
        for work in [work for work in self._held if self._reporter.flush(work.lease_id, 0.0)]:
            self._held.remove(work)
            if self._reporter.decision(work.lease_id) == "pause":
                self._handover.save_and_pause(work)
            else:
                self._begin(work)

    def _give_up(self, event: Broken) -> str | None:
        """Fail a trial; the reason, when it is that the device is broken."""
        fault = fault_of(event.error, self._device)
        if not fault.expected:
            logger.error("%s: unexpected error", event.work.title, exc_info=event.error)
        self._account.take_waiting()
        self._handover.fail(event.work.lease, fault)
        self._rest.after(fault)
        return fault.reason if fault.broken else None

    def _leave_closed(self) -> None:
        """Drop the trials that the service has closed with its decision on a report."""
        if self._reporter.has_closed:
            for work in self._bench.works:
                if self._reporter.decision(work.lease_id) not in OPEN:
                    self._bench.drop(work.lease_id)
                    self._handover.leave(work.lease)

    def _save_some(self) -> None:
        """Keep the states of trials that were not kept for long, while no other errand is under way."""
        now = self._clock()
        if now - self._checked_at < min(1.0, self._checkpoint_seconds) or self._errands.is_busy:
            return
        self._checked_at = now
        for work in self._bench.works:
            if now - work.saved_at >= self._checkpoint_seconds:
                self._bench.keep(work)
                self._handover.save(work)
                work.saved_at = now

    # The end

    def _end(self) -> None:
        """Give everything back, to go on elsewhere, and wait until all is told."""
        for work in self._intake.close(POLL_SECONDS):
            self._handover.release(work.lease)
        works = [*self._bench.works, *self._held]
        for work in self._bench.works:
            self._bench.keep(work)
        self._own.close()
        for work in works:
            self._handover.save_and_release(work)
        self._wait_for_errands()
        self._ended.set()
        self._claims.settle()
        self._errands.close()
        self._reporter.close()
        logger.info("ends after %s", self._account)

    def _wait_for_errands(self) -> None:
        """Up to an hour while the service is away; not for long when this process was asked to end."""
        deadline = self._clock() + AWAY_LIMIT_SECONDS
        while not self._errands.finish(POLL_SECONDS) and self._clock() < deadline:
            if self._stopping.is_set():
                self._errands.finish(CLOSING_SECONDS)
                return

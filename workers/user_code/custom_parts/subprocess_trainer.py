"""Train trials of custom models or data sets in lanes of a separate process."""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from service.client import Client
from workers.errors import CustomTrialError
from workers.fleet.stopping import Stopping
from workers.leases.errands import Errands
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.code_versions import CodeVersions
from workers.user_code.custom_parts.child_trial import ChildTrial
from workers.user_code.custom_parts.cleanups import Cleanups
from workers.user_code.custom_parts.message_handler import MessageHandler, trial_error
from workers.user_code.custom_parts.process_slot import POLL_SECONDS, ProcessSlot
from workers.user_code.custom_parts.solo_retries import SoloRetries
from workers.user_code.custom_parts.trainer_process import TrainerProcess
from workers.user_code.outcome import Failed
from workers.user_code.output_uploads import OUTPUT_SECONDS
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.user_code_options import UserCodeOptions

logger = logging.getLogger("narrows.worker")

TURN_SECONDS = 600.0
"""How long a study is given new trials here before another study may have the process's place."""


class SubprocessTrainer:
    """A `Trainer` with one process at a time, for trials of one study and fusion key.

    When a process ends that had several trials, none of them fails: each is retried alone in a process of its own, from
    its last checkpoint. A trial of another kind waits until the process is empty.
    """

    def __init__(
        self,
        options: UserCodeOptions,
        starter: ProcessStarter,
        client: Client,
        errands: Errands,
        stopping: Stopping,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._stopping = stopping
        self._clock = clock
        self._trials: dict[str, LeasedTrial] = {}
        self._waiting: deque[LeasedTrial] = deque()
        self._max_lanes: dict[str, int | None] = {}
        self._retries = SoloRetries()
        self._mixed_studies: set[str] = set()
        """Studies whose trials differ in their fusion key."""
        self._events: list[FinishedEpoch | FailedTrial] = []
        """Events not yet returned by `step`; trials that ended with them stay in `_trials` until they are."""
        self._busy_since = 0.0
        self._cleanups = Cleanups(errands)
        self._handler = MessageHandler(self._cleanups, clock)
        start_process = partial(TrainerProcess, options, starter, client, errands, clock, CodeVersions())
        self._slot = ProcessSlot(start_process, self._handler, self._cleanups, clock)

    @property
    def trials(self) -> list[LeasedTrial]:
        """All trials here, waiting ones included."""
        return list(self._trials.values())

    @property
    def n_training(self) -> int:
        """Number of trials in the process."""
        return self._slot.n_trials

    @property
    def n_lanes(self) -> int:
        """Number of lanes of the process."""
        return 1 if self._slot.process is None else self._slot.process.n_lanes

    @property
    def n_claimable(self) -> int:
        """Number of further trials to claim for the study that is trained here."""
        if not self._trials:
            return 1
        process = self._slot.process
        if process is None or process.is_solo or self._waiting:
            return 0
        is_mixed = any(trial.lease.study in self._mixed_studies for trial in self._trials.values())
        is_over = self._clock() - self._busy_since > TURN_SECONDS
        return 0 if is_mixed or is_over else process.n_claimable

    @property
    def study(self) -> str | None:
        """Name of the study that is trained here. A trial of another study would only wait."""
        return next((trial.lease.study for trial in self._trials.values()), None)

    def n_free_within(self, seconds: float) -> int:
        """Always 0: the worker does not know how far the process's lanes are."""
        return 0

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Start a trial, or let it wait. Raises CustomTrialError if it cannot start; it is then not here."""
        self._cleanups.run()
        refusal = self._options.refusal(trial.lease.training.needs)
        if refusal is not None:
            raise CustomTrialError(refusal, retry=True)
        if not self._trials:
            self._busy_since = self._clock()
        self._trials[trial.lease_id] = trial
        self._max_lanes[trial.lease_id] = max_lanes
        try:
            if self._must_wait(trial):
                self._waiting.append(trial)
            else:
                self._start_trial(trial)
        except BaseException:
            self._forget(trial)
            raise
        for event in self._events:
            if isinstance(event, FailedTrial) and event.trial is trial:
                self._events.remove(event)
                self._forget(trial)
                raise event.error

    def remove(self, lease_id: str) -> LeasedTrial:
        """Take a trial away, wherever it is."""
        trial = self._trials[lease_id]
        child = self._slot.child_of(lease_id)
        if self._slot.process is not None and child is not None:
            self._slot.process.drop_trial(child)
            child.uploads.upload()
        self._events = [event for event in self._events if event.trial is not trial]
        self._forget(trial)
        return trial

    def save_state(self, trial: LeasedTrial) -> None:
        """Load a trial's newest checkpoint into its state. The process writes one every second and at each rung."""
        child = self._slot.child_of(trial.lease_id)
        if child is not None:
            child.load_state(trial.last_step)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        """Wait a little for messages of the process, and return the events since the last call."""
        self._cleanups.run()
        self._receive_all()
        if self._slot.process is not None:
            for child in self._slot.process.trials.values():
                child.uploads.pause_seconds = OUTPUT_SECONDS * self._slot.n_trials
                child.uploads.upload_when_due()
        self._start_waiting()
        self._cleanups.release()
        events, self._events = self._events, []
        for event in events:
            if isinstance(event, FailedTrial) or event.final is not None:
                self._forget(event.trial)
        return events

    def end_idle_process(self) -> None:
        """End the process if it has no trial."""
        if not self._slot.n_trials:
            self._slot.end()

    def close(self) -> None:
        """End the process with all of its trials."""
        process = self._slot.process
        if process is not None:
            for child in list(process.trials.values()):
                self._handler.close(process, child)
            self._slot.end()
        self._cleanups.release()
        self._cleanups.run()

    # Starting trials

    def _must_wait(self, trial: LeasedTrial) -> bool:
        process = self._slot.process
        if process is None or not process.trials:
            return bool(self._waiting)
        if process.key != _key(trial):
            self._mixed_studies.add(trial.lease.study)
            return True
        self._mixed_studies.discard(trial.lease.study)
        return bool(self._waiting) or process.is_full or self._retries.reason(trial.lease_id) is not None

    def _start_waiting(self) -> None:
        """Start the next waiting trial once the process is empty. End an empty process that cannot be used again."""
        while self._waiting and self._slot.n_trials == 0 and not self._stopping.is_set():
            trial = self._waiting.popleft()
            try:
                self._start_trial(trial)
            except CustomTrialError as error:
                self._events.append(FailedTrial(trial, error))
        process = self._slot.process
        if process is not None and not process.trials and not process.is_reusable:
            self._slot.end()

    def _start_trial(self, trial: LeasedTrial) -> None:
        """Start a trial and wait until it is in its lane. If its code fails, that is among the events afterwards."""
        key, solo_reason = _key(trial), self._retries.reason(trial.lease_id)
        n_lanes, max_lanes = self._options.n_lanes, self._max_lanes[trial.lease_id]
        limit = self._retries.lane_limit(key)
        if limit is not None:
            n_lanes = None if n_lanes is None else min(limit, n_lanes)
            max_lanes = limit if max_lanes is None else min(limit, max_lanes)
        process = self._slot.process_for(trial.lease, key, n_lanes, solo_reason)
        if process.n_started == 0:
            self._mixed_studies.discard(trial.lease.study)
        try:
            child = process.start_trial(trial, max_lanes)
        except OSError as error:
            failed = Failed(f"the trial's process cannot be reached: {error!r}", retry=True)
            raise trial_error(process, failed) from error
        try:
            while not child.is_started and child.name in process.trials and not self._stopping.is_set():
                self._receive(process, POLL_SECONDS)
        except BaseException:
            process.trials.pop(child.name, None)
            raise

    # Messages of the process

    def _receive_all(self) -> None:
        """Handle all messages that have arrived, or wait a little for the first one."""
        process, seconds = self._slot.process, POLL_SECONDS
        while process is not None and process.trials and self._receive(process, seconds):
            seconds = 0.0

    def _receive(self, process: TrainerProcess, timeout_seconds: float) -> bool:
        """Handle one message. False if none arrived in time."""
        message = process.receive(timeout_seconds)
        if isinstance(message, Failed):
            self._end_failed(process, message)
        elif message is not None:
            event = self._handler.handle(process, message)
            if event is not None:
                self._events.append(event)
        return message is not None

    def _end_failed(self, process: TrainerProcess, failed: Failed) -> None:
        """End a process that cannot go on. Its trial fails if it was the only one ever; several trials are retried."""
        self._slot.end()
        children = list(process.trials.values())
        for child in children:
            child.load_state(child.last_epoch)
            self._handler.close(process, child)
        if len(children) == process.n_started == 1:
            self._events.append(FailedTrial(children[0].trial, trial_error(process, failed)))
        elif children:
            self._retry_alone(process, children, failed.reason)

    def _retry_alone(self, process: TrainerProcess, children: list[ChildTrial], reason: str) -> None:
        logger.warning("%d trials go on alone, each in a process of its own: %s", len(children), reason)
        lease_ids = [child.trial.lease_id for child in children]
        self._retries.record(process.key, lease_ids, reason, max(len(children), process.n_lanes))
        self._waiting.extendleft(child.trial for child in reversed(children))

    # Leaving

    def _forget(self, trial: LeasedTrial) -> None:
        self._trials.pop(trial.lease_id, None)
        self._max_lanes.pop(trial.lease_id, None)
        self._retries.forget(trial.lease_id)
        if trial in self._waiting:
            self._waiting.remove(trial)


def _key(trial: LeasedTrial) -> str:
    """Trials with the same key may share a process: study (with its limits and its data's seed) and fusion key."""
    return f"{trial.lease.study} {trial.key}"

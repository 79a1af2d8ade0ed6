"""Turn messages of the trainer process into the events that the worker's loop handles."""

import logging
import time
from collections.abc import Callable

from workers.errors import CustomTrialError
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.user_code.code_versions import ATTRIBUTE
from workers.user_code.custom_parts.child_trial import ChildTrial
from workers.user_code.custom_parts.cleanups import Cleanups
from workers.user_code.custom_parts.messages import Dropped, Epoch, Started, TrialFailed, TrialMessage
from workers.user_code.custom_parts.trainer_process import TrainerProcess
from workers.user_code.outcome import Failed
from workers.user_code.written_files import model_reader
from workers.user_process.failures import MAX_REASON

logger = logging.getLogger("narrows.worker")

SETTLING_SECONDS = 0.05
"""Wait after a failure, so that the last lines that the trial has written arrive."""


class MessageHandler:
    """Notes what a message says about its process and its trial."""

    def __init__(self, cleanups: Cleanups, clock: Callable[[], float]) -> None:
        self._cleanups = cleanups
        self._clock = clock

    def handle(self, process: TrainerProcess, message: TrialMessage) -> FinishedEpoch | FailedTrial | None:
        """The event that the message leads to, if there is one."""
        process.n_claimable, process.n_lanes = message.n_claimable, message.n_lanes
        if isinstance(message, Dropped):
            dropped = process.dropped.pop(message.id, None)
            if dropped is not None:
                self._cleanups.add(dropped.remove_folder)
            return None
        child = process.trials.get(message.id)
        if child is None:  # the trial was dropped after the process had sent the message
            return None
        match message:
            case Started():
                self._note_start(process, child, message)
            case Epoch():
                return self._note_epoch(process, child, message)
            case TrialFailed():
                time.sleep(SETTLING_SECONDS)
                self.close(process, child)
                failed = Failed(message.reason[:MAX_REASON], message.retry)
                return FailedTrial(child.trial, trial_error(process, failed))
        return None

    def close(self, process: TrainerProcess, child: ChildTrial) -> None:
        """Take a trial out of the process. Its last output is uploaded; its files stay until the events are handled."""
        del process.trials[child.name]
        child.uploads.upload()
        self._cleanups.add(child.remove_folder)

    def _note_start(self, process: TrainerProcess, child: ChildTrial, message: Started) -> None:
        process.unfusable_reason = message.unfusable_reason
        how = _how_it_trains(process)
        if process.n_started == 1:
            logger.info("%s: trials of its kind train %s", child.trial.title, how)
            if message.about_data:
                logger.info("%s: %s", child.trial.title, message.about_data)
        process.exclude_from_limits(self._clock() - child.started_at, child)
        child.is_started, child.reported_at = True, self._clock()
        about = {"data": message.about_data} if message.about_data else {}
        child.trial.new_user_attrs |= {"lanes": how, ATTRIBUTE: process.code_hash, **about}

    def _note_epoch(self, process: TrainerProcess, child: ChildTrial, message: Epoch) -> FinishedEpoch:
        trial = child.trial
        child.reported_at, child.last_epoch = self._clock(), max(child.last_epoch, message.epoch)
        if message.final is None:
            return FinishedEpoch(trial, message.epoch, message.metrics)
        self.close(process, child)
        model = model_reader(child.model, trial.title)
        return FinishedEpoch(trial, message.epoch, message.metrics, message.final, model)


def trial_error(process: TrainerProcess, failed: Failed) -> CustomTrialError:
    """The error of a trial that cannot go on, with the last lines of the process's output in its text."""
    reason = failed.reason_with_output(process.user_process.output.last_lines())
    return CustomTrialError(reason, retry=failed.retry)


def _how_it_trains(process: TrainerProcess) -> str:
    if process.is_solo:
        return f"alone, after a process of several trials: {process.solo_reason}"
    if process.unfusable_reason is not None:
        return f"one at a time: {process.unfusable_reason}"
    return "one at a time" if process.n_lanes == 1 else f"up to {process.n_lanes} at a time"

"""Trials with own models or data sets, as lanes of a process of their own."""

import logging
import time
from collections import deque
from collections.abc import Callable

from service.client import Client
from service.schemas.protocol import Lease
from service.schemas.study.entrypoints import is_allowed
from workers.errors import CustomTrialError
from workers.fleet.stopping import Stopping
from workers.leases.errands import Errands
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.allowed import UserCode
from workers.user_code.conversation import BrokenConversationError
from workers.user_code.custom_parts.messages import (
    MAX_REASON,
    Dropped,
    Epoch,
    ProcessFailed,
    Started,
    TrialFailed,
    read,
)
from workers.user_code.custom_parts.trainer_process import ChildTrial, TrainerProcess
from workers.user_code.endings import how_it_ended
from workers.user_code.model_file import content_of
from workers.user_code.outcome import Failed
from workers.user_code.output import Output
from workers.user_code.output_uploads import OUTPUT_SECONDS, OutputUploads

logger = logging.getLogger("narrows.worker")

POLL_SECONDS = 0.02
DROPPED_SECONDS = 2.0
"""For a process to let go of a trial, before another one is begun there."""
TURN_SECONDS = 600.0
"""For a study to be given trials here, before other studies may have the process's place."""
SETTLING_SECONDS = 0.05
"""For the last lines that a trial has written."""


class SubprocessTrainer:
    """A `Trainer`. There is one process at a time, for trials of one study and fusion key.

    Whatever ends the process ends no trial that was not alone in it: the others are tried again, each alone in a
    process of its own, from where they were last written. A trial of another kind waits until the process is empty.
    """

    def __init__(
        self,
        user_code: UserCode,
        device: str,
        client: Client,
        errands: Errands,
        stopping: Stopping,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user_code = user_code
        self._device = device
        self._client = client
        self._errands = errands
        self._stopping = stopping
        self._clock = clock
        self._child: TrainerProcess | None = None
        self._trials: dict[str, LeasedTrial] = {}
        self._waiting: deque[LeasedTrial] = deque()
        self._max_lanes: dict[str, int | None] = {}
        self._limits: dict[str, int] = {}
        """Of lanes, by key, after processes that ended with several trials in them."""
        self._again: dict[str, str] = {}
        """Why trials train alone, by their leases."""
        self._mixed: set[str] = set()
        """Studies whose trials turned out to be of several kinds."""
        self._events: list[FinishedEpoch | FailedTrial] = []
        """What is not told yet; the trials that ended with it are here until it is."""
        self._busy_since = 0.0
        self._leftovers: list[Callable[[], object]] = []
        """Files that events are about which nobody has heard of yet."""
        self._removable: list[Callable[[], object]] = []

    @property
    def trials(self) -> list[LeasedTrial]:
        return list(self._trials.values())

    @property
    def n_training(self) -> int:
        return 0 if self._child is None else len(self._child.seats)

    @property
    def n_lanes(self) -> int:
        return 1 if self._child is None else self._child.n_lanes

    @property
    def room(self) -> int:
        if self._child is None or not self._trials:
            return 1 if not self._trials else 0
        is_mixed = any(trial.lease.study in self._mixed for trial in self._trials.values())
        is_over = self._clock() - self._busy_since > TURN_SECONDS
        return 0 if is_mixed or is_over or self._waiting or self._child.alone else self._child.room

    @property
    def study(self) -> str | None:
        """Whose trials are here; those of others would only wait."""
        return next((trial.lease.study for trial in self._trials.values()), None)

    def n_free_within(self, seconds: float) -> int:
        return 0

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Load a trial, or have it wait. Raises CustomTrialError; it is then not on the bench."""
        self._tidy()
        self._check_allowed(trial.lease)
        if not self._trials:
            self._busy_since = self._clock()
        self._trials[trial.lease_id] = trial
        self._max_lanes[trial.lease_id] = max_lanes
        try:
            if self._must_wait(trial):
                self._waiting.append(trial)
            else:
                self._load(trial)
        except BaseException:
            self._forget(trial)
            raise
        for event in self._events:
            if isinstance(event, FailedTrial) and event.trial is trial:
                self._events.remove(event)
                self._forget(trial)
                raise event.error

    def remove(self, lease_id: str) -> LeasedTrial:
        trial = self._trials[lease_id]
        seat = None if self._child is None else self._child.seat_of(lease_id)
        if self._child is not None and seat is not None:
            self._child.drop(seat)
            seat.uploads.upload()
        self._events = [event for event in self._events if event.trial is not trial]
        self._forget(trial)
        return trial

    def save_state(self, trial: LeasedTrial) -> None:
        """Note where a trial was last written, which it is every second or so, and before it waits at a rung."""
        seat = None if self._child is None else self._child.seat_of(trial.lease_id)
        if seat is not None:
            seat.read_state(trial.last_step)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        """What has happened since; waits a little for something to."""
        self._tidy()
        self._hear_all()
        if self._child is not None:
            for seat in self._child.seats.values():
                seat.uploads.pause_seconds = OUTPUT_SECONDS * len(self._child.seats)
                seat.uploads.turn()
        self._go_on()
        self._removable += self._leftovers
        self._leftovers.clear()
        events, self._events = self._events, []
        for event in events:
            if isinstance(event, FailedTrial) or event.final is not None:
                self._forget(event.trial)
        return events

    def end_idle_process(self) -> None:
        """End the process that has no trial."""
        if self._child is not None and not self._child.seats:
            self._end(self._child)

    def close(self) -> None:
        """End the process, whatever is in it."""
        if self._child is not None:
            for seat in list(self._child.seats.values()):
                self._leave(seat)
            self._end(self._child)
        self._removable += self._leftovers
        self._leftovers.clear()
        self._tidy()

    # Trials come

    def _check_allowed(self, lease: Lease) -> None:
        refused = [one for one in lease.training.entrypoints if not is_allowed(one, self._user_code.allow)]
        if refused:
            raise CustomTrialError(f"this worker does not allow the entrypoint {refused[0]} (--allow)", retry=True)

    def _must_wait(self, trial: LeasedTrial) -> bool:
        child = self._child
        if child is None or not child.seats:
            return bool(self._waiting)
        if child.key == _key(trial):
            self._mixed.discard(trial.lease.study)
            return bool(self._waiting) or child.is_full or trial.lease_id in self._again
        self._mixed.add(trial.lease.study)
        return True

    def _go_on(self) -> None:
        """Begin trials that wait, once the process is empty; end a process that nothing may come into."""
        while self._waiting and self.n_training == 0 and not self._stopping.is_set():
            trial = self._waiting.popleft()
            try:
                self._load(trial)
            except CustomTrialError as error:
                self._break(trial, error)
        if self._child is not None and not self._child.seats and not self._child.is_reusable:
            self._end(self._child)

    def _load(self, trial: LeasedTrial) -> None:
        """Have a trial begun, and wait until it has. What is wrong with it is among the events then."""
        max_lanes = self._most(trial)
        child = self._child_for(trial)
        uploads = child.uploads.get(trial.lease_id)
        if uploads is None:
            output = child.process.output
            start = output.n_bytes if child.n_begun else 0
            uploads = OutputUploads(trial.lease, output, self._client, self._errands, self._clock, start)
            child.uploads[trial.lease_id] = uploads
        if trial.lease_id in self._again:
            uploads.heading = f"[tried again alone, after a process of several trials: {self._again[trial.lease_id]}]\n"
        try:
            seat = child.begin(trial, max_lanes, uploads, self._clock())
        except OSError as error:
            raise _error(Failed(f"its process cannot be reached: {error!r}", True), child.process.output) from error
        try:
            while not seat.is_begun and seat.name in child.seats and not self._stopping.is_set():
                self._hear(child, POLL_SECONDS)
        except BaseException:
            child.seats.pop(seat.name, None)
            raise

    def _most(self, trial: LeasedTrial) -> int | None:
        given, limit = self._max_lanes[trial.lease_id], self._limits.get(_key(trial))
        return given if limit is None else min(limit, given or limit)

    def _child_for(self, trial: LeasedTrial) -> TrainerProcess:
        """The process for a trial: that of those beside it, that of those before it, or a new one."""
        key, alone, child = _key(trial), trial.lease_id in self._again, self._child
        if child is not None and not child.seats:
            usable = child.key == key and child.is_reusable and not alone
            if not usable or not self._lets_go(child):
                self._end(child)
        if self._child is None:
            n_lanes, limit = self._user_code.n_lanes, self._limits.get(key)
            fixed = n_lanes if limit is None or n_lanes is None else min(n_lanes, limit)
            try:
                self._child = TrainerProcess(self._user_code, self._device, trial.lease, key, fixed, alone=alone)
                self._mixed.discard(trial.lease.study)
            except OSError as error:
                raise CustomTrialError(f"its process could not be run: {error!r}", retry=True) from error
        return self._child

    def _lets_go(self, child: TrainerProcess) -> bool:
        """Whether it has left the trials that it was told to drop: else its code hangs."""
        deadline = self._clock() + DROPPED_SECONDS
        while child.dropped and self._child is child and self._clock() < deadline:
            self._hear(child, POLL_SECONDS)
        return self._child is child and not child.dropped and not child.process.has_ended

    # What the process says

    def _hear_all(self) -> None:
        """What it has said by now, or says soon."""
        child, seconds = self._child, POLL_SECONDS
        while child is not None and child is self._child and child.seats and self._hear(child, seconds):
            seconds = 0.0

    def _hear(self, child: TrainerProcess, seconds: float) -> bool:
        """Take note of one message; whether there was one."""
        try:
            message = child.conversation.next(seconds)
            if message is None and (child.process.has_ended or child.conversation.has_ended):
                message = child.conversation.next(0.0)  # it may have come between the two looks
                if message is None:
                    self._died(child, how_it_ended(child.process))
                    return False
            if message is not None:
                self._take(child, read(message))
        except BrokenConversationError as error:
            self._died(child, Failed(f"its process broke off the conversation with the worker: {error}"))
            return False
        if message is None:  # else what a trial has reported may lie behind it
            late = child.too_late(self._clock())
            if late is not None:
                self._died(child, late)
        return message is not None

    def _take(self, child: TrainerProcess, said: Started | Epoch | TrialFailed | Dropped | ProcessFailed) -> None:
        if isinstance(said, ProcessFailed):
            self._died(child, Failed(said.reason[:MAX_REASON] or "no reason", said.retry))
            return
        child.room, child.n_lanes = said.room, said.n_lanes
        seat = child.seats.get(said.id)
        if isinstance(said, Dropped):
            dropped = child.dropped.pop(said.id, None)
            if dropped is not None:
                self._leftovers.append(dropped.remove)
        elif seat is None:  # it was dropped, and this was said before
            return
        elif isinstance(said, Started):
            child.unfusable_reason = said.unfusable_reason
            if child.n_begun == 1:
                logger.info("%s: trials of its kind train %s", seat.trial.title, self._how(child, seat))
            child.leave_out(self._clock() - seat.began_at, seat)
            seat.is_begun, seat.reported_at = True, self._clock()
            seat.trial.new_user_attrs["lanes"] = self._how(child, seat)
        elif isinstance(said, TrialFailed):
            self._broke_off(child, seat, said)
        else:
            self._epoch(child, seat, said)

    def _how(self, child: TrainerProcess, seat: ChildTrial) -> str:
        if child.alone:
            return f"alone, after a process of several trials: {self._again.get(seat.trial.lease_id)}"
        if child.unfusable_reason is not None:
            return f"one at a time: {child.unfusable_reason}"
        return "one at a time" if child.n_lanes == 1 else f"up to {child.n_lanes} at a time"

    def _epoch(self, child: TrainerProcess, seat: ChildTrial, said: Epoch) -> None:
        trial = seat.trial
        seat.reported_at, seat.last_epoch = self._clock(), max(seat.last_epoch, said.epoch)
        if said.final is None:
            self._events.append(FinishedEpoch(trial, said.epoch, said.metrics))
            return
        del child.seats[seat.name]
        self._leave(seat)
        model = content_of(seat.model, trial.title)  # None for one that is too large to be kept
        self._events.append(FinishedEpoch(trial, said.epoch, said.metrics, said.final, model))

    def _broke_off(self, child: TrainerProcess, seat: ChildTrial, said: TrialFailed) -> None:
        del child.seats[seat.name]
        time.sleep(SETTLING_SECONDS)
        self._leave(seat)
        self._break(seat.trial, _error(Failed(said.reason[:MAX_REASON], said.retry), child.process.output))

    def _died(self, child: TrainerProcess, failed: Failed) -> None:
        """The process has ended, or has to."""
        self._end(child)
        seats = list(child.seats.values())
        for seat in seats:
            seat.read_state(seat.last_epoch)
            self._leave(seat)
        child.seats.clear()
        if len(seats) == child.n_begun == 1:
            self._break(seats[0].trial, _error(failed, child.process.output))
            return
        if seats:
            logger.warning("%d trials go on alone, each in a process of its own: %s", len(seats), failed.reason)
            self._limits[child.key] = max(1, max(len(seats), child.n_lanes) // 2)
        for seat in reversed(seats):
            self._again[seat.trial.lease_id] = failed.reason
            self._waiting.appendleft(seat.trial)

    # Trials go

    def _break(self, trial: LeasedTrial, error: CustomTrialError) -> None:
        self._events.append(FailedTrial(trial, error))

    def _leave(self, seat: ChildTrial) -> None:
        """Its last lines are kept, and its files are there until the events of this turn are dealt with."""
        seat.uploads.upload()
        self._leftovers.append(seat.remove)

    def _forget(self, trial: LeasedTrial) -> None:
        self._trials.pop(trial.lease_id, None)
        self._max_lanes.pop(trial.lease_id, None)
        self._again.pop(trial.lease_id, None)
        if trial in self._waiting:
            self._waiting.remove(trial)

    def _end(self, child: TrainerProcess) -> None:
        if self._child is child:
            self._child = None
            child.process.end()
            self._leftovers.append(child.scratch.remove)

    def _tidy(self) -> None:
        """Remove what the errands of earlier turns were about to read, after them."""
        for remove in self._removable:
            self._errands.submit(remove)
        self._removable.clear()


def _key(trial: LeasedTrial) -> str:
    """What trials of one process share: the study with its limits and its data's seed, and what lanes share."""
    return f"{trial.lease.study} {trial.key}"


def _error(failed: Failed, output: Output) -> CustomTrialError:
    said = output.last_lines()
    reason = f"{failed.reason}; the end of its output:\n{said}" if said else failed.reason
    return CustomTrialError(reason, retry=failed.retry)

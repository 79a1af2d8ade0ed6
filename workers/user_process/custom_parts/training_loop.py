"""Train trials in the process of custom models and data sets, as the worker commands."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

from service.schemas.protocol import Lease
from service.schemas.study.training import Training
from workers.errors import CheckpointError
from workers.lanes.lane_state import LaneState
from workers.saved.files import dump_checkpoint, previous_checkpoint, read_checkpoint
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch, LaneScheduler
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_process.channel import Channel, Message
from workers.user_process.custom_parts.trial_failure import raise_if_device_broken, trial_failure
from workers.user_process.output import tell

CHECKPOINT_SECONDS = 1.0
"""Shortest time between two checkpoints: small models finish many epochs a second."""
CHECKPOINT_SHARE = 0.05
"""Largest share of the time that is spent writing checkpoints."""

MakeScheduler = Callable[[Training], tuple[LaneScheduler, str | None]]


class TrainingLoop:
    """Starts and drops trials on the worker's command, trains them, and reports each epoch.

    A trial's state is written to its checkpoint file from time to time, and when the trial stops at a rung to wait for
    a decision. Commands are obeyed between two batches.
    """

    def __init__(self, channel: Channel, make_scheduler: MakeScheduler) -> None:
        """`make_scheduler` is called with the first trial's training: all trials share its fusion key."""
        self._channel = channel
        self._make_scheduler = make_scheduler
        self._unfusable_reason: str | None = None
        self._scheduler: LaneScheduler | None = None
        self._start_commands: dict[str, Message] = {}
        """Of the trials in training, by name: the files to write to, and the rungs."""
        self._saved_at = time.monotonic()
        self._pause_seconds = CHECKPOINT_SECONDS
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def run(self) -> Never:
        """Obey commands and train until the process ends."""
        threading.Thread(target=self._receive, name="commands", daemon=True).start()
        while True:
            for command in self._next_commands():
                self._obey(command)
            self._step()

    def _receive(self) -> None:
        while True:
            self._commands.put(self._channel.receive())

    def _next_commands(self) -> Iterator[Message]:
        """Commands that have arrived. Waits for one while no trial is in training."""
        if not self._start_commands:
            yield self._commands.get()
        while not self._commands.empty():
            yield self._commands.get()

    def _obey(self, command: Message) -> None:
        name = command["id"]
        match command["do"]:
            case "start":
                self._start_trial(name, command)
            case "drop":
                if name in self._start_commands:
                    self._drop_trial(name)
                self._send("dropped", name)

    def _send(self, call: str, name: str, **fields: Any) -> None:
        scheduler, lanes = self._scheduler, {"n_claimable": 0, "n_lanes": 1}
        if scheduler is not None:
            lanes = {"n_claimable": scheduler.n_claimable, "n_lanes": scheduler.n_lanes}
        self._channel.send({"call": call, "id": name, **lanes, **fields})

    # Trials come and go

    def _start_trial(self, name: str, command: Message) -> None:
        trial = LeasedTrial(Lease.model_validate(command["lease"]))
        try:
            trial.state = _read_state(command["state"], trial)
            if self._scheduler is None:
                self._scheduler, self._unfusable_reason = self._make_scheduler(trial.lease.built_in)
            self._start_commands[name] = command
            self._scheduler.start(trial, command["max_lanes"])
        except BaseException as error:  # noqa: BLE001 - any error of the code, sys.exit included, fails this trial only
            raise_if_device_broken(error)
            self._start_commands.pop(name, None)
            self._send("trial_failed", name, **trial_failure(trial, error))
        else:
            about = trial.new_user_attrs.get("data", "")
            self._send("started", name, unfusable_reason=self._unfusable_reason, about_data=about)

    def _drop_trial(self, name: str) -> None:
        del self._start_commands[name]
        if self._scheduler is not None and any(trial.lease_id == name for trial in self._scheduler.trials):
            self._scheduler.remove(name)

    # Training

    def _step(self) -> None:
        if self._scheduler is None or not self._scheduler.trials:
            return
        events = self._scheduler.step()
        for event in events:
            if isinstance(event, FailedTrial):
                raise_if_device_broken(event.error)
        for event in events:
            name = event.trial.lease_id
            if isinstance(event, FailedTrial):
                del self._start_commands[name]
                self._send("trial_failed", name, **trial_failure(event.trial, event.error))
            else:
                self._report_epoch(name, event)
        if time.monotonic() - self._saved_at >= self._pause_seconds:
            self._save_checkpoints()

    def _report_epoch(self, name: str, event: FinishedEpoch) -> None:
        command = self._start_commands[name]
        if event.final is not None:
            assert event.model is not None, "a trial with final metrics has a model"
            write_model(Path(command["model"]), event.model)
            self._drop_trial(name)
        elif event.epoch in command["rung_steps"]:  # the worker starts it again when the decision is to continue
            self._save_checkpoint(name)
            self._drop_trial(name)
        self._send("epoch", name, epoch=event.epoch, metrics=event.metrics, final=event.final)

    def _save_checkpoints(self) -> None:
        began = time.monotonic()
        for name in self._start_commands:
            self._save_checkpoint(name)
        self._saved_at = time.monotonic()
        self._pause_seconds = max(CHECKPOINT_SECONDS, (self._saved_at - began) / CHECKPOINT_SHARE)

    def _save_checkpoint(self, name: str) -> None:
        assert self._scheduler is not None, "a trial has started"
        trial = next(trial for trial in self._scheduler.trials if trial.lease_id == name)
        self._scheduler.save_state(trial)
        if trial.state is None:
            return
        content = dump_checkpoint(trial.state, trial.lease.built_in, trial.lease.seed)
        path = Path(self._start_commands[name]["checkpoint"])
        try:
            if path.exists():  # the worker needs the older one if it has not received all epochs of the newer one
                path.replace(previous_checkpoint(path))
            _write(path, content)
        except OSError as error:  # such as a full disk: the trial trains on and keeps its older checkpoint
            tell(f"the checkpoint cannot be written: {error}")


def _read_state(path: str | None, trial: LeasedTrial) -> LaneState | None:
    """Read the state that an earlier attempt has saved. None if there is none, or if it cannot be read."""
    if path is None:
        return None
    try:
        state = read_checkpoint(Path(path).read_bytes(), trial.lease.built_in, trial.lease.seed)
    except (CheckpointError, OSError) as error:
        tell(f"starts again from the beginning: {error}")
        return None
    tell(f"goes on after {state.n_epochs} epochs")
    return state


def write_model(path: Path, content: Callable[[], bytes]) -> None:
    """Write a trained model. One that cannot be written is told in the output: its trial completes without it."""
    try:
        _write(path, content())
    except Exception as error:  # noqa: BLE001 - a model is an addition: it does not cost the trial its value
        raise_if_device_broken(error)
        tell(f"the model is not saved: {type(error).__name__}: {error}")


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)

"""Trials with an own model or data set: the built-in trainer trains them, as lanes of a process of their own.

The worker says which trials to begin and to drop; what happens to them is told as it happens. Where they are is written
to files beside them from time to time, and where one waits for a decision.
"""

import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Never

import torch

from service.schemas.protocol import Lease
from service.schemas.study.data import Dataset, OwnDataset
from service.schemas.study.models import OwnModel
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, prepare_data
from workers.errors import CheckpointError, DatasetError, MissingCodeError, PrecisionError, WorkerError
from workers.faults import is_device_broken
from workers.final_test.final_trial import FinalTrial
from workers.lanes.lane_group import LaneGroup
from workers.lanes.lane_state import LaneState
from workers.saved.files import dump_checkpoint, previous_checkpoint, read_checkpoint
from workers.scheduling.lane_choice import LaneChoice, batches_per_second
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch, LaneScheduler
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_process.channel import Channel, Message
from workers.user_process.context import Context
from workers.user_process.custom_parts.dataset import custom_data, load_custom_test, read_parts
from workers.user_process.custom_parts.model import build
from workers.user_process.function import EntrypointError, MissingError, failure

CHECKPOINT_SECONDS = 1.0
"""Between two checkpoints on this disk: small models have many epochs a second."""
CHECKPOINT_SHARE = 0.05
"""Of the time, that writing them may take."""
SWITCH_SECONDS = 0.0005
"""How long training keeps the interpreter from the thread that listens to the worker."""


def train(context: Context, data_dir: str, download: bool, n_lanes: int | None, alone: bool) -> Never:
    """Train what the worker says, up to `n_lanes` trials at a time, or as many as turn out to be fastest."""
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # an evaluation would be another than in training, and not in lanes
    sys.setswitchinterval(SWITCH_SECONDS)
    house = GroupFactory(context.seed, torch.device(context.device), Path(data_dir), download)
    Lanes(context.channel, house, n_lanes, alone=alone).run()


class GroupFactory:
    """Makes the groups of one fusion key, and what they need."""

    def __init__(self, seed: int, device: torch.device, data_dir: Path, download: bool) -> None:
        """`seed` is the study's own, for its data set."""
        self.device = device
        self._seed = seed
        self._data_dir = data_dir
        self._download = download
        self._fuse: bool | None = None
        self._own_data: TrialData | None = None

    def data(self, dataset: Dataset | OwnDataset) -> TrialData:
        if isinstance(dataset, OwnDataset):
            if self._own_data is None:  # all trials here share it
                self._own_data = custom_data(read_parts(dataset, self._seed), self.device)
            return self._own_data
        return prepare_data(dataset, self._data_dir, self.device, download=self._download)

    def test(self) -> FinalTrial:
        load_custom = partial(load_custom_test, seed=self._seed)
        return FinalTrial(self.device, self._data_dir, download=self._download, load_custom=load_custom)

    def group(self, training: Training, data: TrialData, device: torch.device, n_lanes: int) -> LaneGroup:
        return LaneGroup(training, data, device, n_lanes, fuse=self._fuse, build=build)

    def unfusable_reason(self, training: Training, data: TrialData) -> str | None:
        """Why trials of this kind have to train one at a time. Raises what is wrong with the model."""
        reason = self.group(training, data, self.device, 1).unfusable_reason
        if isinstance(training.model, OwnModel):
            self._fuse = reason is None  # it need not be tried again for every group
        return reason

    def measure(self, training: Training, data: TrialData, n_lanes: int) -> float:
        return batches_per_second(training, data, self.device, n_lanes, self.group)


class Lanes:
    """Obeys the worker between two batches."""

    def __init__(self, channel: Channel, house: GroupFactory, n_lanes: int | None, *, alone: bool) -> None:
        self._channel = channel
        self._house = house
        self._n_lanes = n_lanes
        self._alone = alone
        self._unfusable_reason: str | None = None
        self._bench: LaneScheduler | None = None
        self._places: dict[str, Message] = {}
        self._kept_at = time.monotonic()
        self._pause_seconds = CHECKPOINT_SECONDS
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def run(self) -> Never:
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        while True:
            for command in self._next_commands():
                self._obey(command)
            self._step()

    def _listen(self) -> None:
        while True:
            self._commands.put(self._channel.receive())

    def _next_commands(self) -> Iterator[Message]:
        """What the worker has said since; while nothing trains, whatever it says next."""
        if not self._places:
            yield self._commands.get()
        while not self._commands.empty():
            yield self._commands.get()

    def _obey(self, command: Message) -> None:
        lease_id = command["id"]
        match command["do"]:
            case "begin":
                self._begin(lease_id, command)
            case "drop":
                if lease_id in self._places:
                    self._leave(lease_id)
                self._tell("dropped", lease_id)

    def _tell(self, call: str, lease_id: str, **fields: Any) -> None:
        bench = self._bench
        room, n_lanes = (0, 1) if bench is None else (bench.room, bench.n_lanes)
        self._channel.send({"call": call, "id": lease_id, "room": room, "n_lanes": n_lanes, **fields})

    # Trials come and go

    def _begin(self, lease_id: str, command: Message) -> None:
        trial = LeasedTrial(Lease.model_validate(command["lease"]))
        try:
            trial.state = _read(command["state"], trial)
            bench = self._bench_for(trial)
            self._places[lease_id] = command
            bench.start(trial, command["max_lanes"])
        except BaseException as error:  # noqa: BLE001 - whatever its code does, sys.exit included, ends this trial
            _check_device(error)
            self._places.pop(lease_id, None)
            self._tell("broken", lease_id, **_reason(trial, error))
        else:
            self._tell("begun", lease_id, unfusable_reason=self._unfusable_reason)

    def _bench_for(self, trial: LeasedTrial) -> LaneScheduler:
        if self._bench is None:
            house, training = self._house, trial.lease.built_in
            n_lanes = 1 if self._alone else self._n_lanes
            if not self._alone:
                self._unfusable_reason = house.unfusable_reason(training, house.data(training.dataset))
                n_lanes = n_lanes if self._unfusable_reason is None else 1
            choice = LaneChoice(house.device, n_lanes, house.measure)
            self._bench = LaneScheduler(house.data, house.device, choice, house.test(), house.group)
        return self._bench

    def _leave(self, lease_id: str) -> None:
        del self._places[lease_id]
        if self._bench is not None and any(trial.lease_id == lease_id for trial in self._bench.trials):
            self._bench.remove(lease_id)

    # Training

    def _step(self) -> None:
        if self._bench is None or not self._bench.trials:
            return
        events = self._bench.step()
        for event in events:
            if isinstance(event, FailedTrial):
                _check_device(event.error)
        for event in events:
            lease_id = event.trial.lease_id
            if isinstance(event, FailedTrial):
                del self._places[lease_id]
                self._tell("broken", lease_id, **_reason(event.trial, event.error))
            else:
                self._tell_epoch(lease_id, event)
        if time.monotonic() - self._kept_at >= self._pause_seconds:
            self._keep_all()

    def _tell_epoch(self, lease_id: str, event: FinishedEpoch) -> None:
        place = self._places[lease_id]
        if event.final is not None:
            _keep_model(place["model"], event)
            self._leave(lease_id)
        elif event.epoch in place["rung_steps"]:  # it waits there for a decision
            self._keep(lease_id)
            self._leave(lease_id)
        self._tell("epoch", lease_id, epoch=event.epoch, metrics=event.metrics, final=event.final)

    def _keep_all(self) -> None:
        began = time.monotonic()
        for lease_id in self._places:
            self._keep(lease_id)
        self._kept_at = time.monotonic()
        self._pause_seconds = max(CHECKPOINT_SECONDS, (self._kept_at - began) / CHECKPOINT_SHARE)

    def _keep(self, lease_id: str) -> None:
        """Write where a trial is."""
        assert self._bench is not None, "it has begun"
        trial = next(trial for trial in self._bench.trials if trial.lease_id == lease_id)
        self._bench.save_state(trial)
        if trial.state is None:
            return
        content = dump_checkpoint(trial.state, trial.lease.built_in, trial.lease.seed)
        path = Path(self._places[lease_id]["checkpoint"])
        try:
            if path.exists():  # the worker goes back to it where it has not heard of all epochs of the newer one
                path.replace(previous_checkpoint(path))
            _write(path, content)
        except OSError as error:  # a full disk: it trains on, and would go on from where it was written before
            print(f"its checkpoint cannot be written: {error}", file=sys.stderr)


def _check_device(error: BaseException) -> None:
    """Raise what leaves the device useless for this process, which ends then, and may be any of its trials' fault."""
    if is_device_broken(error):
        raise error


def _reason(trial: LeasedTrial, error: BaseException) -> Message:
    """Why a trial cannot go on, and whether another machine may do better."""
    outcome = failure(_told(trial, error))
    if outcome["call"] != "failed":  # Optuna's TrialPruned, which means nothing here
        outcome = {"reason": type(error).__name__, "retry": False}
    if not isinstance(error, WorkerError):
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    reason = outcome["reason"].encode(errors="replace").decode()  # an exception's text may be no Unicode
    return {"reason": reason, "retry": outcome["retry"]}


def _told(trial: LeasedTrial, error: BaseException) -> BaseException:
    if isinstance(error, MissingCodeError | PrecisionError):
        return MissingError(str(error))
    if isinstance(error, DatasetError):
        is_built_in = isinstance(trial.lease.built_in.dataset, Dataset)
        return (MissingError if is_built_in else EntrypointError)(str(error))
    return EntrypointError(str(error)) if isinstance(error, WorkerError) else error


def _read(path: str | None, trial: LeasedTrial) -> LaneState | None:
    """Where an earlier attempt has left it, if anywhere."""
    if path is None:
        return None
    try:
        state = read_checkpoint(Path(path).read_bytes(), trial.lease.built_in, trial.lease.seed)
    except (CheckpointError, OSError) as error:
        print(f"begins anew: {error}")
        return None
    print(f"goes on after {state.n_epochs} epochs")
    return state


def _keep_model(path: str, event: FinishedEpoch) -> None:
    assert event.model is not None, "the trial is over"
    _write(Path(path), event.model())


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)

"""Loads trials into the lanes of one device, and trains those of the same fusion key together."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from service.schemas.protocol import Lease
from service.schemas.study.data import CustomDataset, Dataset
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, merge_validation_into_train
from workers.errors import CheckpointError
from workers.faults import is_device_broken, is_out_of_memory
from workers.lanes.lane import Lane, LaneTrial, Metrics
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import describe_model, dump_model
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.leased_trial import LeasedTrial

logger = logging.getLogger("narrows.worker")

Content = Callable[[], bytes]
NewGroup = Callable[[Training, TrialData, torch.device, int], LaneGroup]
Test = Callable[[Lease, nn.Module, TrialData], Metrics]


@dataclass(frozen=True)
class FinishedEpoch:
    """A trial has finished an epoch, and with it the training if there are `final` metrics.

    `model` returns the content of the trained model's file.
    """

    trial: LeasedTrial
    epoch: int
    metrics: Metrics
    final: Metrics | None = None
    model: Content | None = None


@dataclass(frozen=True)
class FailedTrial:
    """A trial raised an error, and has left the trainer."""

    trial: LeasedTrial
    error: Exception


class LaneScheduler:
    """A `Trainer` of built-in models, with a group of lanes for each fusion key.

    When a group raises an error, its trials return to their last saved state and continue in a group half as large. So
    the trial that caused the error is found, and trials that do not fit into memory together train one after another.
    Trials that wait for a lane are parked.
    """

    def __init__(
        self,
        prepare: Callable[[Dataset | CustomDataset], TrialData],
        device: torch.device,
        choice: LaneChoice,
        test: Test,
        new_group: NewGroup = LaneGroup,
    ) -> None:
        """`test` evaluates a model on the test split, if its lease asks for that."""
        self._prepare = prepare
        self._new_group = new_group
        self._test = test
        self._device = device
        self._choice = choice
        self._groups: dict[str, LaneGroup] = {}
        self._lanes: dict[str, tuple[LaneGroup, Lane]] = {}
        self._trials: dict[str, LeasedTrial] = {}
        self._parked: deque[LeasedTrial] = deque()
        self._target = 1
        self.n_lanes = 1

    @property
    def trials(self) -> list[LeasedTrial]:
        """All trials, including parked ones."""
        return list(self._trials.values())

    @property
    def n_training(self) -> int:
        """Number of trials in lanes."""
        return len(self._lanes)

    @property
    def n_claimable(self) -> int:
        """Number of further trials to claim. Starts at 1 and doubles while claimed trials keep sharing a fusion key."""
        return max(0, min(self._target, self.n_lanes) - len(self._trials))

    def n_free_within(self, seconds: float) -> int:
        """Number of lanes that will be free within this time, as far as can be foreseen."""
        return 0 if self._parked else sum(lane.seconds_left <= seconds for _, lane in self._lanes.values())

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Load a trial into a lane, or park it. Raises what is wrong with it or its data; it is then not here."""
        key = trial.key
        data = self._data_of(trial)
        if data.description:
            trial.new_user_attrs["data"] = data.description
        group = self._groups.get(key)
        if group is None or not group.lanes:
            n_lanes = self._choice.choose(trial.lease.built_in, data, max_lanes)
            if group is None or group.n_lanes != n_lanes:
                group = self._make_group(trial, data, n_lanes)
        self._adapt_target(key, group)
        self._trials[trial.lease_id] = trial
        try:
            self._load(group, trial)
        except BaseException:
            del self._trials[trial.lease_id]
            raise

    def remove(self, lease_id: str) -> LeasedTrial:
        """Take a trial out of its lane or its place in the queue. Raises KeyError."""
        trial = self._trials.pop(lease_id)
        if lease_id in self._lanes:
            group, lane = self._lanes.pop(lease_id)
            group.unload(lane)
        else:
            self._parked.remove(trial)
        return trial

    def save_state(self, trial: LeasedTrial) -> None:
        """Set `trial.state` to the state of its lane; a parked trial has its state already."""
        if trial.lease_id in self._lanes:
            group, lane = self._lanes[trial.lease_id]
            trial.state = group.state(lane)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        """Train one batch of every trial in a lane. Returns what happened."""
        events: list[FinishedEpoch | FailedTrial] = []
        for key, group in list(self._groups.items()):
            if not group.lanes:
                continue
            try:
                results = group.step()
            except Exception as error:  # noqa: BLE001 - any of its trials may be the cause
                events += self._split(key, group, error)
            else:
                events += [self._finished(group, result) for result in results]
        return events + self._unpark()

    def _data_of(self, trial: LeasedTrial) -> TrialData:
        data = self._prepare(trial.lease.built_in.dataset)
        return merge_validation_into_train(data) if trial.lease.train_on_validation else data

    def _adapt_target(self, key: str, group: LaneGroup) -> None:
        """Claim more trials if they share this group's fusion key, fewer if they do not. Drop other idle groups."""
        self.n_lanes = group.n_lanes
        is_only = all(other is group or not other.lanes for other in self._groups.values())
        if is_only or group.lanes:
            self._target = min(group.n_lanes, max(self._target, 2 * (len(group.lanes) + 1)))
        else:
            self._target = max(1, self._target // 2)
        for idle in [other for other, lanes in self._groups.items() if other != key and not lanes.lanes]:
            del self._groups[idle]

    def _make_group(self, trial: LeasedTrial, data: TrialData, n_lanes: int) -> LaneGroup:
        """A group with `n_lanes`, or with as many as fit into memory."""
        key = trial.key
        self._groups.pop(key, None)
        while True:
            try:
                self._groups[key] = self._new_group(trial.lease.built_in, data, self._device, n_lanes)
                return self._groups[key]
            except Exception as error:
                if n_lanes == 1 or not is_out_of_memory(error):
                    raise
                n_lanes = self._choice.halve(key, n_lanes)

    def _load(self, group: LaneGroup, trial: LeasedTrial) -> None:
        if group.is_full:
            self._parked.append(trial)
            return
        lane_trial = LaneTrial(trial.lease.built_in, trial.lease.seed, trial)
        try:
            lane = group.load(lane_trial, trial.state)
        except CheckpointError as error:
            logger.warning("%s: begins anew: %s", trial.title, error)
            trial.state = None
            lane = group.load(lane_trial)
        self._lanes[trial.lease_id] = group, lane

    def _finished(self, group: LaneGroup, result: EpochResult) -> FinishedEpoch | FailedTrial:
        trial: LeasedTrial = result.lane.trial.tag
        if result.trial_is_over:
            del self._lanes[trial.lease_id], self._trials[trial.lease_id]
        if result.error is not None:
            return FailedTrial(trial, result.error)
        metrics = trial.reportable_metrics(result.metrics)
        if result.final is None or result.weights is None:
            return FinishedEpoch(trial, result.epoch, metrics)
        final, weights = trial.reportable_metrics(result.final), result.weights
        if trial.lease.test:
            try:
                final |= self._test(trial.lease, group.model(weights), group.data)
            except Exception as error:  # noqa: BLE001 - whatever testing raises fails this trial
                return FailedTrial(trial, error)

        def model() -> bytes:
            return dump_model(group.state_dict(weights), describe_model(trial.lease, final, group.data))

        return FinishedEpoch(trial, result.epoch, metrics, final, model)

    def _split(self, key: str, group: LaneGroup, error: Exception) -> list[FinishedEpoch | FailedTrial]:
        """Continue with half of the trials of a group that raised an error; if it had only one, fail that."""
        trials: list[LeasedTrial] = [lane.trial.tag for lane in group.lanes]
        del self._groups[key]
        for trial in trials:
            del self._lanes[trial.lease_id]
        if len(trials) == 1 or is_device_broken(error):
            for trial in trials:
                del self._trials[trial.lease_id]
            return [FailedTrial(trial, error) for trial in trials]
        n_lanes = len(trials) // 2
        if is_out_of_memory(error):
            self._choice.halve(key, len(trials))
            logger.warning("out of memory with %d lanes: goes on with %d: %s", len(trials), n_lanes, error)
        else:
            logger.warning("%d trials could not be trained together: goes on by halves: %r", len(trials), error)
        self._parked.extendleft(reversed(trials))
        return self._regroup(trials[0], n_lanes)

    def _unpark(self) -> list[FinishedEpoch | FailedTrial]:
        """Load parked trials into free lanes, making the group of the first one again if it is gone."""
        events: list[FinishedEpoch | FailedTrial] = []
        while self._parked:
            trial = self._parked[0]
            group = self._groups.get(trial.key)
            if group is None:
                events += self._regroup(trial, None)
            elif group.is_full:
                break
            else:
                self._parked.popleft()
                events += self._load_again(group, trial)
        return events

    def _regroup(self, trial: LeasedTrial, n_lanes: int | None) -> list[FinishedEpoch | FailedTrial]:
        """Make the group of a parked trial with `n_lanes`, None for the best number. Fails the trial if that raises."""
        training = trial.lease.built_in
        try:
            data = self._data_of(trial)
            group = self._make_group(trial, data, n_lanes or self._choice.choose(training, data, len(self._parked)))
        except Exception as error:  # noqa: BLE001 - the error is this trial's own
            self._parked.remove(trial)
            del self._trials[trial.lease_id]
            return [FailedTrial(trial, error)]
        self.n_lanes = group.n_lanes
        return []

    def _load_again(self, group: LaneGroup, trial: LeasedTrial) -> list[FinishedEpoch | FailedTrial]:
        try:
            self._load(group, trial)
        except Exception as error:  # noqa: BLE001 - the error is this trial's own
            del self._trials[trial.lease_id]
            return [FailedTrial(trial, error)]
        return []

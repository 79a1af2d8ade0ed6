"""The trials in training on one device, in groups of those that train together."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from service.schemas.protocol import Lease
from service.schemas.study.data import Dataset, OwnDataset
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
    """An epoch of a trial is over; with `final` so is the trial, and `model` gives it as a file's content."""

    trial: LeasedTrial
    epoch: int
    metrics: Metrics
    final: Metrics | None = None
    model: Content | None = None


@dataclass(frozen=True)
class FailedTrial:
    """A trial cannot go on; it has left the bench."""

    trial: LeasedTrial
    error: Exception


class LaneScheduler:
    """Each trial is loaded into a lane of the group of its fusion key; `step` takes one batch of every trial.

    When training a group raises, its trials go back to where they were last kept and go on by halves, so that the one
    that cannot be trained is found alone, and what is too much for the memory together is trained one after another.
    """

    def __init__(
        self,
        prepare: Callable[[Dataset | OwnDataset], TrialData],
        device: torch.device,
        choice: LaneChoice,
        test: Test,
        new_group: NewGroup = LaneGroup,
    ) -> None:
        """`test` evaluates a model on the test split, for a lease that says so."""
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
        """All trials, parked ones included."""
        return list(self._trials.values())

    @property
    def n_training(self) -> int:
        return len(self._lanes)

    @property
    def room(self) -> int:
        """How many more trials may come: at first one, then always twice as many as turned out to train together."""
        return max(0, min(self._target, self.n_lanes) - len(self._trials))

    def n_free_within(self, seconds: float) -> int:
        """How many lanes will be free within so many seconds, as far as can be foreseen."""
        return 0 if self._parked else sum(lane.seconds_left <= seconds for _, lane in self._lanes.values())

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Load a trial. Raises what is wrong with it, or with its data; it is then not on the bench."""
        key = trial.key
        data = self._data_of(trial)
        group = self._groups.get(key)
        if group is None or not group.lanes:
            n_lanes = self._choice.choose(trial.lease.built_in, data, max_lanes)
            if group is None or group.n_lanes != n_lanes:
                group = self._make(trial, data, n_lanes)
        self._expect(key, group)
        self._trials[trial.lease_id] = trial
        try:
            self._load(group, trial)
        except BaseException:
            del self._trials[trial.lease_id]
            raise

    def remove(self, lease_id: str) -> LeasedTrial:
        """Take a trial off the bench, wherever it is."""
        trial = self._trials.pop(lease_id)
        if lease_id in self._lanes:
            group, lane = self._lanes.pop(lease_id)
            group.unload(lane)
        else:
            self._parked.remove(trial)
        return trial

    def save_state(self, trial: LeasedTrial) -> None:
        """Note where a trial is, to go on from there."""
        if trial.lease_id in self._lanes:
            group, lane = self._lanes[trial.lease_id]
            trial.state = group.state(lane)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        events: list[FinishedEpoch | FailedTrial] = []
        for key, group in list(self._groups.items()):
            if not group.lanes:
                continue
            try:
                results = group.step()
            except Exception as error:  # noqa: BLE001 - whichever of its trials it is that cannot be trained
                events += self._split(key, group, error)
            else:
                events += [self._finished(group, result) for result in results]
        return events + self._unpark()

    def _data_of(self, trial: LeasedTrial) -> TrialData:
        data = self._prepare(trial.lease.built_in.dataset)
        return merge_validation_into_train(data) if trial.lease.train_on_validation else data

    def _expect(self, key: str, group: LaneGroup) -> None:
        """Adapt to whether trials turn out to share a fusion key."""
        self.n_lanes = group.n_lanes
        alone = all(other is group or not other.lanes for other in self._groups.values())
        if alone or group.lanes:
            self._target = min(group.n_lanes, max(self._target, 2 * (len(group.lanes) + 1)))
        else:
            self._target = max(1, self._target // 2)
        for idle in [other for other, lanes in self._groups.items() if other != key and not lanes.lanes]:
            del self._groups[idle]

    def _make(self, trial: LeasedTrial, data: TrialData, n_lanes: int) -> LaneGroup:
        """A group with so many lanes, or as many as there is memory for."""
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
            except Exception as error:  # noqa: BLE001 - the trial is trained, but cannot be tested here
                return FailedTrial(trial, error)

        def model() -> bytes:
            return dump_model(group.state_dict(weights), describe_model(trial.lease, final, group.data))

        return FinishedEpoch(trial, result.epoch, metrics, final, model)

    def _split(self, key: str, group: LaneGroup, error: Exception) -> list[FinishedEpoch | FailedTrial]:
        """Go on with half of the trials of a group that raised; a single one cannot go on."""
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
        """Load parked trials into lanes that became free; for one whose group is gone, make it again."""
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
        """Make the group of a parked trial, with so many lanes or the best number; what cannot be made breaks it."""
        training = trial.lease.built_in
        try:
            data = self._data_of(trial)
            group = self._make(trial, data, n_lanes or self._choice.choose(training, data, len(self._parked)))
        except Exception as error:  # noqa: BLE001 - it is this trial that cannot be trained
            self._parked.remove(trial)
            del self._trials[trial.lease_id]
            return [FailedTrial(trial, error)]
        self.n_lanes = group.n_lanes
        return []

    def _load_again(self, group: LaneGroup, trial: LeasedTrial) -> list[FinishedEpoch | FailedTrial]:
        try:
            self._load(group, trial)
        except Exception as error:  # noqa: BLE001 - it is this trial that cannot be trained
            del self._trials[trial.lease_id]
            return [FailedTrial(trial, error)]
        return []

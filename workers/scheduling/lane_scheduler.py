"""Loads trials into the lanes of one device, and trains those that can share lanes together."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from service.schemas.protocol import Lease
from service.schemas.study.data import CustomDataset, Dataset
from workers.data.trial_data import TrialData, merge_validation_into_train
from workers.errors import CheckpointError
from workers.faults import is_device_broken, is_out_of_memory
from workers.lanes.fusion_key import shape_key
from workers.lanes.lane import Lane, LaneTrial, Metrics
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import describe_model, dump_model
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_groups import LaneGroups, NewGroup
from workers.scheduling.leased_trial import LeasedTrial
from workers.scheduling.sized_group import SizedGroup

logger = logging.getLogger("narrows.worker")

Content = Callable[[], bytes]
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
    """A `Trainer` of built-in models, with groups of lanes (see LaneGroups).

    A group begins with one lane and grows as trials come, up to the number of lanes that `choice` says. When a group
    raises an error, its trials return to their last saved state and continue in a group half as large. So the trial
    that caused the error is found, and trials that do not fit into memory together train one after another. Trials
    that wait for a lane are parked.
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
        self._test = test
        self._choice = choice
        self._groups = LaneGroups(new_group, device, choice)
        self._newest: SizedGroup | None = None
        """The group that the last trial came to."""
        self._lanes: dict[str, tuple[SizedGroup, Lane]] = {}
        self._trials: dict[str, LeasedTrial] = {}
        self._parked: deque[LeasedTrial] = deque()
        self._logged_studies: set[str] = set()
        self._padded_studies: set[str] = set()
        self._target = 1

    @property
    def n_lanes(self) -> int:
        """Number of trials to train at a time."""
        return 1 if self._newest is None else self._newest.n_lanes

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
        """Number of further trials to claim. Starts at 1 and doubles while claimed trials keep sharing a group."""
        return max(0, min(self._target, self.n_lanes) - len(self._trials))

    def n_free_within(self, seconds: float) -> int:
        """Number of lanes that will be free within this time, as far as can be foreseen."""
        return 0 if self._parked else sum(lane.seconds_left <= seconds for _, lane in self._lanes.values())

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        """Load a trial into a lane, or park it. Raises what is wrong with it or its data; it is then not here."""
        data = self._data_of(trial)
        if data.description:
            trial.new_user_attrs["data"] = data.description
        group = self._groups.find(trial)
        if group is None:
            group = self._groups.make(trial, data, max_lanes)
        elif not group.lanes:
            group.cap = None
        group.max_lanes = max_lanes
        self._adapt_target(group)
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
            group.group.unload(lane)
        else:
            self._parked.remove(trial)
        return trial

    def save_state(self, trial: LeasedTrial) -> None:
        """Set `trial.state` to the state of its lane; a parked trial has its state already."""
        if trial.lease_id in self._lanes:
            group, lane = self._lanes[trial.lease_id]
            trial.state = group.group.state(lane)

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        """Train one batch of every trial in a lane. Returns what happened."""
        events: list[FinishedEpoch | FailedTrial] = []
        for group in self._groups:
            if not group.lanes:
                continue
            try:
                results = group.step()
            except Exception as error:  # noqa: BLE001 - any of its trials may be the cause
                events += self._split(group, error)
            else:
                events += [self._finished(group, result) for result in results]
        return events + self._unpark()

    def _data_of(self, trial: LeasedTrial) -> TrialData:
        data = self._prepare(trial.lease.built_in.dataset)
        return merge_validation_into_train(data) if trial.lease.train_on_validation else data

    def _adapt_target(self, group: SizedGroup) -> None:
        """Claim more trials if they share this group, fewer if they do not. Drop other idle groups."""
        self._newest = group
        is_only = self._groups.keep_busy(group)
        if is_only or group.lanes:
            self._target = max(self._target, 2 * (len(group.lanes) + 1))
        else:
            self._target = max(1, min(self._target, group.n_lanes) // 2)

    def _load(self, group: SizedGroup, trial: LeasedTrial) -> None:
        if not group.has_room(trial.lease.built_in):
            self._parked.append(trial)
            return
        lane_trial = LaneTrial(trial.lease.built_in, trial.lease.seed, trial)
        try:
            lane = group.group.load(lane_trial, trial.state)
        except CheckpointError as error:
            logger.warning("%s: begins anew: %s", trial.title, error)
            trial.state = None
            lane = group.group.load(lane_trial)
        self._lanes[trial.lease_id] = group, lane
        self._log_padding(group, trial)

    def _finished(self, sized: SizedGroup, result: EpochResult) -> FinishedEpoch | FailedTrial:
        trial: LeasedTrial = result.lane.trial.tag
        self._log_choice(sized, trial, is_last=result.trial_is_over)
        group = sized.group
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
                final |= self._test(trial.lease, group.model(result.lane, weights), group.data)
            except Exception as error:  # noqa: BLE001 - whatever testing raises fails this trial
                return FailedTrial(trial, error)

        def model() -> bytes:
            return dump_model(result.lane.state_dict(weights), describe_model(trial.lease, final, group.data))

        return FinishedEpoch(trial, result.epoch, metrics, final, model)

    def _log_choice(self, group: SizedGroup, trial: LeasedTrial, *, is_last: bool) -> None:
        """Log the number of lanes once for each study: when it is settled, or at the end of the study's first trial."""
        study = trial.lease.study
        if self._choice.is_fixed or study in self._logged_studies or not (group.is_settled or is_last):
            return
        self._logged_studies.add(study)
        logger.info("%s: lanes of %s: %s", study, _sizes_text(group), group.text())

    def _log_padding(self, group: SizedGroup, trial: LeasedTrial) -> None:
        """Log once for each study that trials of several sizes share lanes."""
        study, sizes = trial.lease.study, {shape_key(lane.trial.training) for lane in group.lanes}
        if len(sizes) > 1 and study not in self._padded_studies:
            self._padded_studies.add(study)
            logger.info("%s: trials of several sizes train together, padded to %s", study, _sizes_text(group))

    def _split(self, group: SizedGroup, error: Exception) -> list[FinishedEpoch | FailedTrial]:
        """Continue with half of the trials of a group that raised an error; if it had only one, fail that."""
        trials: list[LeasedTrial] = [lane.trial.tag for lane in group.lanes]
        self._groups.remove(group)
        for trial in trials:
            del self._lanes[trial.lease_id]
        if len(trials) == 1 or is_device_broken(error):
            for trial in trials:
                del self._trials[trial.lease_id]
            return [FailedTrial(trial, error) for trial in trials]
        n_lanes = len(trials) // 2
        if is_out_of_memory(error):
            self._choice.limit(group.sizes.key, n_lanes)
            logger.warning("out of memory with %d lanes: goes on with %d: %s", len(trials), n_lanes, error)
        else:
            logger.warning("%d trials could not be trained together: goes on by halves: %r", len(trials), error)
        self._parked.extendleft(reversed(trials))
        return self._regroup(trials[0], group.max_lanes, n_lanes)

    def _unpark(self) -> list[FinishedEpoch | FailedTrial]:
        """Load parked trials into free lanes, making the group of the first one again if it is gone."""
        events: list[FinishedEpoch | FailedTrial] = []
        while self._parked:
            trial = self._parked[0]
            group = self._groups.find(trial)
            if group is None:
                events += self._regroup(trial, len(self._parked), None)
            elif not group.has_room(trial.lease.built_in):
                break
            else:
                self._parked.popleft()
                events += self._load_again(group, trial)
        return events

    def _regroup(self, trial: LeasedTrial, max_lanes: int | None, cap: int | None) -> list[FinishedEpoch | FailedTrial]:
        """Make the group of a parked trial again. Fails the trial if that raises an error."""
        try:
            self._newest = self._groups.make(trial, self._data_of(trial), max_lanes, cap)
        except Exception as error:  # noqa: BLE001 - the error is this trial's own
            self._parked.remove(trial)
            del self._trials[trial.lease_id]
            return [FailedTrial(trial, error)]
        return []

    def _load_again(self, group: SizedGroup, trial: LeasedTrial) -> list[FinishedEpoch | FailedTrial]:
        try:
            self._load(group, trial)
        except Exception as error:  # noqa: BLE001 - the error is this trial's own
            del self._trials[trial.lease_id]
            return [FailedTrial(trial, error)]
        return []


def _sizes_text(group: SizedGroup) -> str:
    training = group.group.training
    return f"{training.model.model_dump_json(exclude_defaults=True)}, batches of {training.batch_size}"

"""Entry point of a process that trains custom models or custom data sets with the built-in trainer."""

import sys
from functools import partial
from pathlib import Path
from typing import Never

import torch

from service.schemas.study.data import CustomDataset, Dataset
from service.schemas.study.models import CustomModel
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, prepare_data
from workers.final_test.final_trial import FinalTrial
from workers.lanes.lane_group import LaneGroup
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_scheduler import LaneScheduler
from workers.scheduling.lane_times import LaneTimes
from workers.user_process.context import Context
from workers.user_process.custom_parts.dataset import custom_trial_data, load_custom_test, load_splits
from workers.user_process.custom_parts.model import make_model
from workers.user_process.custom_parts.training_loop import TrainingLoop

SWITCH_SECONDS = 0.0005
"""Longest time that the training thread keeps the interpreter from the thread that receives commands."""


def train(context: Context, data_dir: str, download: bool, n_lanes: int | None, alone: bool) -> Never:
    """Train the trials that the worker sends, up to `n_lanes` at a time, or as many as are fastest if it is None."""
    torch.set_num_threads(1)
    # The fast path would compute evaluations differently from training, and does not work in lanes.
    torch.backends.mha.set_fastpath_enabled(False)
    sys.setswitchinterval(SWITCH_SECONDS)
    factory = SchedulerFactory(context.seed, torch.device(context.device), Path(data_dir), download)
    TrainingLoop(context.channel, partial(factory.make_scheduler, n_lanes=n_lanes, alone=alone)).run()


class SchedulerFactory:
    """Makes the scheduler of the process's fusion key, with its lane groups and its data."""

    def __init__(self, seed: int, device: torch.device, data_dir: Path, download: bool) -> None:
        """`seed` is the study's seed, which the custom data set is built with."""
        self._device = device
        self._seed = seed
        self._data_dir = data_dir
        self._download = download
        self._fuse: bool | None = None
        self._custom_data: TrialData | None = None

    def make_scheduler(
        self, training: Training, *, n_lanes: int | None, alone: bool
    ) -> tuple[LaneScheduler, str | None]:
        """A scheduler for trials like this one, and why they cannot share a step (None if they can).

        With `alone` there is one lane, and the reason is not looked for. Raises whatever building the model or the
        data set raises.
        """
        unfusable_reason = None
        if alone:
            n_lanes = 1
        else:
            unfusable_reason = self._unfusable_reason(training)
            n_lanes = n_lanes if unfusable_reason is None else 1
        choice = LaneChoice(n_lanes, LaneTimes(self._device))
        return LaneScheduler(self._data, self._device, choice, self._final_trial(), self._group), unfusable_reason

    def _data(self, dataset: Dataset | CustomDataset) -> TrialData:
        if not isinstance(dataset, CustomDataset):
            return prepare_data(dataset, self._data_dir, self._device, download=self._download)
        if self._custom_data is None:  # all trials of the process share it
            self._custom_data = custom_trial_data(load_splits(dataset, self._seed), self._device)
        return self._custom_data

    def _final_trial(self) -> FinalTrial:
        load_custom = partial(load_custom_test, seed=self._seed)
        return FinalTrial(self._device, self._data_dir, download=self._download, load_custom=load_custom)

    def _group(self, training: Training, data: TrialData, device: torch.device, n_lanes: int) -> LaneGroup:
        return LaneGroup(training, data, device, n_lanes, fuse=self._fuse, build=make_model)

    def _unfusable_reason(self, training: Training) -> str | None:
        reason = self._group(training, self._data(training.dataset), self._device, 1).unfusable_reason
        if isinstance(training.model, CustomModel):
            self._fuse = reason is None  # later groups need not check the model again
        return reason

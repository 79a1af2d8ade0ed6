"""The groups of lanes of one device, and which of them a trial trains in."""

from collections.abc import Callable, Iterator

import torch

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.lanes.lane_group import LaneGroup
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.leased_trial import LeasedTrial
from workers.scheduling.sized_group import SizedGroup

NewGroup = Callable[[Training, TrialData, torch.device, int], LaneGroup]


class LaneGroups:
    """Groups in the order in which they were made. Each trains trials of one fusion key.

    Trials of one fusion key are in one group if they have the same sizes, or if padding them is expected to be faster.
    """

    def __init__(self, new_group: NewGroup, device: torch.device, choice: LaneChoice) -> None:
        self._new_group = new_group
        self._device = device
        self._choice = choice
        self._groups: list[SizedGroup] = []

    def __iter__(self) -> Iterator[SizedGroup]:
        """Iterate over the groups that are there now. They may be removed meanwhile."""
        return iter(list(self._groups))

    def find(self, trial: LeasedTrial) -> SizedGroup | None:
        """Return the group for a trial: one of its own sizes, or that in which it costs the least.

        None if a group of its own is expected to be faster. The group may be full.
        """
        training = trial.lease.built_in
        alike = [group for group in self._groups if group.key == trial.key]
        same = next((group for group in alike if group.has_shape(training)), None)
        if same is not None:
            return same
        seconds = {group: more for group in alike if (more := group.seconds_more(training)) is not None}
        return min(seconds, key=lambda group: seconds[group], default=None)

    def make(self, trial: LeasedTrial, data: TrialData, max_lanes: int | None, cap: int | None = None) -> SizedGroup:
        """Make a group for a trial, with one lane. Raises ModelError and PrecisionError."""
        group = self._new_group(trial.lease.built_in, data, self._device, 1)
        sized = SizedGroup(group, trial.key, self._choice, self._device, max_lanes=max_lanes, cap=cap)
        self._groups.append(sized)
        return sized

    def remove(self, group: SizedGroup) -> None:
        """Forget a group."""
        self._groups.remove(group)

    def keep_busy(self, newest: SizedGroup) -> bool:
        """Forget every group without trials but the newest. Returns whether the newest is the only one left."""
        self._groups = [group for group in self._groups if group is newest or group.lanes]
        return len(self._groups) == 1

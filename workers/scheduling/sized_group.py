"""A group of lanes that grows as trials come, and times its steps to find out how many lanes are fastest."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from service.schemas.study.training import Training
from workers.faults import is_out_of_memory
from workers.lanes.fusion_key import same_sizes, shape_key
from workers.lanes.lane import Lane
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.step_cost import Shape, mlp_shape, padded, shape_of


class Sizes(NamedTuple):
    """The sizes of a group's tensors: their key, and what a step of them costs by."""

    key: str
    shape: Shape


class SizedGroup:
    """A `LaneGroup` with the number of lanes that `choice` says, which may change at any step."""

    def __init__(
        self,
        group: LaneGroup,
        key: str,
        choice: LaneChoice,
        device: torch.device,
        *,
        max_lanes: int | None,
        cap: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`key` is that of its trials, `max_lanes` is what the study allows, `cap` a limit until it has no trial."""
        self.group = group
        self.key = key
        self.max_lanes = max_lanes
        self.cap = cap
        self._choice = choice
        self._device = device
        self._clock = clock
        self._known = group.training, self._new_sizes(group.training, group.n_parameters)
        if not group.fuses and not choice.is_fixed:
            choice.limit(self.sizes.key, 1)

    @property
    def lanes(self) -> list[Lane]:
        """The lanes with a trial."""
        return self.group.lanes

    @property
    def sizes(self) -> Sizes:
        """The sizes of the tensors."""
        training, sizes = self._known
        if training is not self.group.training:
            sizes = self._new_sizes(self.group.training, self.group.n_parameters)
            self._known = self.group.training, sizes
        return Sizes(sizes.key, padded(sizes.shape)) if self.is_padded else sizes

    @property
    def n_lanes(self) -> int:
        """How many trials are to train at a time."""
        return self._n_lanes(self.sizes, is_padded=self.is_padded)

    @property
    def is_padded(self) -> bool:
        """Whether a lane has other sizes than the tensors."""
        return not all(same_sizes(lane.trial.training, self.group.training) for lane in self.lanes)

    @property
    def is_settled(self) -> bool:
        """Whether as many trials train as are to, and their best number is found."""
        n_loaded = len(self.lanes)
        return n_loaded >= self.n_lanes and self._choice.is_settled(self.sizes.shape, n_loaded)

    def has_shape(self, training: Training) -> bool:
        """Whether a trial has just the sizes of the tensors."""
        return shape_key(training) == self.sizes.key

    def seconds_more(self, training: Training) -> float | None:
        """Seconds by which another trial makes a step longer, expected; None if it had better not train in this group.

        That is so for a trial of other sizes if padding is not possible, or slower than a group of its own.
        """
        if not (self.lanes and self.group.pads):
            return None
        data, n_loaded, joined = self.group.data, len(self.lanes), self._sizes_with(training)
        apart = [(mlp_shape(lane.trial.training, data), 1) for lane in self.lanes]
        apart = [*(apart if self.is_padded else [(self.sizes.shape, n_loaded)]), (mlp_shape(training, data), 1)]
        if not self._choice.is_faster(*joined, n_loaded + 1, apart, self.max_lanes):
            return None
        return self._choice.seconds(joined.shape, n_loaded + 1) - self._choice.seconds(self.sizes.shape, n_loaded)

    def has_room(self, training: Training) -> bool:
        """Whether another trial can be loaded. Allocates the memory for it."""
        sizes = self.sizes if self.has_shape(training) else self._sizes_with(training)
        is_padded = bool(self.lanes) and (self.is_padded or sizes != self.sizes)
        n_lanes = self._n_lanes(sizes, is_padded=is_padded)
        if len(self.lanes) < n_lanes and sizes != self.sizes and not self._fits(training, sizes):
            return not self.lanes  # loading a single trial raises the error again, which is the trial's own
        while len(self.lanes) < n_lanes and self.group.is_full:
            try:
                self.group.grow(n_lanes)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._choice.limit(sizes.key, max(self.group.n_lanes, n_lanes // 2))
                n_lanes = self._n_lanes(sizes, is_padded=is_padded)
        return len(self.lanes) < n_lanes

    def _fits(self, training: Training, sizes: Sizes) -> bool:
        """Give the tensors the sizes for another trial; False if there is no memory for them."""
        try:
            self.group.fit(training)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._choice.limit(sizes.key, len(self.lanes))
            return False
        return True

    def step(self) -> list[EpochResult]:
        """Train one batch of every lane. Returns the epochs that ended."""
        n_loaded, shape = len(self.lanes), self.sizes.shape
        n_together = self._choice.n_together(shape, n_loaded)
        is_timed = self._choice.is_fixed or (self._device.type == "cuda" and self._choice.is_timed(shape, n_together))
        started_at = self._clock()
        results = self.group.step(n_together)
        if not is_timed:
            if self._device.type == "cuda":  # the step has only been handed to the device
                torch.cuda.synchronize(self._device)
            self._choice.note(shape, n_together, n_loaded, self._clock() - started_at)
        return results

    def text(self) -> str:
        """How many lanes were chosen, and why."""
        return self._choice.text(*self.sizes, self.max_lanes)

    def _n_lanes(self, sizes: Sizes, *, is_padded: bool) -> int:
        n_lanes = self._choice.n_lanes(*sizes, self.max_lanes, is_padded=is_padded)
        return n_lanes if self.cap is None else min(n_lanes, self.cap)

    def _sizes_with(self, training: Training) -> Sizes:
        fitted = self.group.fitted(training)
        return Sizes(shape_key(fitted), mlp_shape(fitted, self.group.data, is_padded=bool(self.lanes)))

    def _new_sizes(self, training: Training, n_parameters: int) -> Sizes:
        return Sizes(shape_key(training), shape_of(training, self.group.data, n_parameters))

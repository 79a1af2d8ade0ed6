"""Trials that train together, as slices of the same tensors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import nn

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.errors import DivergedError
from workers.lanes.engine import Engine
from workers.lanes.fusion_key import fusion_key
from workers.lanes.lane import Lane, LaneTrial, Metrics, Weights
from workers.lanes.lane_state import LaneState, capture, restore
from workers.models.build import model_for
from workers.models.layers import NEAR_ZERO
from workers.training.denormals import flushed_denormals
from workers.training.randomness import Purpose, derive_seed, own_global_generators, seed_global_generators

Build = Callable[[Training, TrialData], nn.Module]


@dataclass(frozen=True)
class EpochResult:
    """An epoch of a lane is over, with EPOCH_METRICS. With `final` or `error` so is its trial, and the lane is free.

    The final metrics are those of the last epoch, or with early stopping of the best, and FINAL_METRICS without
    waiting_seconds; `weights` are what they belong to. The error is a DivergedError.
    """

    lane: Lane
    epoch: int
    metrics: Metrics
    final: Metrics | None = None
    weights: Weights | None = None
    error: DivergedError | None = None

    @property
    def trial_is_over(self) -> bool:
        return self.final is not None or self.error is not None


class LaneGroup:
    """Trains up to `n_lanes` trials of one fusion key, each as if it were alone.

        lane = group.load(Trial(training, seed, tag))   # between any two steps
        for result in group.step():                     # one batch of every lane; the epochs that ended with it
            ...
        group.unload(lane)                              # between any two steps

    No lane waits for another: each is at its own place in its own epoch, and a trial may begin at any step.
    Neighbours whose next batches have one size take the step together; only where some come to a smaller last batch
    while others do not, a step falls into several. Trials lie at the front of the tensors: the last one moves into
    the gap that another leaves, so that a group with few trials left is as fast as a small one.
    """

    def __init__(
        self,
        training: Training,
        data: TrialData,
        device: torch.device,
        n_lanes: int,
        *,
        dtype: torch.dtype = torch.float32,
        fuse: bool | None = None,
        build: Build = model_for,
    ) -> None:
        """`fuse` overrides whether a step takes lanes together; `build` makes the model, from the global generators.

        Raises ModelError and PrecisionError.
        """
        self._build = build
        self.key = fusion_key(training)
        self.n_lanes = n_lanes
        self.lanes: list[Lane] = []
        self.data = data
        self._training, self._device = training, device
        self._engine = Engine(self._new_model(0), training, data, n_lanes, device, dtype, fuse=fuse)

    @property
    def fuses(self) -> bool:
        """Whether a step takes several lanes together; where it takes them one by one, one lane is as fast as many."""
        return self._engine.network.fuses

    @property
    def unfusable_reason(self) -> str | None:
        """Why trials of this kind have to train one at a time, in one line; None when they need not."""
        return self._engine.network.unfusable_reason

    @property
    def is_full(self) -> bool:
        return len(self.lanes) == self.n_lanes

    def load(self, trial: LaneTrial, state: LaneState | None = None) -> Lane:
        """Begin a trial, or go on with one.

        Raises ModelError and CheckpointError, and ValueError for another fusion key or a full group.
        """
        if self.is_full:
            raise ValueError(f"a group must have a free lane: all {self.n_lanes} are taken")
        if fusion_key(trial.training) != self.key:
            raise ValueError(f"trials of a group must share a fusion key: {fusion_key(trial.training)}, not {self.key}")
        lane = Lane(trial, self.data, self._engine.has_batch_norm, self._engine.n_own_dropouts)
        memory = self._engine.memory(len(self.lanes))
        if state is None:
            for tensor in memory.values():
                tensor.zero_()
            self._engine.rows.layout.read(self._new_model(trial.seed), memory)
        else:
            restore(state, lane, memory)
        self.lanes.append(lane)
        self._engine.set_lanes(self.lanes)
        return lane

    def unload(self, lane: Lane) -> None:
        """Drop a trial; the last one takes its place."""
        place, last = self.lanes.index(lane), len(self.lanes) - 1
        if place != last:
            source = self._engine.memory(last)
            for name, tensor in self._engine.memory(place).items():
                tensor.copy_(source[name])
            self.lanes[place] = self.lanes[last]
        self.lanes.pop()
        self._engine.set_lanes(self.lanes)

    def state(self, lane: Lane) -> LaneState:
        """All that `load` needs to go on from here, between two steps."""
        return capture(lane, self._engine.memory(self.lanes.index(lane)))

    @flushed_denormals()
    def step(self) -> list[EpochResult]:
        """Train the next batch of every lane, and validate those whose epoch is over with it."""
        for places in self._neighbours([len(lane.rows[lane.batch]) for lane in self.lanes]):
            self._engine.train(places, self.lanes[places])
        for lane in self.lanes:
            lane.batch += 1
        over = [lane.epoch_is_over for lane in self.lanes]
        if not any(over):
            return []
        results = [
            result for places in self._neighbours(over) if over[places.start] for result in self._end_epoch(places)
        ]
        for result in results:
            if result.trial_is_over:
                self.unload(result.lane)
        return results

    def model(self, weights: Weights) -> nn.Module:
        """The model of a trial that is over, by its weights."""
        model = self._new_model(0).to(self._device)
        self._engine.rows.layout.write(model, weights)
        return model.eval()

    def state_dict(self, weights: Weights) -> Weights:
        """The same by the names that torch gives to the tensors of the model; safe for another thread."""
        return self._engine.rows.layout.state_dict(weights)

    def _new_model(self, seed: int) -> nn.Module:
        """Freshly initialized. Without dropout and noise, of which the lanes take care."""
        with own_global_generators(self._device):
            seed_global_generators(derive_seed(seed, Purpose.INITIALIZATION), self._device)
            return self._build(self._training, self.data)

    def _neighbours(self, values: Sequence[object]) -> Iterator[slice]:
        """The stretches of lanes with equal values, as far as the network takes several at once."""
        start = 0
        for _, stretch in groupby(values):
            stop = start + len(list(stretch))
            size = stop - start if self._engine.network.fuses else 1
            yield from (slice(first, first + size) for first in range(start, stop, size))
            start = stop

    def _end_epoch(self, places: slice) -> list[EpochResult]:
        lanes = self.lanes[places]
        figures = self._engine.validate(places, [lane.n_images for lane in lanes])
        return [self._result(places.start + i, lane, figures[i]) for i, lane in enumerate(lanes)]

    def _result(self, place: int, lane: Lane, figures: Sequence[float]) -> EpochResult:
        epoch = lane.epoch
        try:
            is_best = lane.note(figures)
        except DivergedError as error:
            return EpochResult(lane, epoch, lane.metrics, error=error)
        stopping = lane.trial.training.early_stopping is not None
        if (is_best and stopping) or (lane.is_done and not stopping):
            weights = {name: tensor.clone() for name, tensor in self._engine.rows.lane(place).items()}
            lane.kept = lane.metrics, weights
        if lane.is_done and lane.kept:
            metrics, weights = lane.kept
            final = metrics | self._final_metrics(lane, metrics, weights)
            return EpochResult(lane, epoch, lane.metrics, final, weights)
        lane.epoch += 1
        lane.begin_epoch()
        return EpochResult(lane, epoch, lane.metrics)

    def _final_metrics(self, lane: Lane, metrics: Metrics, weights: Weights) -> Metrics:
        sizes = weights["values"][self._engine.rows.is_weight].abs()
        return {
            "best_epoch": lane.best.epoch,
            "generalization_gap": metrics["train_accuracy"] - metrics["validation_accuracy"],
            "n_parameters": self._engine.rows.layout.n_parameters,
            "n_near_zero_weights": int((sizes < NEAR_ZERO).sum()),
            "training_seconds": lane.training_seconds,
        }

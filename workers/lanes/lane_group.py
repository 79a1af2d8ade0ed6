"""A group of trials that train together, as slices of the same tensors."""

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
from workers.lanes.lane_state import LaneState, capture_lane, restore_lane
from workers.models.build import model_for
from workers.models.layers import NEAR_ZERO
from workers.training.denormals import flushed_denormals
from workers.training.randomness import Purpose, derive_seed, preserved_global_generators, seed_global_generators

Build = Callable[[Training, TrialData], nn.Module]


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch of one lane. If `final` or `error` is set, the trial is over and its lane is free."""

    lane: Lane
    epoch: int
    metrics: Metrics
    """EPOCH_METRICS of this epoch."""
    final: Metrics | None = None
    """EPOCH_METRICS of the last epoch (of the best one with early stopping), and FINAL_METRICS but waiting_seconds."""
    weights: Weights | None = None
    """The weights that the final metrics belong to."""
    error: DivergedError | None = None

    @property
    def trial_is_over(self) -> bool:
        """Whether the trial has ended with this epoch, completed or diverged."""
        return self.final is not None or self.error is not None


class LaneGroup:
    """Trains up to `n_lanes` trials of one fusion key. Each trial gets the numbers that it would get alone.

        lane = group.load(LaneTrial(training, seed, tag))   # between any two steps
        for result in group.step():                         # trains one batch of every lane; yields the ended epochs
            ...
        group.unload(lane)                                  # between any two steps

    No lane waits for another: each has its own position in its own epoch, and a trial may start at any step.
    Neighbouring lanes whose next batches have the same size take the step together. A step is split only when some
    lanes reach a smaller last batch while others do not. Trials occupy the front of the tensors: the last one moves
    into the gap that another leaves, so a group with few trials left is as fast as a small group.
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
        """Allocate the tensors of `n_lanes` lanes.

        `fuse` says whether a step takes several lanes together; None lets the model and the device decide. `build`
        returns a model whose weights are drawn from torch's global generators. Raises ModelError and PrecisionError.
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
        """Whether a step takes several lanes together. If not, many lanes are no faster than one."""
        return self._engine.network.fuses

    @property
    def unfusable_reason(self) -> str | None:
        """Why trials of this kind must train one at a time, in one line; None if they can train together."""
        return self._engine.network.unfusable_reason

    @property
    def is_full(self) -> bool:
        """Whether every lane has a trial."""
        return len(self.lanes) == self.n_lanes

    def load(self, trial: LaneTrial, state: LaneState | None = None) -> Lane:
        """Start a trial, or continue one from `state`, and return its lane.

        Raises ModelError and CheckpointError, and ValueError for another fusion key or a full group.
        """
        if self.is_full:
            raise ValueError(f"a group must have a free lane: all {self.n_lanes} are taken")
        if fusion_key(trial.training) != self.key:
            raise ValueError(f"trials of a group must share a fusion key: {fusion_key(trial.training)}, not {self.key}")
        lane = Lane(trial, self.data, self._engine.drops_single, self._engine.n_custom_dropouts)
        lane_tensors = self._engine.lane_tensors(len(self.lanes))
        if state is None:
            for tensor in lane_tensors.values():
                tensor.zero_()
            self._engine.rows.layout.read(self._new_model(trial.seed), lane_tensors)
        else:
            restore_lane(state, lane, lane_tensors)
        self.lanes.append(lane)
        self._engine.set_lanes(self.lanes)
        return lane

    def unload(self, lane: Lane) -> None:
        """Remove a trial. The last trial moves into its place in the tensors."""
        index, last = self.lanes.index(lane), len(self.lanes) - 1
        if index != last:
            source = self._engine.lane_tensors(last)
            for name, tensor in self._engine.lane_tensors(index).items():
                tensor.copy_(source[name])
            self.lanes[index] = self.lanes[last]
        self.lanes.pop()
        self._engine.set_lanes(self.lanes)

    def state(self, lane: Lane) -> LaneState:
        """Return a copy of all that `load` needs to continue this trial. Call it between two steps."""
        return capture_lane(lane, self._engine.lane_tensors(self.lanes.index(lane)))

    @flushed_denormals()
    def step(self) -> list[EpochResult]:
        """Train the next batch of every lane, then validate the lanes whose epoch ended with it.

        Returns one result for each of these lanes. Trials that are over are unloaded.
        """
        for span in self._spans([len(lane.rows[lane.batch]) for lane in self.lanes]):
            self._engine.train(span, self.lanes[span])
        for lane in self.lanes:
            lane.batch += 1
        over = [lane.epoch_is_over for lane in self.lanes]
        if not any(over):
            return []
        results = [result for span in self._spans(over) if over[span.start] for result in self._end_epoch(span)]
        for result in results:
            if result.trial_is_over:
                self.unload(result.lane)
        return results

    def model(self, weights: Weights) -> nn.Module:
        """Return a model with the weights of a trial that is over, in evaluation mode, on the group's device."""
        model = self._new_model(0).to(self._device)
        self._engine.rows.layout.write(model, weights)
        return model.eval()

    def state_dict(self, weights: Weights) -> Weights:
        """Return the weights under the names of torch's `state_dict`. Other threads may call this."""
        return self._engine.rows.layout.state_dict(weights)

    def _new_model(self, seed: int) -> nn.Module:
        """A freshly initialized model. Built-in models have no dropout and noise here: the lanes apply them."""
        with preserved_global_generators(self._device):
            seed_global_generators(derive_seed(seed, Purpose.INITIALIZATION), self._device)
            return self._build(self._training, self.data)

    def _spans(self, values: Sequence[object]) -> Iterator[slice]:
        """Spans of neighbouring lanes with equal values; of one lane each if the network takes lanes one by one."""
        start = 0
        for _, equal in groupby(values):
            stop = start + len(list(equal))
            size = stop - start if self._engine.network.fuses else 1
            yield from (slice(first, first + size) for first in range(start, stop, size))
            start = stop

    def _end_epoch(self, span: slice) -> list[EpochResult]:
        lanes = self.lanes[span]
        figures = self._engine.validate(span, [lane.n_images for lane in lanes])
        return [self._result(span.start + i, lane, figures[i]) for i, lane in enumerate(lanes)]

    def _result(self, index: int, lane: Lane, figures: Sequence[float]) -> EpochResult:
        epoch = lane.epoch
        try:
            is_best = lane.record_epoch(figures)
        except DivergedError as error:
            return EpochResult(lane, epoch, lane.metrics, error=error)
        stopping = lane.trial.training.early_stopping is not None
        if (is_best and stopping) or (lane.is_done and not stopping):
            weights = {name: tensor.clone() for name, tensor in self._engine.rows.lane(index).items()}
            lane.selected = lane.metrics, weights
        if lane.is_done and lane.selected:
            metrics, weights = lane.selected
            final = metrics | self._final_metrics(lane, metrics, weights)
            return EpochResult(lane, epoch, lane.metrics, final, weights)
        lane.epoch += 1
        lane.start_epoch()
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

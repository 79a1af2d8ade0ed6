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
from workers.lanes.fusion_key import fusion_key, hidden_widths, same_sizes, shape_key, widest
from workers.lanes.lane import Lane, LaneTrial, Metrics, Weights
from workers.lanes.lane_shape import Cut, LaneShape
from workers.lanes.lane_state import LaneState, capture_lane, restore_lane
from workers.lanes.layout import Layout
from workers.lanes.noise_points import find_noise_points
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

    Lanes of an mlp may differ in their widths and batch sizes. The tensors then have the sizes of the largest, and the
    lanes take every step together. They change their sizes when a trial comes that is larger, or after larger ones.
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
        self.n_lanes = n_lanes
        self.lanes: list[Lane] = []
        self.data = data
        self._n_together = n_lanes
        self.training = training
        """Settings with the sizes of the tensors."""
        self._device, self._dtype = device, dtype
        self._engine = Engine(self._new_model(training, 0), training, data, n_lanes, device, dtype, fuse=fuse)
        self._key_of = fusion_key if self.pads else shape_key
        self.key = self._key_of(training)
        self._shapes: dict[tuple[int, ...], LaneShape] = {}
        """Shapes of narrower lanes, by the widths of their hidden layers."""

    @property
    def fuses(self) -> bool:
        """Whether a step takes several lanes together. If not, many lanes are no faster than one."""
        return self._engine.network.fuses

    @property
    def pads(self) -> bool:
        """Whether lanes may differ in their sizes."""
        return self._engine.network.pads

    @property
    def unfusable_reason(self) -> str | None:
        """Why trials of this kind must train one at a time, in one line; None if they can train together."""
        return self._engine.network.unfusable_reason

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters of one lane, those that fill up a narrower one included."""
        return self._engine.rows.layout.n_parameters

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
        key = self._key_of(trial.training)
        if key != self.key:
            raise ValueError(f"trials of a group must share a fusion key: {key}, not {self.key}")
        self.fit(trial.training)
        model = self._new_model(trial.training, trial.seed) if state is None else None
        shape = self._shape_of(trial.training, model)
        lane = Lane(trial, self.data, shape, self._engine.drops_single, self._engine.n_custom_dropouts)
        cut, lane_tensors = self._cut(lane), self._engine.lane_tensors(len(self.lanes))
        own = cut.take(lane_tensors)
        if state is not None:
            restore_lane(state, lane, own)
        elif model is not None:
            for tensor in own.values():
                tensor.zero_()
            shape.layout.read(model, own)
        if not cut.is_whole:
            cut.put(own, lane_tensors)
        self.lanes.append(lane)
        self._engine.set_lanes(self.lanes)
        return lane

    def fit(self, training: Training) -> None:
        """Give the tensors the sizes of the largest of a new trial and the loaded ones. Call it between two steps.

        If allocating raises an error, the group is as before.
        """
        needed = self.fitted(training)
        if self.pads and not same_sizes(needed, self.training):
            self._resize(self.n_lanes, needed)

    def fitted(self, training: Training) -> Training:
        """Return settings with the sizes that the tensors get for a new trial. It shares the group's fusion key."""
        return widest([training, *(lane.trial.training for lane in self.lanes)])

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

    def grow(self, n_lanes: int) -> None:
        """Have `n_lanes` lanes, at least as many as before; trials continue in theirs. Call it between two steps.

        If allocating raises an error, the group is as before.
        """
        self._resize(n_lanes, self.training)

    def _resize(self, n_lanes: int, training: Training) -> None:
        model, fuses = self._new_model(training, 0), self.fuses
        engine = Engine(model, training, self.data, n_lanes, self._device, self._dtype, fuse=fuses)
        for index, lane in enumerate(self.lanes):
            own = self._cut(lane).take(self._engine.lane_tensors(index))
            Cut(lane.shape.layout, engine.rows.layout).put(own, engine.lane_tensors(index))
        engine.set_lanes(self.lanes)
        self._engine, self.n_lanes, self.training = engine, n_lanes, training

    def _shape_of(self, training: Training, model: nn.Module | None) -> LaneShape:
        """The shape of a trial's own model, of which `model` may be one."""
        widths = tuple(hidden_widths(training))
        if list(widths) == hidden_widths(self.training):
            return self._engine.shape
        if widths not in self._shapes:
            model = model or self._new_model(training, 0)
            self._shapes[widths] = LaneShape(Layout(model), find_noise_points(model, self.data.images[:1]))
        return self._shapes[widths]

    def _cut(self, lane: Lane) -> Cut:
        return Cut(lane.shape.layout, self._engine.rows.layout)

    def state(self, lane: Lane) -> LaneState:
        """Return a copy of all that `load` needs to continue this trial. Call it between two steps."""
        return capture_lane(lane, self._cut(lane).take(self._engine.lane_tensors(self.lanes.index(lane))))

    @flushed_denormals()
    def step(self, n_together: int | None = None) -> list[EpochResult]:
        """Train the next batch of every lane, then validate the lanes whose epoch ended with it.

        At most `n_together` lanes are computed at a time; None for as many as can be. That changes no result. Returns
        one result for each lane whose epoch ended. Trials that are over are unloaded.
        """
        self._n_together = n_together or self.n_lanes
        for span in self._spans(self._batch_sizes()):
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

    def model(self, lane: Lane, weights: Weights) -> nn.Module:
        """Return a model with the weights of a trial that is over, in evaluation mode, on the group's device."""
        model = self._new_model(lane.trial.training, 0).to(self._device)
        lane.shape.layout.write(model, weights)
        return model.eval()

    def _batch_sizes(self) -> list[int]:
        """Size that each lane's next batch is given: its own, or the largest one if the trials' batch sizes differ."""
        if len({lane.trial.training.batch_size for lane in self.lanes}) > 1:
            return [self.training.batch_size] * len(self.lanes)
        return [len(lane.rows[lane.batch]) for lane in self.lanes]

    def _new_model(self, training: Training, seed: int) -> nn.Module:
        """A freshly initialized model. Built-in models have no dropout and noise here: the lanes apply them."""
        with preserved_global_generators(self._device):
            seed_global_generators(derive_seed(seed, Purpose.INITIALIZATION), self._device)
            return self._build(training, self.data)

    def _spans(self, values: Sequence[object]) -> Iterator[slice]:
        """Spans of neighbouring lanes with equal values, of as many lanes as are computed at a time."""
        start = 0
        for _, equal in groupby(values):
            stop = start + len(list(equal))
            size = self._n_together if self.fuses else 1
            yield from (slice(first, min(first + size, stop)) for first in range(start, stop, size))
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
            weights = {n: tensor.clone() for n, tensor in self._cut(lane).take(self._engine.rows.lane(index)).items()}
            lane.selected = lane.metrics, weights
        if lane.is_done and lane.selected:
            metrics, weights = lane.selected
            final = metrics | self._final_metrics(lane, metrics, weights)
            return EpochResult(lane, epoch, lane.metrics, final, weights)
        lane.epoch += 1
        lane.start_epoch()
        return EpochResult(lane, epoch, lane.metrics)

    def _final_metrics(self, lane: Lane, metrics: Metrics, weights: Weights) -> Metrics:
        layout = lane.shape.layout
        sizes = weights["values"][layout.is_weight.to(self._device)].abs()
        return {
            "best_epoch": lane.best.epoch,
            "generalization_gap": metrics["train_accuracy"] - metrics["validation_accuracy"],
            "n_parameters": layout.n_parameters,
            "n_near_zero_weights": int((sizes < NEAR_ZERO).sum()),
            "training_seconds": lane.training_seconds,
        }

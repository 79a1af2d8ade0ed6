"""The tensors of all lanes, and a training step or validation of several neighbouring lanes at once."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from service.schemas.study.models import CustomModel
from service.schemas.study.training import Training
from workers.data.augmentation import draw_changes, parts_of
from workers.data.batches import make_batches
from workers.data.trial_data import TrialData
from workers.lanes.evaluation import evaluate_lanes
from workers.lanes.lane import Lane
from workers.lanes.lane_shape import LaneShape
from workers.lanes.loss import cross_entropy
from workers.lanes.networks.network import make_network
from workers.lanes.networks.vmapped_dropout import dropout_layers
from workers.lanes.noise_points import find_noise_points, input_noise_point
from workers.lanes.padding import Padding, fill_up, own_rows, own_units
from workers.lanes.penalties import add_l1_gradient, clip_gradient_norms
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.optimizers import make_optimizer
from workers.training.randomness import preserved_global_generators


class Engine:
    """The tensors of `n_lanes` lanes. A `span` is a slice of the lane dimension; `lanes` are its trials, in order.

    They have the sizes of `model` and `training`, which lanes with smaller models and batches do not fill.
    No operation mixes the numbers of two lanes, so a lane that is no longer finite harms no other.
    """

    def __init__(
        self,
        model: nn.Module,
        training: Training,
        data: TrialData,
        n_lanes: int,
        device: torch.device,
        dtype: torch.dtype,
        *,
        fuse: bool | None,
    ) -> None:
        is_custom = isinstance(training.model, CustomModel)
        self.n_custom_dropouts = len(dropout_layers(model)) if is_custom else 0
        self.rows = Rows(model, n_lanes, device, dtype, is_custom=is_custom)
        self._data = data
        self._image_shape = data.images.shape[1:]
        self._images = make_batches(data, dtype)
        self.drops_single = any(isinstance(module, _BatchNorm) for module in model.modules())
        if is_custom and len(data.train) % training.batch_size == 1:
            self.drops_single = self.drops_single or fails_with_one(model, self._sample(2).cpu())
        self.network = make_network(model, training, self.rows, device, self._sample, fuse=fuse)
        self._optimizer = make_optimizer(training.optimizer, self.rows.values, self.rows.gradient)
        points = [input_noise_point(data.images)] if is_custom else find_noise_points(model, data.images[:1])
        self.shape = LaneShape(self.rows.layout, points)
        images_last = not self.network.batch_first
        self._masks = RandomMasks(points, n_lanes, training.batch_size, self.rows.values, images_last=images_last)
        self._units: list[Tensor] | None = None
        self._loss = torch.zeros(n_lanes, dtype=torch.float64, device=device)
        self._n_correct = torch.zeros_like(self._loss)

    def _sample(self, n: int) -> Tensor:
        """Load the first `n` training inputs, repeated if there are fewer."""
        rows = self._data.train[torch.arange(n, device=self._data.train.device) % len(self._data.train)]
        return self._images.load(rows).clone()

    def lane_tensors(self, index: int) -> dict[str, Tensor]:
        """Return all tensors of one lane as views: weights, buffers, optimizer state and the sums of its epoch."""
        sums = {"loss": self._loss, "n_correct": self._n_correct}
        columns = {f"optimizer.{name}": tensor for name, tensor in self._optimizer.state.items()} | sums
        return self.rows.lane(index) | {name: tensor[index] for name, tensor in columns.items()}

    def set_lanes(self, lanes: Sequence[Lane]) -> None:
        """Apply the settings of the trials in lanes 0, 1, …. Must be called whenever a trial comes, goes or moves."""
        trainings = [lane.trial.training for lane in lanes]
        self._optimizer.set_lanes(trainings)
        points = [lane.shape.points for lane in lanes]
        self._masks.set_rates([lane.rates for lane in lanes], points)
        self._units = own_units(points, self.shape.points, self.rows.values)
        self._parts = frozenset().union(*(parts_of(training.dataset.augment) for training in trainings))
        self._smoothing = self._column([training.label_smoothing for training in trainings], unused=0.0)
        self._l1_decay = self._column([training.l1_decay for training in trainings], unused=0.0)
        self._limits = self._column([training.gradient_clip or torch.inf for training in trainings], unused=torch.inf)

    def _column(self, values: list[float], unused: float) -> Tensor | None:
        """The values as a tensor, [lanes]; None if every lane has the unused value."""
        used = any(value != unused for value in values)
        return torch.tensor(values).to(self.rows.values) if used else None

    def train(self, span: slice, lanes: Sequence[Lane]) -> None:
        """Train the next batch of each lane. Batches of different sizes need a network that pads."""
        with self._no_graph():
            self._train(span, lanes)

    def _train(self, span: slice, lanes: Sequence[Lane]) -> None:
        sizes = [len(lane.rows[lane.batch]) for lane in lanes]
        rows = torch.stack([fill_up(lane.rows[lane.batch], max(sizes)) for lane in lanes])  # [lanes, batch]
        padding = self._padding(span, sizes)
        self._masks.draw(span, [lane.generator for lane in lanes], rows.shape[1], sizes)
        self._masks.custom_rates = [lane.custom_rates for lane in lanes]
        self._masks.step_seeds = lambda: [lane.step_seed for lane in lanes]
        logits = self.network.forward(span, self._load(lanes, rows), self._masks, padding)
        labels = self._data.labels.index_select(0, rows.flatten()).view(rows.shape)
        loss, n_correct, gradient = cross_entropy(logits, labels, _part(self._smoothing, span), padding.rows)
        self.network.backward(gradient)
        self._penalize(span)
        self._optimizer.step(span, [lane.learning_rates[lane.batch] for lane in lanes])
        if padding.rows is None:
            self._loss[span].add_(loss, alpha=rows.shape[1])
        else:
            self._loss[span].addcmul_(loss.double(), padding.rows.counts.flatten().double())
        self._n_correct[span].add_(n_correct)

    def _padding(self, span: slice, sizes: Sequence[int]) -> Padding:
        units = None if self._units is None else [units[span] for units in self._units]
        return Padding(own_rows(sizes, self.rows.values), units)

    def _load(self, lanes: Sequence[Lane], rows: Tensor) -> Tensor:
        """Network inputs of `rows`, [lanes, batch]: normalized, augmented, with input noise and dropout."""
        lanes_last = self.network.batch_first
        changes = self._changes(lanes, rows.shape[1])
        if lanes_last:
            rows, changes = rows.mT, changes if changes is None else changes.mT
        flat_changes = None if changes is None else changes.flatten(1)
        images = self._images.load(rows.flatten(), flat_changes, self._parts).view(*rows.shape, *self._image_shape)
        by_lane = images.transpose(0, 1) if lanes_last else images
        noise, mask = self._masks.noise(0), self._masks.mask(0)
        if noise is not None:
            by_lane.add_(noise.view(by_lane.shape))
        if mask is not None:
            by_lane.mul_(mask.view(by_lane.shape))
        return images

    def _changes(self, lanes: Sequence[Lane], n_images: int) -> Tensor | None:
        """Augmentations of the next batches, int64 [5, lanes, n_images]; None if no lane augments."""
        if not self._parts:
            return None
        none = draw_changes("none", n_images, self._image_shape, torch.Generator()).to(self._loss.device)
        drawn = [fill_up(lane.changes[lane.batch], n_images) if lane.changes else none for lane in lanes]
        return torch.stack(drawn, 1)

    def _penalize(self, span: slice) -> None:
        gradient = self.rows.gradient[span]
        if self._l1_decay is not None:
            add_l1_gradient(gradient, self.rows.values[span], self.rows.is_weight, self._l1_decay[span])
        if self._limits is not None:
            clip_gradient_norms(gradient, self._limits[span])

    def validate(self, span: slice, n_images: Sequence[int]) -> list[list[float]]:
        """Return train loss, train accuracy, validation loss and validation accuracy of each lane.

        The training figures are means over the `n_images` of each lane that were trained since its last validation.
        """
        with self._no_graph():
            sums = torch.stack([self._loss[span], self._n_correct[span]], 1)
            self._loss[span] = 0
            self._n_correct[span] = 0
            trained = sums / torch.tensor(n_images, device=sums.device).unsqueeze(1)
            validated = torch.stack(evaluate_lanes(self.network, span, self._data, self._images), 1)
            values: list[list[float]] = torch.cat([trained, validated], 1).tolist()  # the only wait for the device
            return values

    def _no_graph(self) -> AbstractContextManager[object]:
        return torch.no_grad() if self.network.uses_autograd else torch.inference_mode()


@torch.no_grad()
def fails_with_one(model: nn.Module, two: Tensor) -> bool:
    """Whether a copy of the model, in training, takes two inputs but not one: it raises an error or gives no numbers.

    Norms over the batch do so that are no torch.nn.BatchNorm.
    """
    with preserved_global_generators(torch.device("cpu")):
        try:
            copied = copy.deepcopy(model).cpu().train()
            if not copied(two).isfinite().all():
                return False
        except Exception:  # noqa: BLE001 - not because of a single input: training says what is wrong
            return False
        try:
            return not bool(copied(two[:1]).isfinite().all())
        except Exception:  # noqa: BLE001 - norms raise errors of several kinds
            return True


def _part(column: Tensor | None, span: slice) -> Tensor | None:
    return None if column is None else column[span]

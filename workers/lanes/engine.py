"""The tensors of all lanes, and what happens to some neighbouring ones together: a step, a validation."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from service.schemas.study.models import OwnModel
from service.schemas.study.training import Training
from workers.data.augmentation import draw_changes, parts_of
from workers.data.batches import make_batches
from workers.data.trial_data import TrialData
from workers.lanes.evaluation import evaluate
from workers.lanes.lane import Lane
from workers.lanes.loss import cross_entropy
from workers.lanes.networks.network import make_network
from workers.lanes.networks.vmapped_dropout import dropout_layers
from workers.lanes.noise_points import find_noise_points, input_noise_point
from workers.lanes.penalties import add_l1, clip
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.optimizers import make_optimizer


class Engine:
    """Lanes are known by their places in the tensors here; `lanes` are the trials there, in the same order.

    No operation mixes the numbers of two lanes, so one that is no longer finite harms no other.
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
        self.has_batch_norm = any(isinstance(module, _BatchNorm) for module in model.modules())
        is_own = isinstance(training.model, OwnModel)
        self.n_own_dropouts = len(dropout_layers(model)) if is_own else 0
        self.rows = Rows(model, n_lanes, device, dtype, whole=is_own)
        self._data = data
        self._image_shape = data.images.shape[1:]
        self._images = make_batches(data, dtype)
        self.network = make_network(model, training, self.rows, device, self._sample, fuse=fuse)
        self._optimizer = make_optimizer(training.optimizer, self.rows.values, self.rows.gradient)
        sites = [input_noise_point(data.images)] if is_own else find_noise_points(model, data.images[:1])
        self._draws = RandomMasks(sites, n_lanes, training.batch_size, self.rows.values)
        self._loss = torch.zeros(n_lanes, dtype=torch.float64, device=device)
        self._n_correct = torch.zeros_like(self._loss)

    def _sample(self, n: int) -> Tensor:
        """So many inputs, the first ones again where there are fewer."""
        rows = self._data.train[torch.arange(n, device=self._data.train.device) % len(self._data.train)]
        return self._images.load(rows).clone()

    def memory(self, place: int) -> dict[str, Tensor]:
        """All that a lane is made of, apart from its epoch and batch: views of the rows, to be read or written."""
        sums = {"loss": self._loss, "n_correct": self._n_correct}
        columns = {f"optimizer.{name}": tensor for name, tensor in self._optimizer.state.items()} | sums
        return self.rows.lane(place) | {name: tensor[place] for name, tensor in columns.items()}

    def set_lanes(self, lanes: Sequence[Lane]) -> None:
        """Tell who is where, whenever that changes."""
        settings = [lane.trial.training for lane in lanes]
        self._optimizer.set_lanes(settings)
        self._draws.set_rates([lane.strengths for lane in lanes])
        self._parts = frozenset().union(*(parts_of(one.dataset.augment) for one in settings))
        self._smoothing = self._column([one.label_smoothing for one in settings], unused=0.0)
        self._l1_decay = self._column([one.l1_decay for one in settings], unused=0.0)
        self._limits = self._column([one.gradient_clip or torch.inf for one in settings], unused=torch.inf)

    def _column(self, values: list[float], unused: float) -> Tensor | None:
        """[lanes]; None when no lane uses it."""
        used = any(value != unused for value in values)
        return torch.tensor(values).to(self.rows.values) if used else None

    def train(self, places: slice, lanes: Sequence[Lane]) -> None:
        """Take a step with the next batch of each lane, all of one size."""
        with self._no_graph():
            self._train(places, lanes)

    def _train(self, places: slice, lanes: Sequence[Lane]) -> None:
        rows = torch.stack([lane.rows[lane.batch] for lane in lanes])  # [lanes, batch]
        self._draws.draw(places, [lane.generator for lane in lanes], rows.shape[1])
        self._draws.own_rates = [lane.own_rates for lane in lanes]
        self._draws.step_seeds = lambda: [lane.step_seed for lane in lanes]
        logits = self.network.forward(places, self._load(lanes, rows), self._draws)
        labels = self._data.labels.index_select(0, rows.flatten()).view(rows.shape)
        loss, n_correct, gradient = cross_entropy(logits, labels, _part(self._smoothing, places))
        self.network.backward(gradient)
        self._penalize(places)
        self._optimizer.step(places, [lane.learning_rates[lane.batch] for lane in lanes])
        self._loss[places].add_(loss, alpha=rows.shape[1])
        self._n_correct[places].add_(n_correct)

    def _load(self, lanes: Sequence[Lane], rows: Tensor) -> Tensor:
        """Images as they go into the network, disturbed."""
        lanes_last = self.network.batch_first
        changes = self._changes(lanes, rows.shape[1])
        if lanes_last:
            rows, changes = rows.mT, changes if changes is None else changes.mT
        flat_changes = None if changes is None else changes.flatten(1)
        images = self._images.load(rows.flatten(), flat_changes, self._parts).view(*rows.shape, *self._image_shape)
        by_lane = images.transpose(0, 1) if lanes_last else images
        noise, mask = self._draws.noise(0), self._draws.mask(0)
        if noise is not None:
            by_lane.add_(noise.view(by_lane.shape))
        if mask is not None:
            by_lane.mul_(mask.view(by_lane.shape))
        return images

    def _changes(self, lanes: Sequence[Lane], n_images: int) -> Tensor | None:
        """[5, lanes, batch]; None when no lane changes images."""
        if not self._parts:
            return None
        none = draw_changes("none", n_images, self._image_shape, torch.Generator()).to(self._loss.device)
        return torch.stack([lane.changes[lane.batch] if lane.changes else none for lane in lanes], 1)

    def _penalize(self, places: slice) -> None:
        gradient = self.rows.gradient[places]
        if self._l1_decay is not None:
            add_l1(gradient, self.rows.values[places], self.rows.is_weight, self._l1_decay[places])
        if self._limits is not None:
            clip(gradient, self._limits[places])

    def validate(self, places: slice, n_images: Sequence[int]) -> list[list[float]]:
        """For each lane the loss and accuracy of training, over so many images since the last time, and validation."""
        with self._no_graph():
            sums = torch.stack([self._loss[places], self._n_correct[places]], 1)
            self._loss[places] = 0
            self._n_correct[places] = 0
            trained = sums / torch.tensor(n_images, device=sums.device).unsqueeze(1)
            validated = torch.stack(evaluate(self.network, places, self._data, self._images), 1)
            values: list[list[float]] = torch.cat([trained, validated], 1).tolist()  # only here the host waits
            return values

    def _no_graph(self) -> AbstractContextManager[object]:
        return torch.no_grad() if self.network.uses_autograd else torch.inference_mode()


def _part(column: Tensor | None, places: slice) -> Tensor | None:
    return None if column is None else column[places]

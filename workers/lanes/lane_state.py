"""A trial in the middle of its training, to go on with later or elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.errors import CheckpointError
from workers.lanes.lane import Lane, Metrics, Weights

KEPT = "kept."
GENERATOR = "generator"


@dataclass(frozen=True)
class LaneState:
    """`tensors` on the CPU: weights, optimizer, sums of the epoch, and what early stopping keeps; `values` as in JSON.

    The order of the images, their changes and the learning rates follow from the trial's seed and the epoch.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    @property
    def n_epochs(self) -> int:
        """How many are over."""
        return int(self.values["epoch"])


def capture(lane: Lane, memory: Mapping[str, Tensor]) -> LaneState:
    """A copy of a lane and its memory, between two steps."""
    tensors = {name: tensor.detach().to("cpu", copy=True) for name, tensor in memory.items()}
    if lane.batch > 0:  # an epoch begins with a fresh sequence
        tensors[GENERATOR] = lane.generator.get_state()
    metrics, weights = lane.kept or (None, {})
    tensors |= {KEPT + name: tensor.cpu() for name, tensor in weights.items()}
    values = {
        "epoch": lane.epoch,
        "batch": lane.batch,
        "best_epoch": lane.best.epoch,
        "best_value": lane.best.value if lane.best.epoch >= 0 else None,
        "kept_metrics": metrics,
        "training_seconds": lane.training_seconds,
    }
    return LaneState(tensors, values)


def restore(state: LaneState, lane: Lane, memory: Mapping[str, Tensor]) -> None:
    """Put a lane back where it was. Raises CheckpointError when the state is that of another model or optimizer."""
    for name, tensor in memory.items():
        tensor.copy_(_tensor(state, name, tensor))
    values = state.values
    try:
        if values["best_value"] is not None:
            lane.best.epoch, lane.best.value = int(values["best_epoch"]), float(values["best_value"])
        metrics: Metrics | None = values["kept_metrics"]
        lane.go_to(int(values["epoch"]), int(values["batch"]), float(values["training_seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"a checkpoint must have all its values: {error!r}") from error
    if metrics is not None:
        weights: Weights = {
            name: _tensor(state, KEPT + name, tensor).to(tensor)
            for name, tensor in memory.items()
            if KEPT + name in state.tensors
        }
        lane.kept = metrics, weights
    generator = state.tensors.get(GENERATOR)
    if generator is not None and generator.shape == lane.generator.get_state().shape:  # else that of another device
        lane.generator.set_state(generator)


def _tensor(state: LaneState, name: str, like: Tensor) -> Tensor:
    tensor = state.tensors.get(name, torch.empty(0))
    if name not in state.tensors or tensor.shape != like.shape:
        raise CheckpointError(
            f"a checkpoint must fit the trial: {name} is {list(tensor.shape) if name in state.tensors else 'missing'}, "
            f"not {list(like.shape)}"
        )
    return tensor

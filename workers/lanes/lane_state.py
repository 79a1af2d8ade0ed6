"""The state of an unfinished trial, from which any worker can continue it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.errors import CheckpointError
from workers.lanes.lane import Lane, Metrics, Weights

SELECTED = "kept."
GENERATOR = "generator"


@dataclass(frozen=True)
class LaneState:
    """All that is needed to continue a trial between two steps.

    `tensors` are on the CPU: weights, optimizer state, sums of the epoch, and the best weights of early stopping.
    `values` can be written as JSON. The order of the images, their augmentations and the learning rates are not stored:
    they follow from the trial's seed and the epoch.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    @property
    def n_epochs(self) -> int:
        """Number of completed epochs."""
        return int(self.values["epoch"])


def capture_lane(lane: Lane, lane_tensors: Mapping[str, Tensor]) -> LaneState:
    """Return a copy of a lane's state and of its tensors, `lane_tensors`. Call it between two steps."""
    tensors = {name: tensor.detach().to("cpu", copy=True) for name, tensor in lane_tensors.items()}
    if lane.batch > 0:  # at the start of an epoch the generator is seeded anew
        tensors[GENERATOR] = lane.generator.get_state()
    metrics, weights = lane.selected or (None, {})
    tensors |= {SELECTED + name: tensor.cpu() for name, tensor in weights.items()}
    values = {
        "epoch": lane.epoch,
        "batch": lane.batch,
        "best_epoch": lane.best.epoch,
        "best_value": lane.best.value if lane.best.epoch >= 0 else None,
        "kept_metrics": metrics,
        "training_seconds": lane.training_seconds,
    }
    return LaneState(tensors, values)


def restore_lane(state: LaneState, lane: Lane, lane_tensors: Mapping[str, Tensor]) -> None:
    """Copy a state into a lane and its tensors, `lane_tensors`.

    Raises CheckpointError if the state is incomplete or belongs to another model or optimizer.
    """
    for name, tensor in lane_tensors.items():
        tensor.copy_(_tensor(state, name, tensor))
    values = state.values
    try:
        if values["best_value"] is not None:
            lane.best.epoch, lane.best.value = int(values["best_epoch"]), float(values["best_value"])
        metrics: Metrics | None = values["kept_metrics"]
        lane.resume_at(int(values["epoch"]), int(values["batch"]), float(values["training_seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"a checkpoint must have all its values: {error!r}") from error
    if metrics is not None:
        weights: Weights = {
            name: _tensor(state, SELECTED + name, tensor).to(tensor)
            for name, tensor in lane_tensors.items()
            if SELECTED + name in state.tensors
        }
        lane.selected = metrics, weights
    generator = state.tensors.get(GENERATOR)
    # A state from another kind of device has another shape and is not usable here.
    if generator is not None and generator.shape == lane.generator.get_state().shape:
        lane.generator.set_state(generator)


def _tensor(state: LaneState, name: str, like: Tensor) -> Tensor:
    tensor = state.tensors.get(name, torch.empty(0))
    if name not in state.tensors or tensor.shape != like.shape:
        raise CheckpointError(
            f"a checkpoint must fit the trial: {name} is {list(tensor.shape) if name in state.tensors else 'missing'}, "
            f"not {list(like.shape)}"
        )
    return tensor

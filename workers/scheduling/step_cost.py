"""What a step of several lanes costs: a small model of its seconds, fitted to the steps that were measured."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from service.schemas.study.models import CustomModel, Mlp
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.models.build import n_mlp_parameters

TRUST_IN_PRIOR = 0.01
"""Weight of each prior coefficient beside one measurement: it decides only what the measurements leave open."""

PADDED = " padded"
"""Ends the family of padded lanes."""


@dataclass(frozen=True)
class Shape:
    """What the cost of a step depends on, beside the number of lanes.

    family: what must be equal for costs to be comparable: the kind of model, its depth, the inputs, the optimizer.
    n_parameters: of one lane.
    """

    family: str
    n_parameters: int
    batch_size: int

    def is_like(self, other: "Shape") -> bool:
        """Whether the other shape is of the same family, and at most twice or half as large."""
        sizes = (self.n_parameters, other.n_parameters), (self.batch_size, other.batch_size)
        return self.family == other.family and all(max(pair) <= 2 * min(pair) for pair in sizes)


@dataclass(frozen=True)
class StepCost:
    """Seconds of a step: per_step + n_lanes · (per_lane + per_parameter · P + per_product · P · batch size)."""

    per_step: float
    per_lane: float
    per_parameter: float
    per_product: float

    def seconds(self, shape: Shape, n_lanes: int) -> float:
        """Expected seconds of a step of `n_lanes` lanes."""
        return float(np.dot(_features(shape, n_lanes), astuple(self)))


DEFAULT_COSTS = {"cpu": StepCost(4e-4, 5e-5, 2e-9, 6e-10), "cuda": StepCost(1e-3, 1e-5, 2e-11, 1e-12)}
"""Rough costs by kind of device, for a device on which nothing was measured yet."""


def shape_of(training: Training, data: TrialData, n_parameters: int) -> Shape:
    """The shape of a training whose model has `n_parameters`."""
    model: Any = training.model.model_dump(mode="json", exclude={"dropout"})
    if not isinstance(training.model, CustomModel):  # the sizes of a custom model are not known here
        model = _without_numbers(model)
    family = [model, list(data.images.shape[1:]), training.optimizer, training.precision]
    return Shape(json.dumps(family, sort_keys=True), n_parameters, training.batch_size)


def mlp_shape(training: Training, data: TrialData, *, is_padded: bool = False) -> Shape:
    """The shape of the training of an mlp, whose number of parameters is known without building it."""
    assert isinstance(training.model, Mlp), "no other model is padded"
    n_parameters = n_mlp_parameters(training.model, data.images[0].numel(), data.n_classes)
    shape = shape_of(training, data, n_parameters)
    return padded(shape) if is_padded else shape


def padded(shape: Shape) -> Shape:
    """The shape of lanes that are padded to a shape: filling up batches and masks adds to the costs of a step."""
    return replace(shape, family=shape.family + PADDED)


def fit_cost(measured: Mapping[Shape, Mapping[int, float]], prior: StepCost) -> StepCost:
    """Fit the costs to measured seconds by shape and number of lanes, by least squares of relative errors.

    No coefficient is negative; those that the measurements leave open are those of `prior`.
    """
    scale = np.array(astuple(prior))
    rows = [
        _features(shape, n_lanes) * scale / seconds
        for shape, by_lanes in measured.items()
        for n_lanes, seconds in by_lanes.items()
    ]
    matrix = np.vstack([*rows, TRUST_IN_PRIOR * np.eye(len(scale))])
    target = np.concatenate([np.ones(len(rows)), np.full(len(scale), TRUST_IN_PRIOR)])
    used = np.ones(len(scale), dtype=bool)
    while True:
        solution = np.linalg.lstsq(matrix[:, used], target, rcond=None)[0]
        if (solution >= 0).all():
            factors = np.zeros(len(scale))
            factors[used] = solution
            return StepCost(*(factors * scale).tolist())
        used[np.flatnonzero(used)[solution < 0]] = False


def _features(shape: Shape, n_lanes: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    per_lane = [1, shape.n_parameters, shape.n_parameters * shape.batch_size]
    return np.array([1, *(n_lanes * one for one in per_lane)], dtype=np.float64)


def _without_numbers(value: Any) -> Any:
    """The same structure with every number replaced by 0."""
    match value:
        case bool() | str() | None:
            return value
        case dict():
            return {name: _without_numbers(one) for name, one in value.items()}
        case list():
            return [_without_numbers(one) for one in value]
    return 0

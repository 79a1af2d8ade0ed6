from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pytest

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.models.build import model_for
from workers.scheduling.step_cost import DEFAULT_COSTS, Shape, StepCost, fit_cost, mlp_shape, padded, shape_of

Make = Callable[..., Training]
PRIOR = DEFAULT_COSTS["cpu"]


def test_the_costs_of_a_device_are_found_from_its_steps() -> None:
    device = StepCost(2e-3, 1e-4, 1e-8, 5e-9)
    shapes = [Shape("mlp", n, batch) for n in (1_000, 30_000, 500_000) for batch in (16, 64, 512)]
    measured = {shape: {n: device.seconds(shape, n) for n in (1, 4)} for shape in shapes}
    found = fit_cost(measured, PRIOR)
    assert astuple(found) == pytest.approx(astuple(device), rel=0.1)
    assert found.seconds(Shape("mlp", 100_000, 128), 16) == pytest.approx(
        device.seconds(Shape("mlp", 100_000, 128), 16), rel=0.01
    )


def test_without_measurements_the_costs_are_those_expected_before() -> None:
    assert astuple(fit_cost({}, PRIOR)) == pytest.approx(astuple(PRIOR))


def test_no_cost_is_negative() -> None:
    shape = Shape("mlp", 10_000, 32)
    found = fit_cost({shape: {1: 0.010, 2: 0.009, 4: 0.008, 8: 0.007}}, PRIOR)
    assert min(astuple(found)) >= 0
    assert found.seconds(shape, 16) > 0


def test_shapes_of_one_family_differ_in_sizes_only(make_training: Make, trial_data: TrialData) -> None:
    def family(**fields: Any) -> str:
        return shape_of(make_training(**fields), trial_data, 1000).family

    same = {"name": "mlp", "hidden": [16]}
    assert family(model=same) == family(model={"name": "mlp", "hidden": [300]}, dropout=0.3, batch_size=64)
    others: list[dict[str, Any]] = [
        {"model": {"name": "mlp", "hidden": [16, 16]}},
        {"model": {"name": "mlp", "hidden": [16], "batch_norm": True}},
        {"model": "lenet"},
        {"optimizer": "sgd"},
        {"precision": "bf16"},
    ]
    assert len({family(model=same), *(family(**{"model": same} | fields) for fields in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Shape("mlp", 20_000, 16), True),
        (Shape("mlp", 5_000, 64), True),
        (Shape("mlp", 20_001, 32), False),
        (Shape("mlp", 10_000, 15), False),
        (Shape("cnn", 10_000, 32), False),
    ],
)
def test_shapes_are_alike_within_a_factor_of_two(other: Shape, expected: bool) -> None:
    shape = Shape("mlp", 10_000, 32)
    assert shape.is_like(other) == other.is_like(shape) == expected


@pytest.mark.parametrize("hidden", [[], [7], [5, 9, 3]], ids=str)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_shape_of_an_mlp_is_known_without_building_it(
    hidden: list[int], batch_norm: bool, make_training: Make, trial_data: TrialData
) -> None:
    training = make_training(model={"name": "mlp", "hidden": hidden, "batch_norm": batch_norm})
    n_parameters = sum(parameter.numel() for parameter in model_for(training, trial_data).parameters())
    shape = shape_of(training, trial_data, n_parameters)
    assert mlp_shape(training, trial_data) == shape
    assert mlp_shape(training, trial_data, is_padded=True) == padded(shape) != shape

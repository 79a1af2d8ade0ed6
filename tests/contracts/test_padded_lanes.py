"""A trial beside trials with other widths and batch sizes equals the trial alone."""

import random
from typing import Any

import pytest
import torch

from tests.contracts.test_lanes import (
    CPU,
    OPTIMIZERS,
    REGULARIZERS,
    SCHEDULES,
    TOLERANCES,
    alone,
    assert_equal,
    assert_equal_metrics,
    data,
    one_thread,
    run,
    training,
)
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.lanes.lane import Lane, LaneTrial
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import dump_checkpoint, read_checkpoint

pytestmark = pytest.mark.heavy

__all__ = ["data", "one_thread"]  # fixtures

WIDTHS = [[9, 5], [4, 7], [12, 3], [1, 6], [9, 5], [7, 7]]
BATCH_SIZES = [16, 7, 20, 43, 44, 5]
"""Of 44 examples: batches that are smaller at the end, of one example at the end, and of all examples."""
MODELS: list[dict[str, Any]] = [
    {"activation": "relu", "initialization": "he"},
    {"activation": "sigmoid", "batch_norm": True},
    {"activation": "gelu", "batch_norm": True, "initialization": "xavier"},
]
ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu"]
EVERYTHING: dict[str, Any] = {
    "dropout": 0.2,
    "input_dropout": 0.1,
    "noise_std": 0.1,
    "hidden_noise_std": 0.1,
    "label_smoothing": 0.1,
    "l1_decay": 1e-3,
    "weight_decay": 1e-3,
    "gradient_clip": 0.5,
    "augment": "crop_flip_cutout",
}
DIFFER = {"widths": (WIDTHS, [16] * 6), "batch sizes": ([[9, 5]] * 6, BATCH_SIZES), "both": (WIDTHS, BATCH_SIZES)}


def mlp(hidden: list[int], **fields: Any) -> dict[str, Any]:
    return {"name": "mlp", "hidden": hidden, **fields}


def several(
    fields: list[dict[str, Any]], differ: str = "both", n: int = 6, model: dict[str, Any] | None = None
) -> list[LaneTrial]:
    """Trials that differ in their sizes, and in every setting that lanes of one size may differ in."""
    widths, batch_sizes = DIFFER[differ]
    return [
        LaneTrial(
            training(
                model=mlp(widths[number], **(model or {})),
                batch_size=batch_sizes[number],
                epochs=1 + number % 3,
                learning_rate=0.02 / (1 + number),
                schedule=SCHEDULES[number % 4],
                **fields[number % len(fields)],
            ),
            seed=100 + number,
            tag=number,
        )
        for number in range(n)
    ]


def assert_equal_weights(found: EpochResult, expected: EpochResult, tolerance: float) -> None:
    assert found.weights is not None
    assert expected.weights is not None
    state, expected_state = found.lane.state_dict(found.weights), expected.lane.state_dict(expected.weights)
    assert state.keys() == expected_state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, expected_state[name], rtol=tolerance, atol=tolerance, msg=name)


def assert_as_alone(found: dict[int, list[EpochResult]], some: list[LaneTrial], data: TrialData) -> None:
    """In float64."""
    for trial in some:
        expected = alone(trial, data, torch.float64)
        assert_equal(found[trial.tag], expected, TOLERANCES[torch.float64])
        assert_equal_weights(found[trial.tag][-1], expected[-1], TOLERANCES[torch.float64])


@pytest.mark.covering(2)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["activation"])
def test_a_trial_in_padded_lanes_with_refills_equals_the_trial_alone(
    model: dict[str, Any], optimizer: str, regularizer: str, data: TrialData
) -> None:
    settings, penalties = OPTIMIZERS[optimizer], REGULARIZERS[regularizer]
    fields = [
        {"optimizer": optimizer, **settings[n % len(settings)], **penalties[n % len(penalties)]} for n in range(20)
    ]
    some = several(fields, model=model)
    found = run(LaneGroup(some[0].training, data, CPU, 3, dtype=torch.float64), some)
    assert_as_alone(found, some, data)


@pytest.mark.covering(2)
@pytest.mark.parametrize("differ", DIFFER)
@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch norm"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_padded_with_all_regularizers(
    activation: str, batch_norm: bool, differ: str, data: TrialData
) -> None:
    some = several([EVERYTHING, {}], differ, 4, {"activation": activation, "batch_norm": batch_norm})
    found = run(LaneGroup(some[0].training, data, CPU, 3, dtype=torch.float64), some)
    assert_as_alone(found, some, data)


def test_float32_agrees_within_its_tolerance(data: TrialData) -> None:
    some = several([{"dropout": 0.1, "label_smoothing": 0.1}], model={"batch_norm": True})
    found = run(LaneGroup(some[0].training, data, CPU, 3), some)
    for trial in some:
        assert_equal(found[trial.tag], alone(trial, data, torch.float32), TOLERANCES[torch.float32])


def test_softmax_regression_is_padded_by_its_batches(data: TrialData) -> None:
    some = [
        LaneTrial(training(model=mlp([]), batch_size=size, input_dropout=0.1), seed=size, tag=size)
        for size in BATCH_SIZES
    ]
    found = run(LaneGroup(some[0].training, data, CPU, 6, dtype=torch.float64), some)
    assert_as_alone(found, some, data)


@pytest.mark.parametrize("differ", DIFFER)
def test_each_lane_keeps_the_best_weights_of_early_stopping(differ: str, data: TrialData) -> None:
    stopping = {"early_stopping": {"metric": "validation_loss", "patience": 1}}
    widths, batch_sizes = DIFFER[differ]
    some = [
        LaneTrial(
            training(model=mlp(hidden, batch_norm=True), batch_size=size, learning_rate=0.1, epochs=12, **stopping),
            seed=tag,
            tag=tag,
        )
        for tag, (hidden, size) in enumerate(zip(widths, batch_sizes, strict=True))
    ]
    found = run(LaneGroup(some[0].training, data, CPU, 4, dtype=torch.float64), some)
    assert min(len(results) for results in found.values()) < 12
    assert_as_alone(found, some, data)


@pytest.mark.parametrize("n_steps", [1, 3, 7])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_trial_resumes_beside_trials_of_other_sizes(optimizer: str, n_steps: int, data: TrialData) -> None:
    """The checkpoint is the one that the trial has alone: it has the trial's own sizes."""
    stopping = {"early_stopping": {"metric": "validation_loss", "patience": 2}}
    fields = {"optimizer": optimizer, "momentum": 0.5, "epochs": 5, **stopping, **EVERYTHING}
    trial = LaneTrial(training(model=mlp([4, 7], batch_norm=True), **fields), 5, tag=5)
    wide = LaneTrial(training(model=mlp([9, 3], batch_norm=True), optimizer=optimizer, batch_size=10, epochs=9), 6, 6)
    group = LaneGroup(wide.training, data, CPU, 2, dtype=torch.float64)
    group.load(wide)
    lane = group.load(trial)
    results = [result for _ in range(n_steps) for result in group.step() if result.lane is lane]
    state = group.state(lane)
    single = LaneGroup(trial.training, data, CPU, 1, dtype=torch.float64)
    sizes = {name: tensor.shape for name, tensor in single.state(single.load(trial)).tensors.items()}
    assert {name: tensor.shape for name, tensor in state.tensors.items() if name in sizes} == sizes
    content = dump_checkpoint(state, trial.training, trial.seed)
    other = LaneGroup(trial.training, data, CPU, 2, dtype=torch.float64)
    lane = other.load(trial, read_checkpoint(content, trial.training, trial.seed))
    other.load(wide)
    while lane in other.lanes:
        results += [result for result in other.step() if result.lane is lane]
    assert_as_alone({5: results}, [trial], data)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_trial_that_diverges_harms_no_neighbour(activation: str, batch_norm: bool, data: TrialData) -> None:
    """Neither while it trains, nor in its lane after it."""
    model = {"activation": activation, "batch_norm": batch_norm}
    wild = training(
        model=mlp([12, 12], **model), optimizer="sgd", learning_rate=1000, weight_decay=1000, epochs=40, momentum=0.9
    )
    tame = [
        LaneTrial(training(model=mlp([n, 9], **model), batch_size=10 * n, optimizer="sgd", epochs=8, **fields), n, n)
        for n, fields in enumerate(({}, EVERYTHING, {}), 1)
    ]
    group = LaneGroup(wild, data, CPU, 2, dtype=torch.float64)
    found = run(group, [LaneTrial(wild, 9, tag=9), *tame])
    assert "loss is" in str(found[9][-1].error)
    assert_as_alone(found, tame, data)


def test_trials_of_other_sizes_come_and_go_at_random_without_a_trace(data: TrialData) -> None:
    """The group grows at random too, and the lanes of a step are computed some at a time."""
    seed = random.randrange(10**6)
    print(f"seed: {seed}")
    draw = random.Random(seed)
    some = several([{"dropout": 0.3}, {"noise_std": 0.1}], model={"batch_norm": True})
    expected = {trial.tag: alone(trial, data, torch.float64) for trial in some}
    group = LaneGroup(some[0].training, data, CPU, 1, dtype=torch.float64)
    found: dict[Lane, list[EpochResult]] = {}
    for _ in range(100):
        if group.n_lanes < 5 and draw.random() < 0.1:
            group.grow(group.n_lanes + draw.choice([1, 2]))
        if not group.is_full and draw.random() < 0.5:
            found[group.load(draw.choice(some))] = []
        if group.lanes and draw.random() < 0.1:
            group.unload(draw.choice(group.lanes))
        for result in group.step(draw.choice([None, 1, 2, 3])):
            found[result.lane].append(result)
    assert sum(bool(results and results[-1].trial_is_over) for results in found.values()) > 5
    for lane, results in found.items():
        for one in results:
            other = expected[lane.trial.tag][one.epoch]
            assert_equal_metrics(one.metrics, other.metrics, TOLERANCES[torch.float64])
            assert_equal_metrics(one.final or {}, other.final or {}, TOLERANCES[torch.float64])


@pytest.fixture
def group(data: TrialData) -> LaneGroup:
    return LaneGroup(training(model=mlp([4])), data, CPU, 3)


def test_the_tensors_have_the_sizes_of_the_largest_loaded_trial(group: LaneGroup) -> None:
    def sizes() -> tuple[Any, int]:
        return group.training.model.hidden, group.training.batch_size  # type: ignore[union-attr]

    narrow = LaneTrial(training(model=mlp([3])), 1)
    wide = LaneTrial(training(model=mlp([9]), batch_size=20), 2)
    group.load(narrow)
    assert sizes() == ([3], 16)
    lane = group.load(wide)
    assert sizes() == ([9], 20)
    group.unload(lane)
    group.load(narrow)
    assert sizes() == ([3], 16)


def test_only_mlps_of_one_depth_and_kind_share_padded_lanes(group: LaneGroup) -> None:
    for other in (mlp([4, 4]), mlp([4], activation="tanh"), mlp([4], batch_norm=True), "lenet"):
        with pytest.raises(ValueError, match="share a fusion key"):
            group.load(LaneTrial(training(model=other), 1))
    with pytest.raises(ModelError, match="one rate"):
        group.load(LaneTrial(training(model=mlp([9]), dropout=[0.1, 0.1]), 1))
    group.load(LaneTrial(training(model=mlp([9]), dropout=[0.1]), 1))


def test_models_that_are_not_padded_share_lanes_with_equal_sizes_only(data: TrialData) -> None:
    cnn = {"name": "cnn", "blocks": [{"channels": 2}], "dense": []}
    wider = {"name": "cnn", "blocks": [{"channels": 3}], "dense": []}
    for model, other in ((cnn, {"model": wider}), (cnn, {"model": cnn, "batch_size": 8})):
        group = LaneGroup(training(model=model), data, CPU, 2)
        with pytest.raises(ValueError, match="share a fusion key"):
            group.load(LaneTrial(training(**other), 1))
    bf16 = LaneGroup(training(model=mlp([4]), precision="bf16"), data, CPU, 2)
    with pytest.raises(ValueError, match="share a fusion key"):
        bf16.load(LaneTrial(training(model=mlp([5]), precision="bf16"), 1))

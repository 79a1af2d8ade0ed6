"""A trial in lanes equals the trial alone, whatever its neighbours are and whenever they come and go."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional

from service.schemas.study.training import Training
from workers.data.trial_data import TrialData, channel_statistics
from workers.errors import ModelError
from workers.lanes.lane import Lane, LaneTrial
from workers.lanes.lane_group import EpochResult, LaneGroup

pytestmark = pytest.mark.heavy

CPU = torch.device("cpu")
CLOCKS = ("seconds", "training_seconds")
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Largest relative difference of losses. Accuracies must be equal."""

MODELS: list[dict[str, Any]] = [
    {"name": "mlp", "hidden": []},
    {"name": "mlp", "hidden": [9, 5], "activation": "tanh", "initialization": "he"},
    {"name": "mlp", "hidden": [8], "batch_norm": True, "activation": "gelu"},
    {"name": "cnn", "blocks": [{"channels": 3}, {"channels": 4, "kernel": 2, "pooling": "avg"}], "dense": [6]},
    {
        "name": "cnn",
        "blocks": [{"channels": 3, "pooling": "none"}],
        "dense": [],
        "batch_norm": True,
        "initialization": "xavier",
    },
    {"name": "lenet"},
]
OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.5, "nesterov": True}, {"nesterov": True}],
    "adam": [{}, {"beta1": 0.5, "beta2": 0.9}],
    "adamw": [{"weight_decay": 0.1}, {"beta1": 0.0}],
}
REGULARIZERS: dict[str, list[dict[str, Any]]] = {
    "none": [{}],
    "dropout": [{"dropout": 0.3}, {"input_dropout": 0.2}, {}, {"dropout": 0.5, "input_dropout": 0.1}],
    "noise": [{"noise_std": 0.3}, {"hidden_noise_std": 0.2}, {}, {"noise_std": 0.1, "hidden_noise_std": 0.1}],
    "penalties": [{"l1_decay": 0.01}, {"weight_decay": 0.1}, {}, {"l1_decay": 0.001, "weight_decay": 0.01}],
    "loss": [{"label_smoothing": 0.2}, {"gradient_clip": 0.5}, {}, {"gradient_clip": 0.1, "label_smoothing": 0.1}],
    "images": [{"augment": augment} for augment in ("crop", "flip", "none", "crop_flip_cutout", "cutout")],
}
SCHEDULES: list[Any] = ["constant", "cosine", "onecycle", {"name": "step", "step_epochs": 1, "gamma": 0.5}]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> TrialData:
    """44 train and 12 validation images of 1x12x12 in 3 classes: batches of 16, 16 and 12."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(56) % 3
    images = torch.randint(0, 150, (56, 1, 12, 12), generator=generator, dtype=torch.uint8)
    images[torch.arange(56), 0, labels * 4] += 50
    train, validation = torch.arange(44), torch.arange(44, 56)
    return TrialData(images, labels, train, validation, *channel_statistics(images, train), 3)


def training(**fields: Any) -> Training:
    augment = fields.pop("augment", "none")
    fixed = {"dataset": {"name": "digits", "augment": augment}, "batch_size": 16, "learning_rate": 0.01, "epochs": 2}
    return Training.model_validate(fixed | fields)


def trials(model: dict[str, Any], optimizer: str, regularizer: str) -> list[LaneTrial]:
    """Five trials that differ in every setting that lanes may differ in."""
    settings, penalties = OPTIMIZERS[optimizer], REGULARIZERS[regularizer]
    return [
        LaneTrial(
            training(
                model=model,
                optimizer=optimizer,
                epochs=1 + number % 3,
                learning_rate=0.02 / (1 + number),
                schedule=SCHEDULES[number % 4],
                **settings[number % len(settings)] | penalties[number % len(penalties)],
            ),
            seed=100 + number,
            tag=number,
        )
        for number in range(5)
    ]


def run(group: LaneGroup, waiting: Sequence[LaneTrial], pause: int = 2) -> dict[int, list[EpochResult]]:
    """Train all trials. Each starts when a lane is free and `pause` steps have passed since the last one started."""
    results: dict[int, list[EpochResult]] = {trial.tag: [] for trial in waiting}
    left, step = list(waiting), 0
    while left or group.lanes:
        if left and not group.is_full and (step % pause == 0 or not group.lanes):
            group.load(left.pop(0))
        for result in group.step():
            results[result.lane.trial.tag].append(result)
        step += 1
    return results


def alone(trial: LaneTrial, data: TrialData, dtype: torch.dtype) -> list[EpochResult]:
    return run(LaneGroup(trial.training, data, CPU, 1, dtype=dtype), [trial])[trial.tag]


def assert_equal(found: Sequence[EpochResult], expected: Sequence[EpochResult], tolerance: float) -> None:
    assert [one.epoch for one in found] == [one.epoch for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert_equal_metrics(one.metrics, other.metrics, tolerance)
    assert_equal_metrics(found[-1].final or {}, expected[-1].final or {}, tolerance)
    assert str(found[-1].error) == str(expected[-1].error)


def assert_equal_metrics(found: dict[str, float], expected: dict[str, float], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name in found.keys() - CLOCKS:
        assert found[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance * 1e-3), name


@pytest.mark.covering(2)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values()))[:30])
def test_a_trial_in_lanes_with_refills_equals_the_trial_alone(
    model: dict[str, Any], optimizer: str, regularizer: str, data: TrialData
) -> None:
    five = trials(model, optimizer, regularizer)
    found = run(LaneGroup(five[0].training, data, CPU, 3, dtype=torch.float64, fuse=True), five)
    for trial in five:
        assert_equal(found[trial.tag], alone(trial, data, torch.float64), TOLERANCES[torch.float64])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values()))[:30])
def test_float32_agrees_within_its_tolerance(model: dict[str, Any], data: TrialData) -> None:
    """The group decides as in a worker whether lanes share a step."""
    some = [
        LaneTrial(
            training(model=model, epochs=1 + number % 2, dropout=0.1 * number, label_smoothing=0.1, noise_std=0.1),
            seed=number,
            tag=number,
        )
        for number in range(5)
    ]
    found = run(LaneGroup(some[0].training, data, CPU, 3), some)
    for trial in some:
        assert_equal(found[trial.tag], alone(trial, data, torch.float32), TOLERANCES[torch.float32])


@pytest.mark.slow
def test_resnet18_in_one_step_of_two_lanes_equals_each_alone() -> None:
    images = torch.randint(0, 256, (9, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    rows = torch.arange(9)
    few = TrialData(images, rows % 2, rows[:6], rows[6:], *channel_statistics(images, rows[:6]), 2)
    some = [LaneTrial(training(model="resnet18", dropout=0.3 * n, epochs=1, batch_size=4), n, tag=n) for n in range(2)]
    found = run(LaneGroup(some[0].training, few, CPU, 2, dtype=torch.float64, fuse=True), some)
    for trial in some:
        assert_equal(found[trial.tag], alone(trial, few, torch.float64), TOLERANCES[torch.float64])


@pytest.mark.parametrize("model", [MODELS[2], MODELS[4]], ids=["mlp", "cnn"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_trial_that_diverges_harms_no_neighbour(model: dict[str, Any], dtype: torch.dtype, data: TrialData) -> None:
    """The neighbours use every penalty that could carry its numbers over to them."""
    penalties = {"gradient_clip": 1.0, "l1_decay": 0.01, "label_smoothing": 0.1, "dropout": 0.2, "noise_std": 0.1}
    wild = training(model=model, optimizer="sgd", learning_rate=1000, weight_decay=1000, epochs=40, momentum=0.9)
    tame = [
        LaneTrial(training(model=model, optimizer="sgd", epochs=20, **fields), seed=n, tag=n)
        for n, fields in enumerate(({}, penalties))
    ]
    found = run(LaneGroup(wild, data, CPU, 3, dtype=dtype, fuse=True), [tame[0], LaneTrial(wild, 9, tag=9), tame[1]])
    assert "loss is" in str(found[9][-1].error)
    assert found[9][-1].final is None
    assert len(found[9]) < 20
    for trial in tame:
        assert found[trial.tag][-1].final is not None
        assert_equal(found[trial.tag], alone(trial, data, dtype), TOLERANCES[dtype])


def test_each_lane_stops_early_with_its_best_weights(data: TrialData) -> None:
    some = [
        LaneTrial(
            training(
                model="mlp",
                learning_rate=rate,
                epochs=30,
                early_stopping={"metric": "validation_loss", "patience": patience} if patience else None,
            ),
            seed=1,
            tag=tag,
        )
        for tag, (rate, patience) in enumerate([(0.1, 1), (0.001, 0), (0.05, 3), (0.1, 2)])
    ]
    found = run(LaneGroup(some[0].training, data, CPU, 2), some)
    for trial in some:
        assert_equal(found[trial.tag], alone(trial, data, torch.float32), TOLERANCES[torch.float32])
    assert len(found[0]) < 30
    assert len(found[1]) == 30
    losses = [one.metrics["validation_loss"] for one in found[2]]
    final = found[2][-1].final
    assert final is not None
    assert losses.index(min(losses)) == final["best_epoch"] == len(losses) - 1 - 3
    assert final["validation_loss"] == min(losses)


def test_the_other_lanes_move_up_when_lanes_are_unloaded(data: TrialData) -> None:
    some = trials(MODELS[1], "adam", "dropout")
    group = LaneGroup(some[0].training, data, CPU, 4)
    lanes = [group.load(trial) for trial in some[:4]]
    assert group.is_full
    group.step()
    group.unload(lanes[0])
    group.unload(lanes[2])
    assert set(group.lanes) == {lanes[1], lanes[3]}
    results: dict[int, list[EpochResult]] = {1: [], 3: []}
    while group.lanes:
        for result in group.step():
            results[result.lane.trial.tag].append(result)
    for tag, found in results.items():
        assert_equal(found, alone(some[tag], data, torch.float32), TOLERANCES[torch.float32])


def test_each_trial_gets_its_own_model(data: TrialData) -> None:
    some = trials(MODELS[4], "adam", "none")
    group = LaneGroup(some[0].training, data, CPU, 3)
    found = run(group, some)
    images = (data.images[data.validation].float() - data.mean) / data.std
    for results in found.values():
        final, weights = results[-1].final, results[-1].weights
        assert final is not None
        assert weights is not None
        model = group.model(results[-1].lane, weights)
        loss = functional.cross_entropy(model(images).detach(), data.labels[data.validation])
        assert float(loss) == pytest.approx(final["validation_loss"], rel=1e-5)
        assert final["n_parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_only_trials_of_one_fusion_key_share_a_group(data: TrialData) -> None:
    group = LaneGroup(training(model="mlp"), data, CPU, 2)
    group.load(LaneTrial(training(model="mlp", dropout=[0.1, 0.2], augment="flip", schedule="cosine"), 1))
    with pytest.raises(ValueError, match="share a fusion key"):
        group.load(LaneTrial(training(model="lenet"), 1))
    with pytest.raises(ModelError, match="one rate"):
        group.load(LaneTrial(training(model="mlp", dropout=[0.1]), 1))
    group.load(LaneTrial(training(model="mlp"), 1))
    with pytest.raises(ValueError, match="all 2 are taken"):
        group.load(LaneTrial(training(model="mlp"), 1))


@pytest.mark.parametrize("model", [MODELS[2], MODELS[4]], ids=["mlp", "cnn"])
def test_trials_come_and_go_at_random_without_a_trace(model: dict[str, Any], data: TrialData) -> None:
    """The group grows at random too, and the lanes of a step are computed some at a time."""
    seed = random.randrange(10**6)
    print(f"seed: {seed}")
    draw = random.Random(seed)
    some = trials(model, "adam", "dropout") + [
        LaneTrial(one.training, one.seed + 50, one.tag + 5) for one in trials(model, "adam", "dropout")
    ]
    expected = {trial.tag: alone(trial, data, torch.float64) for trial in some}
    group = LaneGroup(some[0].training, data, CPU, 1, dtype=torch.float64, fuse=True)
    found: dict[Lane, list[EpochResult]] = {}
    for _ in range(80):
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

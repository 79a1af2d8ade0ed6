"""A trial of a custom model in lanes equals the trial alone, or it never shares a step with others."""

from typing import Any

import pytest
import torch

from service.schemas.study.training import Training
from tests.contracts.custom_nets import FUSED, ODD
from tests.contracts.test_lanes import CPU, TOLERANCES, assert_equal, data, one_thread, run, training
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import dump_checkpoint, read_checkpoint
from workers.user_process.custom_parts.model import make_model

pytestmark = pytest.mark.heavy

__all__ = ["data", "one_thread"]

NETS = "tests.contracts.custom_nets"


def custom(name: str, **arguments: Any) -> dict[str, Any]:
    return {"entrypoint": f"{NETS}:build_{name}", "arguments": arguments}


def group_of(training: Training, data: TrialData, n_lanes: int, dtype: torch.dtype = torch.float32) -> LaneGroup:
    return LaneGroup(training, data, CPU, n_lanes, dtype=dtype, build=make_model)


def alone(trial: LaneTrial, data: TrialData, dtype: torch.dtype) -> list[EpochResult]:
    return run(group_of(trial.training, data, 1, dtype), [trial])[trial.tag]


def trials(name: str) -> list[LaneTrial]:
    """Five trials that differ in every setting that lanes may differ in."""
    all_settings: list[dict[str, Any]] = [
        {"input_dropout": 0.2},
        {"noise_std": 0.1, "weight_decay": 0.1, "schedule": "cosine"},
        {"augment": "crop_flip_cutout", "gradient_clip": 0.5},
        {"label_smoothing": 0.1, "early_stopping": {"metric": "validation_loss", "patience": 1}, "epochs": 4},
        {"l1_decay": 0.01, "augment": "flip"},
    ]
    return [
        LaneTrial(
            training(model=custom(name), learning_rate=0.02 / (1 + number), **{"epochs": 1 + number % 3, **settings}),
            seed=100 + number,
            tag=number,
        )
        for number, settings in enumerate(all_settings)
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", FUSED)
def test_a_trial_in_lanes_with_refills_equals_the_trial_alone(name: str, dtype: torch.dtype, data: TrialData) -> None:
    five = trials(name)
    group = group_of(five[0].training, data, 3, dtype)
    assert group.unfusable_reason is None
    assert group.fuses
    found = run(group, five)
    for trial in five:
        assert_equal(found[trial.tag], alone(trial, data, dtype), TOLERANCES[dtype])


@pytest.mark.parametrize("name", ["norms", "dropouts"])
def test_a_trial_continues_alone_from_its_position_in_lanes(name: str, data: TrialData) -> None:
    """It continues in the middle of an epoch, with the same masks and running statistics."""
    few = [LaneTrial(training(model=custom(name), epochs=3), seed, tag=seed) for seed in range(3)]
    group = group_of(few[0].training, data, 3, torch.float64)
    lanes = [group.load(trial) for trial in few]
    for _ in range(5):  # into the second epoch of three batches each
        group.step()
    content = dump_checkpoint(group.state(lanes[1]), few[1].training, few[1].seed)
    after = group_of(few[1].training, data, 1, torch.float64)
    after.load(few[1], read_checkpoint(content, few[1].training, few[1].seed))
    results: list[EpochResult] = []
    while after.lanes:
        results += after.step()
    expected = alone(few[1], data, torch.float64)
    for one, other in zip(results, expected[1:], strict=True):
        assert one.epoch == other.epoch
        for loss in ("train_loss", "validation_loss"):
            assert one.metrics[loss] == pytest.approx(other.metrics[loss], rel=TOLERANCES[torch.float64])


def test_trials_with_one_seed_draw_the_same_masks_beside_one_another(data: TrialData) -> None:
    """Trials with different seeds draw different masks."""
    group = group_of(training(model=custom("dropouts")), data, 3, torch.float64)
    found = run(
        group, [LaneTrial(training(model=custom("dropouts")), seed, tag) for tag, seed in enumerate((1, 1, 2))], 1
    )
    losses = [found[tag][-1].metrics["train_loss"] for tag in range(3)]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCES[torch.float64])
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", ["dropouts", "attention"])
def test_trials_with_different_dropout_rates_equal_those_alone(name: str, dtype: torch.dtype, data: TrialData) -> None:
    """One trial drops nothing, one has a rate for each layer, and one keeps the rates that its code sets."""
    rates: list[Any] = [0.0, 0.6, None, 0.2, [0.5, 0.0, 0.3, 0.1] if name == "dropouts" else [0.4]]
    five = [
        LaneTrial(
            training(model={**custom(name), "dropout": rate}, epochs=1 + number % 3), seed=100 + number, tag=number
        )
        for number, rate in enumerate(rates)
    ]
    group = group_of(five[0].training, data, 3, dtype)
    assert group.fuses
    found = run(group, five)
    for trial in five:
        assert_equal(found[trial.tag], alone(trial, data, dtype), TOLERANCES[dtype])


def test_the_dropout_rate_of_a_trial_is_the_one_it_trains_with(data: TrialData) -> None:
    """Its losses are those of the same model whose code sets that rate."""

    def losses(model: dict[str, Any]) -> list[float]:
        results = alone(LaneTrial(training(model=model), 1, tag=1), data, torch.float64)
        return [one.metrics["train_loss"] for one in results]

    searched = losses({**custom("attention"), "dropout": 0.4})
    assert searched == losses(custom("attention", rate=0.4))
    assert searched != losses(custom("attention"))


@pytest.mark.parametrize(
    ("name", "dropout", "n_layers"), [("mlp", 0.1, 0), ("dropouts", [0.1, 0.2], 4), ("dropouts", [], 4)]
)
def test_rates_for_missing_layers_are_refused(name: str, dropout: Any, n_layers: int, data: TrialData) -> None:
    trial = LaneTrial(training(model={**custom(name), "dropout": dropout}), 1)
    group = group_of(trial.training, data, 1)
    with pytest.raises(ModelError, match=rf"model.dropout must be .*: .* for {n_layers} layers of {NETS}:build_{name}"):
        group.load(trial)
    assert not group.lanes


def test_a_trial_that_diverges_harms_no_neighbour(data: TrialData) -> None:
    wild = training(
        model=custom("norms"), optimizer="sgd", learning_rate=1000, weight_decay=1000, epochs=40, momentum=0.9
    )
    tame = [LaneTrial(training(model=custom("norms"), optimizer="sgd", epochs=8), seed, tag=seed) for seed in range(2)]
    found = run(group_of(wild, data, 3), [tame[0], LaneTrial(wild, 9, tag=9), tame[1]])
    assert "loss is" in str(found[9][-1].error)
    for trial in tame:
        assert_equal(found[trial.tag], alone(trial, data, torch.float32), TOLERANCES[torch.float32])


@pytest.mark.parametrize("kind", ODD)
def test_a_model_that_lanes_cannot_share_trains_one_at_a_time_and_says_why(kind: str, data: TrialData) -> None:
    group = group_of(training(model=custom("odd", kind=kind)), data, 2)
    assert not group.fuses
    assert group.unfusable_reason is not None
    assert ODD[kind] in group.unfusable_reason
    assert "\n" not in group.unfusable_reason
    group.load(LaneTrial(group_training := training(model=custom("odd", kind=kind)), 1))
    group.load(LaneTrial(group_training, 2))
    assert all(result.metrics["train_loss"] > 0 for _ in range(3) for result in group.step())


def test_bf16_is_checked_with_its_own_tolerance(data: TrialData) -> None:
    group = group_of(training(model=custom("cnn"), precision="bf16"), data, 2)
    assert group.unfusable_reason is None
    results = run(
        group, [LaneTrial(training(model=custom("cnn"), precision="bf16"), seed, tag=seed) for seed in range(2)]
    )
    assert all(one[-1].final is not None for one in results.values())


def test_each_trial_gets_its_own_model(data: TrialData) -> None:
    five = trials("norms")
    group = group_of(five[0].training, data, 3)
    images = (data.images[data.validation].float() - data.mean) / data.std
    for results in run(group, five).values():
        final, weights = results[-1].final, results[-1].weights
        assert final is not None
        assert weights is not None
        logits = group.model(results[-1].lane, weights)(images)
        loss = torch.nn.functional.cross_entropy(logits.detach(), data.labels[data.validation])
        assert float(loss) == pytest.approx(final["validation_loss"], rel=1e-5)

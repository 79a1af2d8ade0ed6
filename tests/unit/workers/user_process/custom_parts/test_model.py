"""Custom models in the built-in trainer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from service.schemas.study.data import CustomDataset
from service.schemas.study.training import Training
from tests.unit.workers.user_process.custom_parts.nets import Strange
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import dump_checkpoint, read_checkpoint
from workers.user_process.custom_parts.dataset import custom_trial_data, load_splits
from workers.user_process.custom_parts.model import make_model

HERE = "tests.unit.workers.user_process.custom_parts.nets"
CPU = torch.device("cpu")
Make = Callable[..., Training]


def custom(name: str, **arguments: Any) -> dict[str, Any]:
    return {"entrypoint": f"{HERE}:{name}", "arguments": arguments}


def group_of(training: Training, data: TrialData, n_lanes: int = 1) -> LaneGroup:
    return LaneGroup(training, data, CPU, n_lanes, build=make_model)


def finish(group: LaneGroup) -> list[EpochResult]:
    results: list[EpochResult] = []
    while group.lanes:
        results += group.step()
    return results


def figures(results: list[EpochResult]) -> list[dict[str, float]]:
    return [{name: value for name, value in one.metrics.items() if name != "seconds"} for one in results]


def close(many: list[dict[str, float]], rel: float) -> list[Any]:
    return [pytest.approx(one, rel=rel) for one in many]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "cosine"},
        {"optimizer": "adam", "weight_decay": 0.1, "l1_decay": 0.01},
        {"optimizer": "adamw", "label_smoothing": 0.1, "gradient_clip": 0.1},
        {"input_dropout": 0.2, "noise_std": 0.1},
        {"dataset": {"name": "digits", "augment": "crop_flip_cutout"}},
        {"early_stopping": {"metric": "validation_loss", "patience": 1}, "learning_rate": 0.3},
    ],
    ids=str,
)
def test_a_custom_mlp_trains_as_the_built_in_one(
    make_training: Make, trial_data: TrialData, settings: dict[str, Any], batch_norm: bool
) -> None:
    known = make_training(model={"name": "mlp", "hidden": [9], "batch_norm": batch_norm}, epochs=3, **settings)
    mine = make_training(model=custom("build_mlp", batch_norm=batch_norm), epochs=3, **settings)
    expected, found = (group_of(one, trial_data) for one in (known, mine))
    for group, training in ((expected, known), (found, mine)):
        group.load(LaneTrial(training, 7))
    expected_results, results = finish(expected), finish(found)

    assert len(results) == len(expected_results)
    assert figures(results) == close(figures(expected_results), rel=1e-4)
    last, expected_last = results[-1].final, expected_results[-1].final
    assert last is not None
    assert expected_last is not None
    for name in ("best_epoch", "n_parameters", "n_near_zero_weights"):
        assert last[name] == expected_last[name]


def strange(make_training: Make, **fields: Any) -> Training:
    return make_training(model=custom("build_strange"), epochs=3, batch_size=32, **fields)


def test_the_whole_state_of_a_module_is_saved(make_training: Make, trial_data: TrialData) -> None:
    """The state has frozen and tied weights, replaced buffers, counts and parametrizations."""
    group = group_of(training := strange(make_training), trial_data)
    group.load(LaneTrial(training, 1))
    *_, last = finish(group)
    assert last.weights is not None
    state = last.lane.state_dict(last.weights)
    fresh = Strange(144)
    fresh.load_state_dict(state)

    torch.manual_seed(0)
    assert state["n_calls"] == state["norm.num_batches_tracked"] == 9
    assert state["mean"].abs().sum() > 0
    assert torch.equal(state["tied.weight"], state["inner.weight"])
    assert torch.equal(state["unused"], torch.ones(2))
    model = group.model(last.lane, last.weights)
    images = torch.randn(5, 1, 12, 12)
    torch.testing.assert_close(model(images), fresh.eval()(images))
    assert last.final is not None
    assert last.final["n_parameters"] == sum(one.numel() for one in fresh.parameters() if one.requires_grad)


def test_frozen_weights_stay_as_they_were_drawn(make_training: Make, trial_data: TrialData) -> None:
    training = strange(make_training, weight_decay=0.5, l1_decay=0.1, optimizer="adamw")
    group = group_of(training, trial_data)
    lane = group.load(LaneTrial(training, 1))
    before = group.state(lane).tensors["buffers.frozen.weight"]
    *_, last = finish(group)
    assert last.weights is not None
    assert torch.equal(last.weights["buffers.frozen.weight"], before)


def test_random_numbers_of_a_module_come_only_from_the_trials_seed(make_training: Make, trial_data: TrialData) -> None:
    """Neither another trial nor the global generator matters, and that generator does not change."""
    training = strange(make_training)
    alone = group_of(training, trial_data)
    alone.load(LaneTrial(training, 1))
    expected = figures(finish(alone))

    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    beside = group_of(training, trial_data, 2)
    other, one = beside.load(LaneTrial(training, 5)), beside.load(LaneTrial(training, 1))
    results = finish(beside)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert figures([result for result in results if result.lane is one]) == close(expected, rel=1e-4)
    assert figures([result for result in results if result.lane is other]) != expected


def test_a_trial_continues_from_its_checkpoint(make_training: Make, trial_data: TrialData) -> None:
    training = strange(make_training)
    whole, first, second = (group_of(training, trial_data) for _ in range(3))
    whole.load(LaneTrial(training, 1))
    expected = figures(finish(whole))
    lane = first.load(LaneTrial(training, 1))
    for _ in range(4):  # into the second epoch
        first.step()
    content = dump_checkpoint(first.state(lane), training, 1)
    second.load(LaneTrial(training, 1), read_checkpoint(content, training, 1))
    assert figures(finish(second)) == close(expected[1:], rel=1e-6)


def test_lazy_layers_get_their_shapes(make_training: Make, trial_data: TrialData) -> None:
    group = group_of(training := make_training(model=custom("build_lazy")), trial_data)
    group.load(LaneTrial(training, 1))
    *_, last = finish(group)
    assert last.final is not None
    assert last.final["n_parameters"] == 145 * 6 + 7 * 4


def words(make_training: Make, **fields: Any) -> tuple[Training, TrialData]:
    dataset = {"entrypoint": f"{HERE}:build_words_data"}
    training = make_training(dataset=dataset, model=custom("build_words"), epochs=5, **fields)
    assert isinstance(training.dataset, CustomDataset)
    return training, custom_trial_data(load_splits(training.dataset, 0), CPU)


def test_a_model_of_tokens_learns(make_training: Make) -> None:
    training, data = words(make_training, learning_rate=0.1)
    group = group_of(training, data)
    group.load(LaneTrial(training, 1))
    first, *_, last = finish(group)
    assert last.metrics["train_loss"] < 0.8 * first.metrics["train_loss"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise_std": 0.1}, r"noise_std and input_dropout must be 0 for integer inputs: int64 \[5\]"),
        ({"input_dropout": 0.1}, "noise_std and input_dropout must be 0"),
    ],
)
def test_tokens_are_not_disturbed(make_training: Make, fields: dict[str, Any], message: str) -> None:
    training, data = words(make_training, **fields)
    with pytest.raises(ModelError, match=message):
        group_of(training, data).load(LaneTrial(training, 1))


def test_only_images_are_augmented(make_training: Make) -> None:
    dataset = {"entrypoint": f"{HERE}:build_words_data", "augment": "flip"}
    training = make_training(dataset=dataset, model=custom("build_words"))
    assert isinstance(training.dataset, CustomDataset)
    with pytest.raises(ModelError, match=r"augment needs inputs .* \[channels, height, width\]: int64 \[5\]"):
        group_of(training, custom_trial_data(load_splits(training.dataset, 0), CPU)).load(LaneTrial(training, 1))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nothing", "build_other must return a torch.nn.Module: NoneType"),
        ("no parameters", r"build_other must give logits of|build_other must return a module with parameters"),
        ("frozen", "build_other must return a module with parameters to train"),
        ("too few", "build_other must give logits of 4 classes: 3"),
        ("no logits", r"build_other must give logits, \[batch, classes\]: \[2, 1, 12, 4\] for \[2, 1, 12, 12\]"),
    ],
)
def test_an_object_that_is_no_usable_model_is_refused_with_a_reason(
    make_training: Make, trial_data: TrialData, kind: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        group_of(make_training(model=custom("build_other", kind=kind)), trial_data)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("tuple", r"must return logits, a tensor \[batch, classes\], in training: tuple for 16 inputs"),
        ("dict", r"must return logits, a tensor \[batch, classes\], in training: dict for 16 inputs"),
        ("one row", r"must return logits, a tensor \[batch, classes\], in training: \[4\] for 16 inputs"),
        ("detached", "logits in training must depend on the parameters"),
    ],
)
def test_a_model_that_is_wrong_only_in_training_is_refused_with_a_rule(
    make_training: Make, trial_data: TrialData, kind: str, message: str
) -> None:
    training = make_training(model=custom("build_wrong_in_training", kind=kind))
    group = group_of(training, trial_data)
    group.load(LaneTrial(training, 1))
    with pytest.raises(ModelError, match=message):
        group.step()


@pytest.mark.parametrize(
    ("kind", "fields", "n_batches"),
    [
        ("function", {"batch_size": 79}, 1),
        ("deviation", {"batch_size": 79}, 1),
        ("none", {"batch_size": 79}, 2),
        ("none", {"batch_size": 78}, 2),
        ("none", {"batch_size": 78, "drop_last": True}, 1),
        ("none", {"batch_size": 40, "drop_last": True}, 2),
    ],
)
def test_a_last_batch_that_the_model_cannot_take_is_left_out(
    make_training: Make, trial_data: TrialData, kind: str, fields: dict[str, Any], n_batches: int
) -> None:
    training = make_training(model=custom("build_other_norm", kind=kind), **fields)
    group = group_of(training, trial_data)
    lane = group.load(LaneTrial(training, 1))
    assert len(lane.rows) == n_batches
    results = finish(group)
    assert all(np.isfinite(result.metrics["train_loss"]) for result in results)


def test_drop_last_needs_a_whole_batch(make_training: Make, trial_data: TrialData) -> None:
    training = make_training(batch_size=81, drop_last=True)
    with pytest.raises(ModelError, match="drop_last needs a whole batch: batch_size=81, 80 training images"):
        group_of(training, trial_data).load(LaneTrial(training, 1))

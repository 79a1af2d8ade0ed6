import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from service.schemas.study.data import Dataset
from service.schemas.study.training import EPOCH_METRICS, FINAL_METRICS, Training
from tests.training import train_model, train_trial
from workers.data.trial_data import TrialData, prepare_data
from workers.errors import DivergedError, ModelError
from workers.models.evaluation import evaluate_model
from workers.training.precision import has_bf16_hardware, resolve_precision

CPU = torch.device("cpu")
Make = Callable[..., Training]
CLOCKS = ("seconds", "training_seconds")
NOISY = {
    "dropout": 0.2,
    "input_dropout": 0.1,
    "noise_std": 0.1,
    "hidden_noise_std": 0.1,
    "dataset": {"name": "digits", "augment": "crop_flip"},
}


class Reports:
    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.metrics: list[dict[str, float]] = []

    def __call__(self, epoch: int, metrics: dict[str, float]) -> None:
        self.epochs.append(epoch)
        self.metrics.append(metrics)

    def without_clocks(self) -> list[dict[str, float]]:
        return [without_clocks(metrics) for metrics in self.metrics]


def without_clocks(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCKS}


def never() -> bool:
    return False


def train(training: Training, data: TrialData, seed: int = 1) -> tuple[dict[str, float], Reports]:
    reports = Reports()
    metrics = train_trial(training, seed, data, CPU, report=reports, should_stop=never)
    assert metrics is not None
    return metrics, reports


def test_every_epoch_is_reported_from_0_and_the_last_is_final(make_training: Make, trial_data: TrialData) -> None:
    metrics, reports = train(make_training(epochs=3), trial_data)
    assert reports.epochs == [0, 1, 2]
    assert all(tuple(epoch) == EPOCH_METRICS for epoch in reports.metrics)
    assert set(metrics) == {*EPOCH_METRICS, *FINAL_METRICS} - {"waiting_seconds"}
    assert {name: metrics[name] for name in EPOCH_METRICS} == reports.metrics[-1]
    accuracies = [epoch["validation_accuracy"] for epoch in reports.metrics]
    assert metrics["best_epoch"] == accuracies.index(max(accuracies))
    assert metrics["generalization_gap"] == metrics["train_accuracy"] - metrics["validation_accuracy"]
    assert metrics["n_parameters"] == 144 * 16 + 16 + 16 * 4 + 4
    assert metrics["training_seconds"] >= sum(epoch["seconds"] for epoch in reports.metrics)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(
    "model", ["mlp", {"name": "mlp", "hidden": []}, {"name": "cnn", "batch_norm": True}, "lenet"], ids=str
)
def test_every_model_learns_with_every_optimizer(
    model: Any, optimizer: str, make_training: Make, trial_data: TrialData
) -> None:
    training = make_training(model=model, optimizer=optimizer, epochs=6, momentum=0.9, nesterov=True, weight_decay=1e-4)
    metrics, reports = train(training, trial_data)
    assert metrics["train_loss"] < reports.metrics[0]["train_loss"]
    assert metrics["train_accuracy"] > 0.5


def test_digits_are_learned(make_training: Make) -> None:
    data = prepare_data(Dataset(name="digits"), Path("/nowhere"), CPU, download=False)
    metrics, _ = train(make_training(epochs=8, schedule="onecycle", model={"name": "mlp", "hidden": [64]}), data)
    assert metrics["validation_accuracy"] > 0.93


def test_the_same_seed_gives_the_same_result_whatever_came_before(make_training: Make, trial_data: TrialData) -> None:
    training = make_training(**NOISY)
    torch.manual_seed(1)
    first, first_reports = train(training, trial_data)
    train(make_training(model="lenet"), trial_data, seed=9)
    torch.manual_seed(2)
    second, second_reports = train(training, trial_data)
    assert without_clocks(first) == without_clocks(second)
    assert first_reports.without_clocks() == second_reports.without_clocks()
    other, _ = train(training, trial_data, seed=2)
    assert without_clocks(other) != without_clocks(first)


def test_the_global_generator_is_left_as_it_was(make_training: Make, trial_data: TrialData) -> None:
    before = torch.get_rng_state()
    train(make_training(**NOISY), trial_data)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("metric", ["validation_accuracy", "validation_loss", "train_loss"])
def test_early_stopping_returns_the_best_epoch_and_its_weights(
    metric: str, make_training: Make, trial_data: TrialData
) -> None:
    stopping = {"metric": metric, "patience": 2}
    training = make_training(epochs=60, learning_rate=0.1, early_stopping=stopping, dropout=0.5)
    reports = Reports()
    trained = train_model(training, 3, trial_data, CPU, report=reports, should_stop=never)
    assert trained is not None
    values = [epoch[metric] for epoch in reports.metrics]
    best = values.index(min(values) if metric.endswith("loss") else max(values))
    assert trained.metrics["best_epoch"] == best
    assert len(values) == best + 1 + 2
    assert {name: trained.metrics[name] for name in EPOCH_METRICS} == reports.metrics[best]
    data = trial_data
    again = evaluate_model(trained.model, data, data.validation, nullcontext())
    assert again[0] == pytest.approx(trained.metrics["validation_loss"], rel=1e-6)
    assert again[1] == trained.metrics["validation_accuracy"]


def test_a_trial_stops_in_the_middle_of_an_epoch(make_training: Make, trial_data: TrialData) -> None:
    answers = iter([False] * 8 + [True])  # 5 batches and the end of the epoch are 6 questions
    reports = Reports()
    stopped = train_trial(make_training(), 1, trial_data, CPU, report=reports, should_stop=lambda: next(answers))
    assert stopped is None
    assert reports.epochs == [0]


def test_a_decision_that_comes_with_the_report_stops_before_the_next_batch(
    make_training: Make, trial_data: TrialData
) -> None:
    reports = Reports()
    stopped = train_trial(
        make_training(epochs=9), 1, trial_data, CPU, report=reports, should_stop=lambda: bool(reports.epochs)
    )
    assert stopped is None
    assert reports.epochs == [0]


def test_a_loss_that_is_no_number_names_its_epoch(make_training: Make, trial_data: TrialData) -> None:
    # The loss overflows in the second epoch: each step multiplies the weights by about -10,000.
    training = make_training(
        optimizer="sgd", learning_rate=1000, weight_decay=10, batch_size=80, epochs=20, model={"name": "mlp"}
    )
    reports = Reports()
    with pytest.raises(DivergedError, match=r"loss is (nan|inf) at epoch (\d+)") as error:
        train_trial(training, 1, trial_data, CPU, report=reports, should_stop=never)
    assert int(str(error.value).split()[-1]) == len(reports.epochs)
    assert all(math.isfinite(epoch["train_loss"]) for epoch in reports.metrics)


def test_label_smoothing_and_noise_leave_the_validation_loss_plain(make_training: Make, trial_data: TrialData) -> None:
    training = make_training(label_smoothing=0.5, learning_rate=1e-12, dropout=0.5, noise_std=1.0)
    plain, _ = train(make_training(learning_rate=1e-12), trial_data)
    smoothed, _ = train(training, trial_data)
    assert smoothed["validation_loss"] == pytest.approx(plain["validation_loss"], rel=1e-6)
    assert smoothed["train_loss"] != pytest.approx(plain["train_loss"], rel=1e-3)


def test_strong_l1_decay_brings_weights_to_near_zero(make_training: Make, trial_data: TrialData) -> None:
    plain, _ = train(make_training(optimizer="sgd", epochs=5), trial_data)
    sparse, _ = train(make_training(optimizer="sgd", epochs=5, l1_decay=0.1), trial_data)
    assert sparse["n_near_zero_weights"] > 3 * plain["n_near_zero_weights"]


def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step(make_training: Make, trial_data: TrialData) -> None:
    schedule = {"name": "step", "step_epochs": 1, "gamma": 0.5}
    _, reports = train(make_training(learning_rate=0.02, epochs=3, schedule=schedule), trial_data)
    assert [epoch["learning_rate"] for epoch in reports.metrics] == [0.02, 0.01, 0.005]


def test_bf16_trains_on_a_cpu(make_training: Make, trial_data: TrialData) -> None:
    fp32, _ = train(make_training(), trial_data)
    bf16, _ = train(make_training(precision="bf16"), trial_data)
    assert bf16["train_loss"] != fp32["train_loss"]
    assert bf16["train_loss"] == pytest.approx(fp32["train_loss"], rel=0.05)


@pytest.mark.parametrize("model", ["mlp", {"name": "cnn", "blocks": [{"channels": 2}]}])
def test_auto_is_what_it_resolves_to(make_training: Make, trial_data: TrialData, model: object) -> None:
    auto = make_training(model=model, precision="auto")
    resolved = resolve_precision(auto, CPU)
    assert resolved == ("bf16" if model != "mlp" and has_bf16_hardware(CPU) else "fp32")
    same, _ = train(make_training(model=model, precision=resolved), trial_data)
    assert without_clocks(train(auto, trial_data)[0]) == without_clocks(same)


def test_a_single_leftover_image_does_not_break_batch_norm(make_training: Make, trial_data: TrialData) -> None:
    model = {"name": "mlp", "hidden": [8], "batch_norm": True}
    train(make_training(model=model, batch_size=79), trial_data)
    with pytest.raises(ModelError, match="batch_size=1"):
        train(make_training(model=model, batch_size=1), trial_data)


def test_a_trial_never_reads_the_test_split(
    make_training: Make, find_data: Callable[[str], Path], tmp_path: Path
) -> None:
    source = find_data("MNIST/raw") / "MNIST/raw"
    target = tmp_path / "MNIST/raw"
    target.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (target / name).symlink_to(source / name)
    training = make_training(dataset={"name": "mnist", "n_train": 600})
    data = prepare_data(training.dataset, tmp_path, CPU, download=False)
    metrics, _ = train(training, data)
    assert metrics["validation_accuracy"] > 0.3

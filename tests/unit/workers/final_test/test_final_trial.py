from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from service.schemas.protocol import Lease
from service.schemas.study.data import CustomDataset, Dataset
from service.schemas.study.training import EPOCH_METRICS, FINAL_METRICS, TEST_METRICS, Training
from tests.training import normalize, train_model
from tests.unit.workers.fakes import lease_json
from workers.data.trial_data import TrialData, merge_validation_into_train, prepare_data
from workers.errors import DatasetError
from workers.final_test.final_trial import FinalTrial
from workers.final_test.test_split import evaluate_test, load_test
from workers.saved.files import load_model
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch, LaneScheduler
from workers.scheduling.lane_times import LaneTimes
from workers.scheduling.leased_trial import VALIDATION_METRICS, LeasedTrial

CPU = torch.device("cpu")
NOWHERE = Path("/nowhere")
Make = Callable[..., Training]


def trial(training: Training, number: int = 0, **changes: Any) -> LeasedTrial:
    fields = {"training": training.model_dump(mode="json"), "test": True, **changes}
    return LeasedTrial(Lease.model_validate({**lease_json(number), **fields}))


def digits(dataset: Dataset | CustomDataset) -> TrialData:
    return prepare_data(dataset, NOWHERE, CPU, download=False)


def train(
    *trials: LeasedTrial, data_of: Callable[[Dataset | CustomDataset], TrialData] = digits
) -> list[FinishedEpoch | FailedTrial]:
    scheduler = LaneScheduler(data_of, CPU, LaneChoice(4, LaneTimes(CPU)), FinalTrial(CPU, NOWHERE, download=False))
    for one in trials:
        scheduler.start(one, None)
    events: list[FinishedEpoch | FailedTrial] = []
    while scheduler.trials:
        events += scheduler.step()
    return events


def finals(events: list[FinishedEpoch | FailedTrial]) -> dict[int, dict[str, float]]:
    return {
        event.trial.lease.trial_number: event.final
        for event in events
        if isinstance(event, FinishedEpoch) and event.final is not None
    }


def test_test_metrics_are_those_of_the_trained_model_on_normalized_test_images(make_training: Make) -> None:
    training = make_training()
    data = digits(training.dataset)
    trained = train_model(training, 7, data, CPU, report=lambda *_: None, should_stop=lambda: False)
    assert trained is not None
    test = load_test(training.dataset, NOWHERE, False)
    logits = trained.model(normalize(test.images, data.mean, data.std)).detach()
    loss = torch.nn.functional.cross_entropy(logits, test.labels)

    metrics = finals(train(trial(training)))[0]

    assert metrics["test_loss"] == pytest.approx(float(loss), rel=1e-5)
    assert metrics["test_accuracy"] == pytest.approx(float((logits.argmax(1) == test.labels).float().mean()))
    assert metrics["n_test_images"] == len(test.labels) == 359
    assert metrics["test_accuracy"] > 0.5
    assert set(metrics) == {*EPOCH_METRICS, *FINAL_METRICS, *TEST_METRICS} - {"waiting_seconds"}


def test_the_model_that_is_kept_is_the_one_that_was_tested(make_training: Make, tmp_path: Path) -> None:
    training = make_training(early_stopping={"patience": 1}, epochs=20, learning_rate=0.1)
    *_, last = train(trial(training))
    assert isinstance(last, FinishedEpoch)
    assert last.model is not None
    (tmp_path / "model").write_bytes(last.model())
    model, about = load_model(tmp_path / "model")
    test = load_test(training.dataset, NOWHERE, False)
    mean, std = (torch.tensor(about[name]).view(-1, 1, 1) for name in ("mean", "std"))
    share = (model(normalize(test.images, mean, std)).argmax(1) == test.labels).float().mean()
    assert about["metrics"]["test_accuracy"] == pytest.approx(float(share))


def test_only_a_lease_with_test_is_tested(make_training: Make) -> None:
    found = finals(train(trial(make_training()), trial(make_training(learning_rate=0.02), 1, test=False)))
    assert set(TEST_METRICS) <= set(found[0])
    assert not set(TEST_METRICS) & set(found[1])


def test_no_other_lease_opens_the_test_split(make_training: Make) -> None:
    training = make_training()
    ordinary = trial(training, test=False).lease
    with pytest.raises(ValueError, match="only the last trial of a final evaluation"):
        FinalTrial(CPU, NOWHERE, download=False)(ordinary, torch.nn.Flatten(), digits(training.dataset))


def test_a_second_attempt_of_a_lease_gives_the_same_test_metrics(make_training: Make) -> None:
    first, again = (finals(train(trial(make_training(dropout=0.3), attempt=attempt)))[0] for attempt in (1, 2))
    assert {name: first[name] for name in TEST_METRICS} == {name: again[name] for name in TEST_METRICS}


def test_a_missing_test_split_fails_the_trial_after_its_training(make_training: Make) -> None:
    training = make_training(dataset={"name": "mnist"})
    images = torch.zeros((20, 1, 28, 28), dtype=torch.uint8)
    rows = torch.arange(20)
    data = TrialData(images, rows % 2, rows[:10], rows[10:], torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 2)
    *epochs, last = train(trial(training), data_of=lambda _dataset: data)
    assert len(epochs) == training.epochs - 1
    assert isinstance(last, FailedTrial)
    assert isinstance(last.error, DatasetError)
    assert "t10k-images" in str(last.error)


def test_a_trial_that_trains_on_validation_reports_no_validation_metrics(make_training: Make) -> None:
    whole, part = trial(make_training(), train_on_validation=True), trial(make_training(), 1)
    events = train(whole, part)
    found = finals(events)
    assert not set(VALIDATION_METRICS) & set(found[0])
    assert set(VALIDATION_METRICS) <= set(found[1])
    assert not any(
        set(VALIDATION_METRICS) & set(one.metrics)
        for one in events
        if isinstance(one, FinishedEpoch) and one.trial is whole
    )
    assert set(TEST_METRICS) <= set(found[0])
    expected = train_model(
        whole.lease.built_in,
        7,
        merge_validation_into_train(digits(whole.lease.built_in.dataset)),
        CPU,
        report=lambda *_: None,
        should_stop=lambda: False,
    )
    assert expected is not None
    assert found[0]["train_loss"] == expected.metrics["train_loss"] != found[1]["train_loss"]


def test_merging_validation_trains_on_all_rows_and_normalizes_by_them() -> None:
    data = digits(Dataset(name="digits"))
    whole = merge_validation_into_train(data)
    assert whole.train.tolist() == list(range(len(data.labels)))
    normalized = normalize(whole.images, whole.mean, whole.std)
    assert float(normalized.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(normalized.std(correction=0)) == pytest.approx(1.0, abs=1e-5)
    assert whole.validation is data.validation
    assert replace(whole, train=data.train, mean=data.mean, std=data.std) == data


@pytest.mark.parametrize(
    ("sizes", "message"), [((8, 9), "must have the shape of the training images"), ((8, 8), "of the 2 classes")]
)
def test_test_images_of_another_shape_or_class_are_refused(
    sizes: tuple[int, int], message: str, tmp_path: Path, make_training: Make
) -> None:
    labels = ("0", "1", "2") if sizes[0] == sizes[1] else ("0", "1")
    for part, size in zip(("train", "test"), sizes, strict=True):
        for label in labels:
            (tmp_path / "mine" / part / label).mkdir(parents=True)
            for number in range(3):
                Image.new("L", (size, size), number).save(tmp_path / "mine" / part / label / f"{number}.png")
    training = make_training(dataset={"name": "image_folder", "path": "mine", "image_size": sizes[1]})
    images = torch.zeros((4, 1, sizes[0], sizes[0]), dtype=torch.uint8)
    rows = torch.arange(4)
    data = TrialData(images, rows % 2, rows, rows, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 2)
    with pytest.raises(DatasetError, match=message):
        evaluate_test(torch.nn.Flatten(), training, data, load_test(training.dataset, tmp_path, False), CPU)

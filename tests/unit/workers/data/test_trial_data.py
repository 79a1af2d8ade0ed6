from pathlib import Path

import pytest
import torch

from service.schemas.study.data import Dataset
from tests.training import normalize
from workers.data.trial_data import channel_statistics, check_train_classes, prepare_data
from workers.errors import DatasetError

CPU = torch.device("cpu")
NOWHERE = Path("/nowhere")


def test_normalized_training_pixels_have_mean_0_and_deviation_1_in_every_channel() -> None:
    images = torch.randint(0, 256, (50, 3, 6, 5), dtype=torch.uint8)
    images[:, 1] //= 3
    mean, std = channel_statistics(images, torch.arange(50))
    normalized = normalize(images, mean, std)
    assert normalized.dtype == torch.float32
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_statistics_ignore_rows_that_are_not_trained_on() -> None:
    images = torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8)
    rows = torch.tensor([3, 9, 17])
    before = channel_statistics(images, rows)
    images[[0, 1, 19]] = 255
    after = channel_statistics(images, rows)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    torch.testing.assert_close(before[0].flatten(), images[rows].double().mean((0, 2, 3)).float())


def test_a_channel_of_constant_value_stays_finite() -> None:
    images = torch.full((4, 1, 2, 2), 7, dtype=torch.uint8)
    mean, std = channel_statistics(images, torch.arange(4))
    assert torch.equal(normalize(images, mean, std), torch.zeros(4, 1, 2, 2))


def test_prepared_splits_are_disjoint_rows_of_the_train_part() -> None:
    data = prepare_data(Dataset(name="digits", n_train=500, validation_fraction=0.1), NOWHERE, CPU, download=False)
    rows = data.train.tolist() + data.validation.tolist()
    assert (len(data.train), len(data.validation)) == (450, 50)
    assert len(set(rows)) == 500
    assert max(rows) < len(data.images) == 1438
    assert data.n_classes == 10


def test_equal_settings_are_prepared_once_whatever_the_augmentation() -> None:
    first = prepare_data(Dataset(name="digits"), NOWHERE, CPU, download=False)
    assert prepare_data(Dataset(name="digits", augment="flip"), NOWHERE, CPU, download=False) is first
    assert prepare_data(Dataset(name="digits", split_seed=1), NOWHERE, CPU, download=False) is not first


def test_training_examples_of_one_class_are_refused() -> None:
    one_class = Dataset(name="digits", n_train=2, validation_fraction=0.5)
    message = r"digits must have at least two classes to train on: all 1 training examples are of class \d"
    with pytest.raises(DatasetError, match=message):
        prepare_data(one_class, NOWHERE, CPU, download=False)


def test_the_class_of_the_training_examples_is_named() -> None:
    with pytest.raises(DatasetError, match=r"birds must have at least two classes .* of class owl$"):
        check_train_classes("birds", torch.ones(3, dtype=torch.int64), ("gull", "owl"))


@pytest.mark.parametrize("n_train", [None, 100])
def test_two_splits_of_a_data_set_share_their_pixels(n_train: int | None) -> None:
    # Seeds of this test's own: what other tests have prepared may be kept while its data set is not.
    first = prepare_data(Dataset(name="digits", split_seed=101, n_train=n_train), NOWHERE, CPU, download=False)
    second = prepare_data(Dataset(name="digits", split_seed=102, n_train=n_train), NOWHERE, CPU, download=False)
    assert first.images.data_ptr() == second.images.data_ptr()

"""Data sets that torchvision reads without a checksum, written here in the layout that it expects."""

import bz2
from pathlib import Path

import pytest
import torch
from PIL import Image

from service.schemas.study.data import TORCHVISION_DATASETS, Dataset
from workers.data.published_files import CIFAR_SETS, IDX_SETS
from workers.data.torchvision_sets import BY_FLAG, PHOTOGRAPHS, SPLITS, UNSPLIT
from workers.data.train_split import load_train
from workers.final_test.test_split import load_test


def write_images(folder: Path, n: int, suffix: str, size: tuple[int, int] = (64, 64)) -> None:
    folder.mkdir(parents=True)
    for number in range(n):
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}{suffix}")


def write_usps(path: Path, labels: list[int]) -> None:
    pixels = " ".join(f"{number}:{number / 128 - 1}" for number in range(1, 257))
    path.write_bytes(bz2.compress("".join(f"{label} {pixels}\n" for label in labels).encode()))


def test_every_name_of_the_schema_has_one_reader() -> None:
    readers = [*BY_FLAG, *UNSPLIT, *SPLITS, *(set(IDX_SETS) | set(CIFAR_SETS)) & set(TORCHVISION_DATASETS)]
    assert sorted(readers) == sorted(TORCHVISION_DATASETS)
    assert set(TORCHVISION_DATASETS) >= PHOTOGRAPHS


@pytest.mark.parametrize(("train", "test"), SPLITS.values(), ids=SPLITS)
def test_no_data_set_trains_on_its_test_split(train: tuple[str, ...], test: str) -> None:
    assert test not in train


def test_a_data_set_whose_split_is_a_flag(tmp_path: Path) -> None:
    write_usps(tmp_path / "usps.bz2", [1, 10, 3])
    train = load_train(Dataset(name="usps"), tmp_path, False)
    assert train.images.shape == (3, 1, 16, 16)
    assert train.labels.tolist() == [0, 9, 2]
    write_usps(tmp_path / "usps.t.bz2", [2])
    assert load_test(Dataset(name="usps"), tmp_path, False).labels.tolist() == [1]


def test_a_data_set_of_photographs_whose_test_split_is_called_val(tmp_path: Path) -> None:
    write_images(tmp_path / "imagenette2/train/n01440764", 2, ".JPEG", size=(80, 50))
    write_images(tmp_path / "imagenette2/train/n02102040", 1, ".JPEG", size=(30, 99))
    train = load_train(Dataset(name="imagenette"), tmp_path, False)
    assert train.images.shape == (3, 3, 96, 96)
    assert train.labels.tolist() == [0, 0, 1]
    write_images(tmp_path / "imagenette2/val/n01440764", 1, ".JPEG")
    assert len(load_test(Dataset(name="imagenette"), tmp_path, False).labels) == 1


def test_the_validation_split_of_a_data_set_is_training_data(tmp_path: Path) -> None:
    for split, n in (("train", 3), ("valid", 2), ("test", 4)):
        write_images(tmp_path / "country211" / split / "AD", n, ".jpg")
    assert len(load_train(Dataset(name="country211", image_size=16), tmp_path, False).labels) == 5
    assert len(load_test(Dataset(name="country211", image_size=16), tmp_path, False).labels) == 4


def test_a_data_set_without_splits(tmp_path: Path) -> None:
    for name in ("Forest", "River"):
        write_images(tmp_path / "eurosat/2750" / name, 10, ".jpg")
    train = load_train(Dataset(name="eurosat"), tmp_path, False)
    test = load_test(Dataset(name="eurosat"), tmp_path, False)
    assert train.images.shape == (16, 3, 64, 64)
    assert train.labels.bincount().tolist() == [8, 8]
    assert test.labels.bincount().tolist() == [2, 2]
    assert not torch.equal(train.images[:4], test.images)

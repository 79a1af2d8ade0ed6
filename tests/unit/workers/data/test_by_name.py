import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.schemas.study.data import Dataset
from workers.data.train_split import load_train
from workers.errors import DatasetError
from workers.final_test.test_split import load_test

FindData = Callable[[str], Path]

MNIST_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
CIFAR_TRAIN = ("batches.meta", *(f"data_batch_{number}" for number in range(1, 6)))


def write_images(folder: Path, n: int, *, brightness: int = 0, size: tuple[int, int] = (20, 10)) -> None:
    folder.mkdir(parents=True)
    for number in range(n):
        Image.new("RGB", size, (brightness, number, 0)).save(folder / f"{number}.png")


def link(source: Path, target: Path, names: tuple[str, ...]) -> None:
    target.mkdir(parents=True)
    for name in names:
        (target / name).symlink_to(source / name)


def test_digits_are_split_80_to_20_without_overlap_or_loss() -> None:
    train = load_train(Dataset(name="digits"), Path("/nowhere"), False)
    test = load_test(Dataset(name="digits"), Path("/nowhere"), False)
    assert train.images.shape == (1438, 1, 8, 8)
    assert test.images.shape == (359, 1, 8, 8)
    assert train.images.dtype == torch.uint8
    assert int(train.images.max()) == 16
    assert train.n_classes == 10
    shares = train.labels.bincount() / (train.labels.bincount() + test.labels.bincount())
    assert shares.sub(0.8).abs().max() < 0.01


def test_mnist_is_what_torchvision_reads(find_data: FindData) -> None:
    from torchvision import datasets as vision

    root = find_data("MNIST/raw")
    for train, load in ((True, load_train), (False, load_test)):
        reference = vision.MNIST(root, train=train)
        loaded = load(Dataset(name="mnist"), root, False)
        assert torch.equal(loaded.images.squeeze(1), reference.data)
        assert torch.equal(loaded.labels, reference.targets)


def test_fashion_mnist_is_read_from_its_own_folder(find_data: FindData, tmp_path: Path) -> None:
    link(find_data("MNIST/raw") / "MNIST/raw", tmp_path / "FashionMNIST/raw", MNIST_TRAIN)
    assert len(load_train(Dataset(name="fashion_mnist"), tmp_path, False).labels) == 60_000


def test_mnist_train_is_read_without_the_test_files(find_data: FindData, tmp_path: Path) -> None:
    link(find_data("MNIST/raw") / "MNIST/raw", tmp_path / "MNIST/raw", MNIST_TRAIN)
    assert load_train(Dataset(name="mnist"), tmp_path, False).images.shape == (60_000, 1, 28, 28)
    with pytest.raises(DatasetError, match="t10k-images"):
        load_test(Dataset(name="mnist"), tmp_path, False)


def test_cifar10_train_is_read_without_the_test_file(find_data: FindData, tmp_path: Path) -> None:
    root = find_data("cifar-10-batches-py")
    link(root / "cifar-10-batches-py", tmp_path / "cifar-10-batches-py", CIFAR_TRAIN)
    train = load_train(Dataset(name="cifar10"), tmp_path, False)
    with (root / "cifar-10-batches-py/data_batch_1").open("rb") as file:
        batch = pickle.load(file, encoding="latin1")
    assert train.images.shape == (50_000, 3, 32, 32)
    assert np.array_equal(train.images[:10_000].flatten(1).numpy(), batch["data"])
    assert train.labels[:10_000].tolist() == batch["labels"]
    with pytest.raises(DatasetError, match=str(tmp_path)):
        load_test(Dataset(name="cifar10"), tmp_path, False)


def test_cifar10_test_is_read_without_the_train_files(find_data: FindData, tmp_path: Path) -> None:
    source = find_data("cifar-10-batches-py") / "cifar-10-batches-py"
    link(source, tmp_path / "cifar-10-batches-py", ("batches.meta", "test_batch"))
    assert len(load_test(Dataset(name="cifar10"), tmp_path, False).labels) == 10_000


def test_flowers_come_from_class_folders_with_the_given_image_size(find_data: FindData, tmp_path: Path) -> None:
    source = find_data("flowers") / "flowers"
    for folder in source.iterdir():
        link(folder, tmp_path / "flowers" / folder.name, tuple(p.name for p in sorted(folder.iterdir())[:10]))
    train = load_train(Dataset(name="flowers"), tmp_path, False)
    test = load_test(Dataset(name="flowers", image_size=32), tmp_path, False)
    assert train.images.shape == (40, 3, 96, 96)
    assert train.labels.bincount().tolist() == [8] * 5
    assert test.images.shape == (10, 3, 32, 32)


def test_a_folder_without_split_is_split_by_a_fixed_seed(tmp_path: Path) -> None:
    write_images(tmp_path / "mine" / "cat", 10)
    write_images(tmp_path / "mine" / "dog", 5, brightness=200)
    dataset = Dataset(name="image_folder", path="mine", image_size=8)
    train, test = load_train(dataset, tmp_path, False), load_test(dataset, tmp_path, False)
    assert train.labels.bincount().tolist() == [8, 4]
    assert test.labels.bincount().tolist() == [2, 1]
    shades = torch.cat([train.images, test.images])[:, :2, 0, 0].tolist()
    assert len({tuple(shade) for shade in shades}) == 15


def test_a_folder_with_train_and_test_keeps_them_apart_and_numbers_classes_by_train(tmp_path: Path) -> None:
    write_images(tmp_path / "mine/train/cat", 3)
    write_images(tmp_path / "mine/train/dog", 2, brightness=200)
    write_images(tmp_path / "mine/test/dog", 4, brightness=100)
    dataset = Dataset(name="image_folder", path="mine")
    assert load_train(dataset, tmp_path, False).labels.tolist() == [0, 0, 0, 1, 1]
    test = load_test(dataset, tmp_path, False)
    assert test.labels.tolist() == [1] * 4
    assert test.n_classes == 2
    assert set(test.images[:, 0].flatten().tolist()) == {100}


def test_a_class_that_only_test_has_is_an_error(tmp_path: Path) -> None:
    write_images(tmp_path / "mine/train/cat", 3)
    write_images(tmp_path / "mine/test/owl", 1)
    with pytest.raises(DatasetError, match="owl"):
        load_test(Dataset(name="image_folder", path="mine"), tmp_path, False)


@pytest.mark.parametrize(
    ("name", "path", "read_path"),
    [
        ("mnist", None, "MNIST/raw"),
        ("cifar10", None, ""),
        ("flowers", None, "flowers"),
        ("image_folder", "mine", "mine"),
        ("svhn", None, ""),
        ("usps", None, "usps.bz2"),
    ],
)
def test_missing_data_is_one_line_that_names_the_path(
    name: str, path: str | None, read_path: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError) as error:
        load_train(Dataset(name=name, path=path), tmp_path, False)
    assert str(tmp_path / read_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "mine/train/cat", 2)
    write_images(tmp_path / "mine/train/dog", 2)
    (tmp_path / "mine/train/cat/broken.png").write_text("no image")
    (tmp_path / "mine/test").mkdir()
    with pytest.raises(DatasetError, match=r"broken\.png"):
        load_train(Dataset(name="image_folder", path="mine"), tmp_path, False)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_small_images_are_resized_to_image_size(name: str, find_data: FindData) -> None:
    root = find_data("MNIST/raw") if name == "mnist" else Path("/nowhere")
    resized = load_test(Dataset(name=name, image_size=14), root, False)
    plain = load_test(Dataset(name=name), root, False)
    assert resized.images.shape[2:] == (14, 14)
    assert resized.images.dtype == torch.uint8
    assert abs(float(resized.images.float().mean() - plain.images.float().mean())) < 1


def test_the_train_part_is_loaded_once() -> None:
    first = load_train(Dataset(name="digits", split_seed=1), Path("/nowhere"), False)
    assert load_train(Dataset(name="digits", n_train=9), Path("/nowhere"), False) is first
    assert load_train(Dataset(name="digits", image_size=9), Path("/nowhere"), False) is not first


def test_images_of_few_shades_keep_their_values(tmp_path: Path) -> None:
    write_images(tmp_path / "mine/train/a", 2, brightness=1, size=(6, 6))
    write_images(tmp_path / "mine/train/b", 2, brightness=9, size=(6, 6))
    (tmp_path / "mine/test").mkdir()
    train = load_train(Dataset(name="image_folder", path="mine", image_size=6), tmp_path, False)
    assert np.array_equal(train.images[:, 0, 0, 0].numpy(), [1, 1, 9, 9])


def test_a_damaged_file_is_an_error_that_names_the_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in MNIST_TRAIN:
        (folder / name).write_bytes(b"not MNIST")
    with pytest.raises(DatasetError, match=r"mnist cannot be read from .*: train-images-idx3-ubyte is no IDX file"):
        load_train(Dataset(name="mnist"), tmp_path, False)


def test_a_missing_folder_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        load_train(Dataset(name="image_folder", path="mine", image_size=6), tmp_path, False)
    path = tmp_path / "mine"
    assert str(error.value) == (
        f"data set image_folder cannot be read from {path}: No such file or directory (downloads are off)"
    )

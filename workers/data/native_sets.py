"""The data sets that have a reader of their own, so that the test split stays closed in a search."""

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets as vision
from torchvision.datasets.mnist import read_image_file, read_label_file

from workers.data.images import LabelledImages, resize, stack_images
from workers.data.splits import split_rows
from workers.errors import DatasetError

IDX_SETS = {"mnist": vision.MNIST, "fashion_mnist": vision.FashionMNIST, "kmnist": vision.KMNIST}
CIFAR_SETS = {"cifar10": vision.CIFAR10, "cifar100": vision.CIFAR100}
TEST_FRACTION = 0.2
PHOTOGRAPH_SIZE = 96


def part_rows(labels: Tensor, *, train: bool) -> Tensor:
    """Rows of the train or test part of a set that has none: 80/20, stratified, by a fixed seed."""
    train_rows, test_rows = split_rows(
        labels, n_train=None, validation_fraction=TEST_FRACTION, split_seed=0, stratify=True
    )
    return train_rows if train else test_rows


def read_digits(image_size: int | None, *, train: bool) -> LabelledImages:
    """The 1,797 digits of 8x8 pixels, 0..16, that ship inside scikit-learn."""
    from sklearn.datasets import load_digits  # costs a second, and no other set needs it

    digits = load_digits()
    labels = torch.from_numpy(digits.target).long()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
    rows = part_rows(labels, train=train)
    return LabelledImages(resize(images[rows], image_size), labels[rows], 10)


def read_idx(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """MNIST and its kin. torchvision's own readers, because its classes insist on the test files being there."""
    kind = IDX_SETS[name]
    folder = root / kind.__name__ / "raw"
    prefix = "train" if train else "t10k"
    if download:
        kind(root, train=train, download=True)
    images = read_image_file(str(folder / f"{prefix}-images-idx3-ubyte")).unsqueeze(1)
    labels = read_label_file(str(folder / f"{prefix}-labels-idx1-ubyte"))
    return LabelledImages(resize(images, image_size), labels, len(kind.classes))


def read_cifar(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """CIFAR by torchvision's class, told that the files of the other split do not belong to it."""
    kind = CIFAR_SETS[name]
    other: dict[str, list[str]] = {"test_list": []} if train else {"train_list": []}
    data = type(kind.__name__, (kind,), other)(root, train=train, download=download)
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(resize(images, image_size), torch.tensor(data.targets), len(data.classes))


def read_image_folder(folder: Path, image_size: int | None, *, train: bool) -> LabelledImages:
    """A folder of class folders, or of `train` and `test` with class folders in each; else 80/20 by a fixed seed."""
    size = image_size or PHOTOGRAPH_SIZE
    if not (folder / "train").is_dir() or not (folder / "test").is_dir():
        files = vision.ImageFolder(folder)
        rows = part_rows(torch.tensor(files.targets), train=train).tolist()
        return LabelledImages(*stack_images((files[row] for row in rows), len(rows), size), len(files.classes))
    classes, _ = vision.folder.find_classes(folder / "train")
    files = vision.ImageFolder(folder / ("train" if train else "test"))
    return LabelledImages(*stack_images(_renumbered(files, classes), len(files), size), len(classes))


def _renumbered(files: vision.ImageFolder, classes: list[str]) -> Iterator[tuple[Image.Image, int]]:
    unknown = set(files.classes) - set(classes)
    if unknown:
        raise DatasetError(f"test holds classes that train has not: {', '.join(sorted(unknown))} in {files.root}")
    return ((image, classes.index(files.classes[label])) for image, label in files)

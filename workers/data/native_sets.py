"""Readers of single data sets, which never open the test files when the train part is read."""

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
"""Share of the images that becomes the test part if a data set has none."""
PHOTOGRAPH_SIZE = 96
"""Side length, in pixels, of images that differ in size if the study sets no image_size."""


def part_rows(labels: Tensor, *, train: bool) -> Tensor:
    """Return the rows, int64, of the train or test part of a data set without parts: 80/20, stratified, fixed seed."""
    train_rows, test_rows = split_rows(
        labels, n_train=None, validation_fraction=TEST_FRACTION, split_seed=0, stratify=True
    )
    return train_rows if train else test_rows


def read_digits(image_size: int | None, *, train: bool) -> LabelledImages:
    """Read the 1,797 digits of scikit-learn, 8x8 pixels with values 0 to 16."""
    from sklearn.datasets import load_digits  # imported here because it takes a second and no other data set needs it

    digits = load_digits()
    labels = torch.from_numpy(digits.target).long()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
    rows = part_rows(labels, train=train)
    return LabelledImages(resize(images[rows], image_size), labels[rows], 10)


def read_idx(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """Read MNIST or a data set in its format.

    The files are read by torchvision's functions, because its classes require the test files too. Raises what
    torchvision raises for missing or damaged files.
    """
    kind = IDX_SETS[name]
    folder = root / kind.__name__ / "raw"
    prefix = "train" if train else "t10k"
    if download:
        kind(root, train=train, download=True)
    images = read_image_file(str(folder / f"{prefix}-images-idx3-ubyte")).unsqueeze(1)
    labels = read_label_file(str(folder / f"{prefix}-labels-idx1-ubyte"))
    return LabelledImages(resize(images, image_size), labels, len(kind.classes))


def read_cifar(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """Read CIFAR-10 or CIFAR-100 by a subclass of torchvision's class that knows no files of the other part.

    Raises what torchvision raises for missing or damaged files.
    """
    kind = CIFAR_SETS[name]
    other: dict[str, list[str]] = {"test_list": []} if train else {"train_list": []}
    data = type(kind.__name__, (kind,), other)(root, train=train, download=download)
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(resize(images, image_size), torch.tensor(data.targets), len(data.classes))


def read_image_folder(folder: Path, image_size: int | None, *, train: bool) -> LabelledImages:
    """Read a folder of images: `train` and `test`, each with one folder for each class.

    Without these two the class folders are directly in `folder`, and the parts are drawn 80/20 by a fixed seed. Raises
    DatasetError for a class in `test` that is not in `train`, and what torchvision raises for missing files.
    """
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
        raise DatasetError(f"train must have every class of test: {', '.join(sorted(unknown))} is only in {files.root}")
    return ((image, classes.index(files.classes[label])) for image, label in files)

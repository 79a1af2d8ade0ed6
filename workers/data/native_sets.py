"""Readers of single data sets, which never open the test files when the train part is read.

torchvision takes seconds to import, so only downloads import it.
"""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from service.schemas.study.data import BadImages
from workers.data.image_folders import ImageFolder, Samples, count_text, list_image_folder, unicode_text
from workers.data.images import LabelledImages, bad_images, common_mode, read_files, resize, unreadable_files
from workers.data.published_files import CIFAR_SETS, IDX_SETS, read_cifar_files, read_idx_files
from workers.data.splits import split_rows
from workers.errors import DatasetError

DIGITS = Path("datasets", "data", "digits.csv.gz")
"""The digits in the package scikit-learn: 64 pixels and the label in each line."""
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
    """Read the 1,797 digits of scikit-learn, 8x8 pixels with values 0 to 16.

    Its file is read without importing scikit-learn, which takes a second. Raises OSError without scikit-learn.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("scikit-learn is not installed")
    with gzip.open(Path(package.submodule_search_locations[0], DIGITS), "rt") as file:
        digits = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.int64))
    labels = digits[:, -1].clone()
    images = digits[:, :-1].to(torch.uint8).view(-1, 1, 8, 8)
    rows = part_rows(labels, train=train)
    return LabelledImages(resize(images[rows], image_size), labels[rows], 10, tuple(map(str, range(10))))


def read_idx(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """Read MNIST or a data set in its format.

    Raises OSError, ValueError for damaged files, and what torchvision raises when it downloads them.
    """
    idx = IDX_SETS[name]
    if download:
        from torchvision import datasets

        getattr(datasets, idx.folder)(root, train=train, download=True)
    images, labels = read_idx_files(root / idx.folder / "raw", "train" if train else "t10k")
    return LabelledImages(resize(images, image_size), labels, len(idx.classes), idx.classes)


def read_cifar(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """Read CIFAR-10 or CIFAR-100.

    Raises OSError, RuntimeError for damaged files, and what torchvision raises when it downloads them.
    """
    cifar = CIFAR_SETS[name]
    if download:
        from torchvision import datasets

        getattr(datasets, cifar.kind)(root, train=train, download=True)
    images, labels, classes = read_cifar_files(cifar, root, train=train)
    return LabelledImages(resize(images, image_size), labels, len(classes), classes)


def read_image_folder(
    folder: Path, image_size: int | None, on_bad_image: BadImages = "fail", *, train: bool
) -> LabelledImages:
    """Read the train or test part of a folder of images, as list_image_folder finds them.

    A validation split belongs to the train part. Without a test split a fifth of the train split is the test part,
    drawn by a fixed seed. All images become grey if those of every split are, otherwise RGB. Unless bad images are
    skipped, reading the train part also checks that the images of the test part can be read. Raises DatasetError and
    OSError.
    """
    found = list_image_folder(folder)
    size = image_size or PHOTOGRAPH_SIZE
    samples, others = _part_and_rest(found, train=train)
    notes = [f"left out: {count_text(found.left_out)}"] if found.left_out else []
    n_part = len(samples)
    if train:
        _check_part(found, samples)
        samples = samples + found.splits.get("validation", [])
        notes.insert(0, f"test: {len(others)} images")
        if on_bad_image == "fail" and (bad := unreadable_files([path for path, _ in others], size)):
            raise DatasetError(f"in the test part {bad_images(bad, len(others))}")
    mode = common_mode(path for part in found.splits.values() for path, _ in part)
    images, rows, text = read_files([path for path, _ in samples], size, mode, skip_bad=on_bad_image == "skip")
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)[rows]
    n_validation = int((rows >= n_part).sum())
    if train:
        _check_train(found, labels[: len(labels) - n_validation], n_validation)
    names, about = tuple(map(unicode_text, found.classes)), unicode_text("; ".join([*notes, text]))
    return LabelledImages(images, labels, len(found.classes), names, n_validation, about)


def _part_and_rest(found: ImageFolder, *, train: bool) -> tuple[Samples, Samples]:
    """The images of the train or test part, without a validation split, and those of the other part."""
    to_train, to_test = found.splits["train"], found.splits.get("test")
    if to_test is not None:
        return (to_train, to_test) if train else (to_test, to_train)
    rows = part_rows(torch.tensor([label for _, label in to_train]), train=train).tolist()
    rest = sorted(set(range(len(to_train))) - set(rows))
    return [to_train[row] for row in rows], [to_train[row] for row in rest]


def _check_part(found: ImageFolder, samples: Samples) -> None:
    """Raises DatasetError if the test part, drawn from all images, has left none of a class."""
    left = {label for _, label in samples}
    used_up = [name for label, name in enumerate(found.classes) if label not in left]
    if used_up:
        raise DatasetError(f"every class must have more images than the test part takes of it: not {used_up[:10]}")


def _check_train(found: ImageFolder, labels: Tensor, n_validation: int) -> None:
    counts = labels.bincount(minlength=len(found.classes)).tolist()
    empty = [name for name, n in zip(found.classes, counts, strict=True) if n == 0]
    if empty:
        raise DatasetError(f"every class must have an image to train on that can be read: none of {empty[:10]}")
    if "validation" in found.splits and n_validation == 0:
        raise DatasetError("the validation split must have an image that can be read")

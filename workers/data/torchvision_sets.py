"""Data sets that torchvision's classes read."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from service.schemas.study.data import TORCHVISION_DATASETS
from workers.data.images import LabelledImages, stack_images
from workers.data.native_sets import PHOTOGRAPH_SIZE, part_rows

BY_FLAG = ("qmnist", "usps")
"""Data sets whose class takes train=True or train=False."""

UNSPLIT = ("eurosat", "semeion")
"""Data sets without parts, which are drawn 80/20."""
SPLITS = {
    "country211": (("train", "valid"), "test"),
    "dtd": (("train", "val"), "test"),
    "fer2013": (("train",), "test"),
    "fgvc_aircraft": (("trainval",), "test"),
    "flowers102": (("train", "val"), "test"),
    "food101": (("train",), "test"),
    "gtsrb": (("train",), "test"),
    "imagenette": (("train",), "val"),
    "oxford_iiit_pet": (("trainval",), "test"),
    "pcam": (("train", "val"), "test"),
    "rendered_sst2": (("train", "val"), "test"),
    "stl10": (("train",), "test"),
    "svhn": (("train",), "test"),
}
"""For each data set the `split` arguments of the train part, and that of the test part.

All labelled images that are not test images are training data.
"""

PHOTOGRAPHS = frozenset(SPLITS) - {"fer2013", "pcam", "stl10", "svhn"}
"""Data sets whose images are large or differ in size."""


def read_torchvision(name: str, root: Path, image_size: int | None, *, train: bool, download: bool) -> LabelledImages:
    """Read the train or test part of a data set in `TORCHVISION_DATASETS`.

    Raises DatasetError, and what torchvision raises for missing or damaged files.
    """
    size = image_size or (PHOTOGRAPH_SIZE if name in PHOTOGRAPHS else None)
    parts = [_open(name, root, download, **arguments) for arguments in _arguments(name, train=train)]
    n_classes = max(_n_classes(part) for part in parts)
    names = tuple(map(str, getattr(parts[0], "classes", ())))
    if name in UNSPLIT:
        rows = part_rows(torch.as_tensor(_labels(parts[0])), train=train).tolist()
        return LabelledImages(*stack_images((parts[0][row] for row in rows), len(rows), size), n_classes, names)
    images, labels = stack_images(chain.from_iterable(map(_samples, parts)), sum(map(len, parts)), size)
    n_classes = max(n_classes, int(labels.max()) + 1)
    return LabelledImages(images, labels, n_classes, names if len(names) == n_classes else ())


def _arguments(name: str, *, train: bool) -> list[dict[str, Any]]:
    if name in UNSPLIT:
        return [{}]
    if name in BY_FLAG:
        return [{"train": train}]
    train_splits, test_split = SPLITS[name]
    return [{"split": split} for split in (train_splits if train else (test_split,))]


def _open(name: str, root: Path, download: bool, **arguments: Any) -> Any:
    from torchvision import datasets  # imported here because it takes a second, and most data sets do not need it

    kind = getattr(datasets, TORCHVISION_DATASETS[name])
    if name != "fer2013":  # its class has no `download`
        arguments["download"] = download
    if name == "stl10":  # its class checks the files of both parts, which would read the test files
        other: dict[str, list[str]] = {"test_list": []} if arguments["split"] == "train" else {"train_list": []}
        kind = type(kind.__name__, (kind,), other)
    return kind(root, **arguments)


def _samples(part: Any) -> Iterator[tuple[Image.Image, int]]:
    return (part[row] for row in range(len(part)))


def _labels(part: Any) -> Any:
    return part.targets if hasattr(part, "targets") else part.labels


def _n_classes(part: Any) -> int:
    return len(getattr(part, "classes", ()))

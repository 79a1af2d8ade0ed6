"""The files of MNIST and CIFAR as their authors published them, read without torchvision.

torchvision takes 1.8 s of CPU time to import and 140 MB in each process.
"""

import hashlib
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

IDX_OF_BYTES = 0x08
"""Third byte of an IDX file whose numbers have 8 bits without a sign. The fourth one is the number of dimensions."""
CIFAR_SHAPE = (3, 32, 32)
N_CIFAR_TRAIN, N_CIFAR_TEST = 50_000, 10_000


@dataclass(frozen=True)
class IdxSet:
    """A data set in the format of MNIST: its folder, and the names of its classes."""

    folder: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class CifarSet:
    """Files of a CIFAR data set, each with its MD5 sum, and the keys of class names and labels in them."""

    kind: str
    folder: str
    train: dict[str, str]
    test: dict[str, str]
    meta: tuple[str, str]
    names_key: str
    labels_key: str


_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
IDX_SETS = {
    "mnist": IdxSet("MNIST", tuple(f"{digit} - {word}" for digit, word in enumerate(_DIGITS))),
    "fashion_mnist": IdxSet(
        "FashionMNIST",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "kmnist": IdxSet("KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
}
"""By our names; `folder` is also the name of torchvision's class."""
CIFAR_SETS = {
    "cifar10": CifarSet(
        "CIFAR10",
        "cifar-10-batches-py",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        {"test_batch": "40351d587109b95175f43aff81a1287e"},
        ("batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
        "label_names",
        "labels",
    ),
    "cifar100": CifarSet(
        "CIFAR100",
        "cifar-100-python",
        {"train": "16019d7e3df5f24257cddd939b257f8d"},
        {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        ("meta", "7973b15100ade9c7d40fb424638fde48"),
        "fine_label_names",
        "fine_labels",
    ),
}
"""By our names; `kind` is the name of torchvision's class, where the sums are from."""


def read_idx_files(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    """Return images, uint8 [n, 1, height, width], and labels, int64 [n], of a part of a data set.

    `prefix` is that of the names of its two files in `folder`. Raises OSError, and ValueError for damaged files.
    """
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte", 3).unsqueeze(1)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte", 1).long()
    if len(images) != len(labels):
        raise ValueError(f"there are {len(images)} images and {len(labels)} labels")
    return images, labels


def read_cifar_files(cifar: CifarSet, root: Path, *, train: bool) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return images, uint8 [n, 3, 32, 32], labels, int64 [n], and the names of the classes.

    The files are pickles. Each is loaded only if it is byte by byte the published one. Raises OSError, and
    RuntimeError for a file that is another one.
    """
    folder = root / cifar.folder
    files = cifar.train if train else cifar.test
    images = torch.empty((N_CIFAR_TRAIN if train else N_CIFAR_TEST, *CIFAR_SHAPE), dtype=torch.uint8)
    labels: list[int] = []
    for rows, (name, md5) in zip(images.chunk(len(files)), files.items(), strict=True):  # one file in memory at a time
        part = _published(folder / name, md5)
        rows.copy_(torch.from_numpy(part["data"]).view(rows.shape))
        labels += part[cifar.labels_key]
    meta, md5 = cifar.meta
    return images, torch.tensor(labels), tuple(_published(folder / meta, md5)[cifar.names_key])


def _read_idx(path: Path, n_dimensions: int) -> Tensor:
    content = np.fromfile(path, np.uint8)
    start = 4 * (1 + n_dimensions)
    if len(content) < start or content[:4].tolist() != [0, 0, IDX_OF_BYTES, n_dimensions]:
        raise ValueError(f"{path.name} is no IDX file with bytes in {n_dimensions} dimensions")
    shape = content[4:start].view(">u4").tolist()
    if len(content) - start != math.prod(shape):
        raise ValueError(f"{path.name} has {len(content) - start} bytes of data instead of {math.prod(shape)}")
    return torch.from_numpy(content[start:]).view(shape)


def _published(path: Path, md5: str) -> dict[str, Any]:
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise RuntimeError(f"{path.name} is not the published file")
    entries: dict[str, Any] = pickle.loads(content, encoding="latin1")
    return entries

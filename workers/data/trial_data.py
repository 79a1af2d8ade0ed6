"""The data that a trial trains and validates on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from service.schemas.study.data import CustomDataset, Dataset
from workers.data.images import LabelledImages
from workers.data.splits import split_given, split_rows
from workers.data.train_split import load_train
from workers.errors import DatasetError

logger = logging.getLogger("narrows.worker")

N_CLASSES = 20
"""Classes whose images are counted in a description."""
MAX_DESCRIPTION = 2000
STATISTICS_PIXELS = 2**20
"""Pixels that are converted to integers at a time. All photographs of a data set at once took 800 MB."""


@dataclass(frozen=True)
class TrialData:
    """Training data on one device. The splits are row numbers, so no pixel is stored twice."""

    images: Tensor
    """uint8 [n, channels, height, width]; of a custom data set float32, uint8 or int64 [n, …]."""
    labels: Tensor
    """int64 [n]."""
    train: Tensor
    """Rows to train on, int64 [n_train]."""
    validation: Tensor
    """Rows to validate on, int64 [n_validation]."""
    mean: Tensor
    """Mean of the train rows, float32 [channels, 1, 1]; of a custom data set 0, [1]."""
    std: Tensor
    """Standard deviation of the train rows, shaped as `mean`; of a custom data set 1, or 255 for uint8."""
    n_classes: int
    has_statistics: bool = True
    """Whether mean and std are statistics of the images. False for a custom data set."""
    class_names: tuple[str, ...] = ()
    """By class; empty where the data set has none."""
    description: str = ""
    """What is in a folder of images or in a custom data set, for people; empty for other data sets."""


def prepare_data(
    dataset: Dataset | CustomDataset, data_dir: Path, device: torch.device, *, download: bool
) -> TrialData:
    """Return the training data of a built-in data set on a device, split into train and validation.

    Equal settings are loaded once per process. The test part is not read, and mean and std are those of the train rows
    only. Raises DatasetError if the data cannot be read, and for a custom data set.
    """
    if isinstance(dataset, CustomDataset):
        raise DatasetError(f"a custom data set must be read in a process that runs its code: {dataset.entrypoint}")
    return _prepared(dataset.model_copy(update={"augment": "none"}).model_dump_json(), data_dir, device, download)


@lru_cache(maxsize=2)
def _prepared(dataset_json: str, data_dir: Path, device: torch.device, download: bool) -> TrialData:
    dataset = Dataset.model_validate_json(dataset_json)
    loaded = load_train(dataset, data_dir, download)
    train, validation = _split(dataset, loaded)
    check_train_classes(dataset.path or dataset.name, loaded.labels[train], loaded.class_names)
    mean, std = channel_statistics(loaded.images, train)
    description = ""
    if loaded.notes:
        kind = f"images of {'x'.join(map(str, loaded.images.shape[1:]))}"
        description = describe(kind, loaded.labels, loaded.n_classes, train, validation, loaded.class_names)
        description = f"{description}; {loaded.notes}"[:MAX_DESCRIPTION]
    if description:
        logger.info("%s: %s", data_dir / (dataset.path or dataset.name), description)
    return TrialData(
        images=loaded.images.to(device),
        labels=loaded.labels.to(device),
        train=train.to(device),
        validation=validation.to(device),
        mean=mean.to(device),
        std=std.to(device),
        n_classes=loaded.n_classes,
        class_names=loaded.class_names,
        description=description,
    )


def _split(dataset: Dataset, loaded: LabelledImages) -> tuple[Tensor, Tensor]:
    n_train, seed, stratify = dataset.n_train, dataset.split_seed, dataset.stratify
    if loaded.n_validation:
        return split_given(loaded.labels, loaded.n_validation, n_train=n_train, split_seed=seed, stratify=stratify)
    fraction = dataset.validation_fraction
    return split_rows(loaded.labels, n_train=n_train, validation_fraction=fraction, split_seed=seed, stratify=stratify)


def describe(
    kind: str, labels: Tensor, n_classes: int, train: Tensor, validation: Tensor, class_names: Sequence[str] = ()
) -> str:
    """Say how many examples of each class are in each split. Classes without names are called `class 0`, …."""
    sentences = [f"{kind} in {n_classes} classes"]
    for name, rows in {"train": train, "validation": validation}.items():
        counts = labels[rows][labels[rows] < N_CLASSES].bincount(minlength=min(n_classes, N_CLASSES)).tolist()
        names = class_names or [f"class {number}" for number in range(min(n_classes, N_CLASSES))]
        each = ", ".join(f"{text} {n}" for text, n in zip(names[:N_CLASSES], counts, strict=False))
        more = f" and {n_classes - N_CLASSES} more" if n_classes > N_CLASSES else ""
        sentences.append(f"{name}: {len(rows)} ({each}{more})")
    return "; ".join(sentences)


def check_train_classes(name: str, labels: Tensor, class_names: Sequence[str] = ()) -> None:
    """Raises DatasetError, which names the data set, if all labels to train on, int64 [n_train], are of one class."""
    label = int(labels[0])
    if (labels == label).all():
        shown = class_names[label] if class_names else label
        n = len(labels)
        raise DatasetError(
            f"{name} must have at least two classes to train on: all {n} training examples are of class {shown}"
        )


def merge_validation_into_train(data: TrialData) -> TrialData:
    """Return the data with all of its rows to train on, for a final evaluation.

    The validation rows stay but are trained on too, so their figures say nothing about generalization.
    """
    rows = torch.cat([data.train, data.validation]).sort().values
    if not data.has_statistics:
        return replace(data, train=rows)
    mean, std = channel_statistics(data.images.cpu(), rows.cpu())
    return replace(data, train=rows, mean=mean.to(data.mean.device), std=std.to(data.std.device))


def channel_statistics(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population standard deviation, float32 [channels, 1, 1], of some rows of uint8 images.

    The sums are integers and therefore exact. A channel of constant value gets the standard deviation 1.
    """
    n_channels = images.shape[1]
    total = torch.zeros(n_channels, dtype=torch.int64)
    total_of_squares = torch.zeros(n_channels, dtype=torch.int64)
    for chunk in torch.split(rows, max(1, STATISTICS_PIXELS // images[0].numel())):
        pixels = images.index_select(0, chunk).int()
        total += pixels.sum((0, 2, 3))
        total_of_squares += pixels.square_().sum((0, 2, 3))
    n_pixels = len(rows) * images.shape[2] * images.shape[3]
    mean = total.double() / n_pixels
    std = (total_of_squares.double() / n_pixels - mean.square()).clamp(min=0).sqrt()
    std[std == 0] = 1.0
    return mean.float().view(-1, 1, 1), std.float().view(-1, 1, 1)

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from service.schemas.study.data import Dataset, OwnDataset
from workers.data.splits import split_rows
from workers.data.train_split import load_train
from workers.errors import DatasetError

STATISTICS_PIXELS = 2**20
"""How many are widened to integers at a time: all of a set of photographs took 800 MB."""


@dataclass(frozen=True)
class TrialData:
    """The training data on one device. The splits are row numbers, so no pixel is stored twice."""

    images: Tensor  # uint8 [n, channels, height, width]; a user's own float32, uint8 or int64 [n, …]
    labels: Tensor  # int64 [n]
    train: Tensor  # int64 [n_train]
    validation: Tensor  # int64 [n_validation]
    mean: Tensor  # float32 [channels, 1, 1], of the train rows only, or [1]
    std: Tensor  # as mean
    n_classes: int
    has_statistics: bool = True
    """Whether mean and std are those of the images; a user's own data have zero, and one or the scale of bytes."""


def prepare(dataset: Dataset | OwnDataset, data_dir: Path, device: torch.device, *, download: bool) -> TrialData:
    """Load the training data onto a device and split it, once per process for equal settings.

    The test split is not read, and validation has no part in mean and std. Raises DatasetError, also for a user's own
    data set, which only a process of its own reads.
    """
    if isinstance(dataset, OwnDataset):
        raise DatasetError(f"an own data set is read in a process of its own: {dataset.entrypoint}")
    return _prepared(dataset.model_copy(update={"augment": "none"}).model_dump_json(), data_dir, device, download)


@lru_cache(maxsize=2)
def _prepared(dataset_json: str, data_dir: Path, device: torch.device, download: bool) -> TrialData:
    dataset = Dataset.model_validate_json(dataset_json)
    loaded = load_train(dataset, data_dir, download)
    train, validation = split_rows(
        loaded.labels,
        n_train=dataset.n_train,
        validation_fraction=dataset.validation_fraction,
        split_seed=dataset.split_seed,
        stratify=dataset.stratify,
    )
    mean, std = channel_statistics(loaded.images, train)
    return TrialData(
        images=loaded.images.to(device),
        labels=loaded.labels.to(device),
        train=train.to(device),
        validation=validation.to(device),
        mean=mean.to(device),
        std=std.to(device),
        n_classes=loaded.n_classes,
    )


def merge_validation_into_train(data: TrialData) -> TrialData:
    """The same data, all of it to train on; the validation rows are among those, so they tell nothing any more."""
    rows = torch.cat([data.train, data.validation]).sort().values
    if not data.has_statistics:
        return replace(data, train=rows)
    mean, std = channel_statistics(data.images.cpu(), rows.cpu())
    return replace(data, train=rows, mean=mean.to(data.mean.device), std=std.to(data.std.device))


def channel_statistics(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation, float32 [channels, 1, 1], of some rows of uint8 images.

    Summed in integers, so they are exact. A channel that never changes gets the standard deviation 1.
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


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Float32 images of zero mean and unit variance from uint8 ones, [batch, channels, height, width]."""
    return images.float().sub_(mean).div_(std)

"""Data sets by name. A trial loads the train part; the test part is for the final evaluation alone."""

from functools import lru_cache
from pathlib import Path

from service.schemas.data import Dataset
from workers.downloads import MISSING, read_or_download
from workers.errors import DatasetError
from workers.images import LabelledImages
from workers.native_sets import CIFAR_SETS, IDX_SETS, read_cifar, read_digits, read_idx, read_image_folder
from workers.torchvision_sets import read_torchvision


def load_train(dataset: Dataset, data_dir: Path, download: bool) -> LabelledImages:
    """The train part, read once per process. Raises DatasetError, which names the path looked at."""
    return _cached(dataset.name, dataset.path, dataset.image_size, data_dir, download)


def load_test(dataset: Dataset, data_dir: Path, download: bool) -> LabelledImages:
    """The test part. Raises DatasetError, which names the path looked at."""
    return _load(dataset.name, dataset.path, dataset.image_size, data_dir, download, train=False)


@lru_cache(maxsize=2)
def _cached(name: str, path: str | None, image_size: int | None, data_dir: Path, download: bool) -> LabelledImages:
    return _load(name, path, image_size, data_dir, download, train=True)


def _load(
    name: str, path: str | None, image_size: int | None, data_dir: Path, download: bool, *, train: bool
) -> LabelledImages:
    try:
        if name == "digits":
            return read_digits(image_size, train=train)
        if name in ("flowers", "image_folder"):
            return read_image_folder(data_dir / (path or name), image_size, train=train)
        return _read(name, image_size, data_dir, download, train=train)
    except (*MISSING, EOFError, ValueError) as error:
        raise DatasetError(_message(name, data_dir / (path or ""), download, error)) from error


def _read(name: str, image_size: int | None, data_dir: Path, download: bool, *, train: bool) -> LabelledImages:
    reader = read_idx if name in IDX_SETS else read_cifar if name in CIFAR_SETS else read_torchvision
    if not download:
        return reader(name, data_dir, image_size, train=train, download=False)
    return read_or_download(lambda allowed: reader(name, data_dir, image_size, train=train, download=allowed), data_dir)


def _message(name: str, looked_at: Path, download: bool, error: Exception) -> str:
    reason = " ".join(str(error).split())
    hint = "" if download else " (downloads are off)"
    return f"data set {name} cannot be read from {looked_at.absolute()}: {reason}{hint}"

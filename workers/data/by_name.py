"""Data sets by name, each in two parts: one to train on and one for the final evaluation."""

from pathlib import Path

from service.schemas.study.data import BadImages
from workers.data.downloads import MISSING_ERRORS, read_or_download
from workers.data.images import LabelledImages
from workers.data.native_sets import read_cifar, read_digits, read_idx, read_image_folder
from workers.data.published_files import CIFAR_SETS, IDX_SETS
from workers.data.torchvision_sets import read_torchvision
from workers.errors import DatasetError

DAMAGED_ERRORS = (EOFError, ValueError, AssertionError)
"""Errors that torchvision raises for damaged files."""


def read_part(
    name: str,
    path: str | None,
    image_size: int | None,
    on_bad_image: BadImages,
    data_dir: Path,
    download: bool,
    *,
    train: bool,
) -> LabelledImages:
    """Read the train or test part of a data set from its files.

    `path` is relative to `data_dir`. With `image_size` images are stretched to that square (pixels). `download` allows
    to download missing files. Raises DatasetError, which names the path that was read.
    """
    try:
        if name == "digits":
            return read_digits(image_size, train=train)
        if name in ("flowers", "image_folder"):
            return read_image_folder(data_dir / (path or name), image_size, on_bad_image, train=train)
        return _read(name, image_size, data_dir, download, train=train)
    except (*MISSING_ERRORS, *DAMAGED_ERRORS) as error:
        raise DatasetError(_message(name, data_dir / (path or ""), download, error)) from error


def _read(name: str, image_size: int | None, data_dir: Path, download: bool, *, train: bool) -> LabelledImages:
    reader = read_idx if name in IDX_SETS else read_cifar if name in CIFAR_SETS else read_torchvision
    if not download:
        return reader(name, data_dir, image_size, train=train, download=False)
    return read_or_download(lambda allowed: reader(name, data_dir, image_size, train=train, download=allowed), data_dir)


def _message(name: str, path: Path, download: bool, error: Exception) -> str:
    reason = " ".join(str(error).split()) or "a file is damaged"
    if isinstance(error, OSError) and error.strerror:
        is_named = error.filename is None or Path(str(error.filename)).absolute() == path.absolute()
        reason = error.strerror if is_named else f"{error.strerror}: {str(error.filename)!r}"
    hint = "" if download else " (downloads are off)"
    return f"data set {name} cannot be read from {path.absolute()}: {reason}{hint}"

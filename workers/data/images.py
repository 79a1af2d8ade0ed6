"""Images as uint8 tensors, all of one size."""

import errno
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from workers.errors import BadImageError, DatasetError

RESIZE_CHUNK = 1024
"""Images that are resized at a time, to bound the memory."""
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Pillow's modes of images with one channel of more than 8 bits."""
GREY_MODES = ("L", "1", "LA", "La", *DEEP_MODES)
"""Pillow's modes of grey images."""
OF_DAMAGED_FILES = (errno.EINVAL, errno.EOVERFLOW)
"""Errors of the system that a damaged file causes, for example by a negative position in it."""
N_NAMED = 5
"""Number of unreadable images that a message names. It counts all of them."""


@dataclass(frozen=True)
class LabelledImages:
    """The train or test part of a data set. Pixels have their original values: those of digits are 0 to 16."""

    images: Tensor
    """uint8 [n, channels, height, width]; of a custom data set float32, uint8 or int64 [n, …]."""
    labels: Tensor
    """int64 [n], from 0 to n_classes - 1."""
    n_classes: int
    class_names: tuple[str, ...] = ()
    """By class; empty where the data set has none."""
    n_validation: int = 0
    """Number of images at the end that are the data set's own validation split; 0 without one."""
    notes: str = ""
    """What is special about the files, for people: kinds of pixels, files that were left out."""


def stack_images(samples: Iterable[tuple[Image.Image, int]], n: int, image_size: int | None) -> tuple[Tensor, Tensor]:
    """Return `n` decoded images as uint8 [n, channels, height, width] and their labels as int64 [n].

    Images are copied one at a time, so that memory holds them once. If the first image is grey all become grey, with
    one channel; otherwise all become RGB. With `image_size` they are stretched to that square (pixels). Raises
    DatasetError if sizes differ without `image_size`, or if a label is missing.
    """
    images = torch.empty(0)
    labels = torch.empty(n, dtype=torch.int64)
    mode = ""
    for row, (image, label) in enumerate(samples):
        mode = mode or ("L" if image.mode in GREY_MODES else "RGB")
        pixels = _pixels(image, mode, image_size)
        if row == 0:
            images = torch.empty((n, *pixels.shape), dtype=torch.uint8)
        if pixels.shape != images.shape[1:]:
            raise DatasetError(
                f"images differ in size, set image_size: {tuple(pixels.shape)} after {tuple(images.shape[1:])}"
            )
        if label is None:
            raise DatasetError(f"every image needs a label: image {row} has none")
        images[row] = pixels
        labels[row] = int(label)
    return images, labels


def resize(images: Tensor, image_size: int | None) -> Tensor:
    """Stretch images, uint8 [n, channels, height, width], to a square of `image_size` pixels; None keeps their size."""
    if image_size is None or images.shape[2:] == (image_size, image_size):
        return images
    from torchvision.transforms.v2 import functional as transforms

    size = [image_size, image_size]
    return torch.cat([transforms.resize(chunk, size, antialias=True) for chunk in torch.split(images, RESIZE_CHUNK)])


def common_mode(files: Iterable[Path]) -> str:
    """Pillow's mode for images of several files: L if all of them are grey, otherwise RGB. Reads no pixels."""
    return "L" if all(map(_is_grey, files)) else "RGB"


def _is_grey(path: Path) -> bool:
    """Whether an image is grey. So is a damaged one, which says nothing about the others. Raises DatasetError."""
    try:
        with _opened(path) as image:
            return image.mode in GREY_MODES
    except Exception as error:  # noqa: BLE001 - damaged files raise errors of all kinds, and read_files names them
        _check_machine(error, path)
        return True


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image of a file. Raises ValueError for a pipe, whose reader would wait forever, and what Pillow raises."""
    if not path.is_file() and path.exists():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file, Image.open(file) as image:
        yield image


def _check_machine(error: Exception, path: Path) -> None:
    """Raises DatasetError if an image could not be read for a reason that is none of its file's own."""
    if isinstance(error, OSError) and error.errno is not None:
        is_of_machine = error.errno not in OF_DAMAGED_FILES
    else:
        is_of_machine = isinstance(error, MemoryError) or "out of memory error" in str(error)  # as Pillow says it
    if is_of_machine:
        raise DatasetError(f"{path} cannot be read on this machine: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # whose own text names the file once more, as an object of Python
        return "it is not an image, or of a format that Pillow does not read"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split()) or type(error).__name__


def read_files(files: Sequence[Path], image_size: int, mode: str, *, skip_bad: bool) -> tuple[Tensor, Tensor, str]:
    """Read image files, stretched to a square (pixels), as uint8 [n, channels, height, width] of Pillow's `mode`.

    Returns the images, their indexes in `files`, int64 [n], and a text about their kinds. With `skip_bad`, images that
    cannot be read are left out and told in the text. Without it, DatasetError is raised once all files are read. It
    names the first of these files. If a file cannot be read for the machine's sake, DatasetError is raised at once.
    """
    images = torch.empty(0, dtype=torch.uint8)
    rows: list[int] = []
    bad: list[str] = []
    kinds: Counter[str] = Counter()
    for row, path in enumerate(files):
        try:
            kind, pixels = _read_file(path, mode, image_size)
        except BadImageError as error:
            bad.append(str(error))
            continue
        if not rows:
            images = torch.empty((len(files), *pixels.shape), dtype=torch.uint8)
        images[len(rows)] = pixels
        rows.append(row)
        kinds[kind] += 1
    if bad and (not skip_bad or not rows):
        raise DatasetError(bad_images(bad, len(files)))
    text = "kinds: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    if bad:
        text += f"; skipped: {bad_images(bad, len(files))}"
    return images[: len(rows)], torch.tensor(rows, dtype=torch.int64), text


def unreadable_files(files: Sequence[Path], image_size: int) -> list[str]:
    """Images that cannot be read, each with the reason. Keeps no pixels. Raises DatasetError as `read_files` does."""
    bad = []
    for path in files:
        try:
            _read_file(path, "RGB", image_size)
        except BadImageError as error:
            bad.append(str(error))
    return bad


def _read_file(path: Path, mode: str, image_size: int) -> tuple[str, Tensor]:
    """What kind of image a file has, and its pixels.

    Raises BadImageError if the file is damaged, and DatasetError if the machine cannot read it; both name the file.
    """
    try:
        with _opened(path) as image:
            frames = " (first of several frames)" if getattr(image, "n_frames", 1) > 1 else ""
            return image.mode + frames, _pixels(image, mode, image_size)
    except Exception as error:  # damaged files raise errors of all kinds
        _check_machine(error, path)
        raise BadImageError(f"{path}: {_reason(error)}") from error


def bad_images(bad: Sequence[str], n: int) -> str:
    """A sentence that names images that cannot be read."""
    more = f"; and {len(bad) - N_NAMED} more" if len(bad) > N_NAMED else ""
    return f"{len(bad)} of {n} images cannot be read: {'; '.join(bad[:N_NAMED])}{more}"


def _pixels(image: Image.Image, mode: str, image_size: int | None) -> Tensor:
    """Pixels of an image over white, turned as its EXIF orientation says. Raises DatasetError as `_as_bytes` does."""
    image = _over_white(_as_bytes(ImageOps.exif_transpose(image))).convert(mode)
    if image_size is not None:
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    array = torch.from_numpy(np.array(image))
    return array.unsqueeze(0) if mode == "L" else array.permute(2, 0, 1)


def _over_white(image: Image.Image) -> Image.Image:
    """The image as it looks on white paper. Without this, what is transparent has any colour, black in most files."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _as_bytes(image: Image.Image) -> Image.Image:
    """The image with 8 bits for each channel: 16 bits are scaled from 0..65535, floats from 0..1.

    Raises DatasetError for other numbers.
    """
    if image.mode not in DEEP_MODES:
        return image
    values = np.asarray(image).astype(np.float64)
    highest = 1.0 if image.mode == "F" else 65535.0
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= highest):
        raise DatasetError(
            f"pixels of mode {image.mode} must be from 0 to {highest:g}: {values.min():g} to {values.max():g}"
        )
    return Image.fromarray(np.round(values * (255.0 / highest)).astype(np.uint8))

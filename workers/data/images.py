"""Images as uint8 tensors, all of one size."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from workers.errors import DatasetError

RESIZE_CHUNK = 1024
"""Images that are resized at a time, to bound the memory."""
GREY_MODES = ("L", "1", "I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Pillow's modes of images with one channel."""
N_NAMED = 5
"""Images that cannot be read are all counted, and so many of them are named."""


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
    """The last so many images are a validation split that the data set itself has."""
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
        mode = mode or _mode(image)
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


def read_files(files: Sequence[Path], image_size: int, *, skip_bad: bool) -> tuple[Tensor, Tensor, str]:
    """Read image files, stretched to a square (pixels), as uint8 [n, channels, height, width].

    Returns them with the rows of `files` that they are, int64 [n], and a text about their kinds. All become grey if the
    first one is, else RGB. An image that cannot be read is left out with `skip_bad`, which the text says; otherwise
    DatasetError is raised once all files are read. It names the first of these files.
    """
    images = torch.empty(0, dtype=torch.uint8)
    rows: list[int] = []
    bad: list[str] = []
    kinds: Counter[str] = Counter()
    mode = ""
    for row, path in enumerate(files):
        try:
            with Image.open(path) as image:
                kind, first_mode = image.mode, mode or _mode(image)
                pixels = _pixels(image, first_mode, image_size)
        except Exception as error:  # noqa: BLE001 - damaged files raise errors of all kinds
            bad.append(f"{path}: {' '.join(str(error).split()) or type(error).__name__}")
            continue
        if not rows:
            mode, images = first_mode, torch.empty((len(files), *pixels.shape), dtype=torch.uint8)
        images[len(rows)] = pixels
        rows.append(row)
        kinds[kind] += 1
    if bad and (not skip_bad or not rows):
        raise DatasetError(bad_images(bad, len(files)))
    text = "kinds: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    if bad:
        text += f"; {bad_images(bad, len(files))}"
    return images[: len(rows)], torch.tensor(rows, dtype=torch.int64), text


def unreadable_files(files: Sequence[Path], image_size: int) -> list[str]:
    """Images that cannot be read, each with the reason. Keeps no pixels."""
    bad = []
    for path in files:
        try:
            with Image.open(path) as image:
                _pixels(image, _mode(image), image_size)
        except Exception as error:  # noqa: BLE001 - damaged files raise errors of all kinds
            bad.append(f"{path}: {' '.join(str(error).split()) or type(error).__name__}")
    return bad


def bad_images(bad: Sequence[str], n: int) -> str:
    """A sentence that names images that cannot be read."""
    more = f"; and {len(bad) - N_NAMED} more" if len(bad) > N_NAMED else ""
    return f"{len(bad)} of {n} images cannot be read: {'; '.join(bad[:N_NAMED])}{more}"


def _mode(image: Image.Image) -> str:
    return "L" if image.mode in GREY_MODES else "RGB"


def _pixels(image: Image.Image, mode: str, image_size: int | None) -> Tensor:
    """Pixels of an image, turned as its EXIF orientation says. Raises DatasetError for floats that are not 0 to 1."""
    image = _as_bytes(ImageOps.exif_transpose(image)).convert(mode)
    if image_size is not None:
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    array = torch.from_numpy(np.array(image))
    return array.unsqueeze(0) if mode == "L" else array.permute(2, 0, 1)


def _as_bytes(image: Image.Image) -> Image.Image:
    """The image with 8 bits for each channel: 16 bits are scaled from 0..65535, floats from 0..1."""
    if image.mode not in GREY_MODES[2:]:
        return image
    values = np.asarray(image).astype(np.float64)
    highest = 1.0 if image.mode == "F" else 65535.0
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= highest):
        raise DatasetError(
            f"pixels of mode {image.mode} must be from 0 to {highest:g}: {values.min():g} to {values.max():g}"
        )
    return Image.fromarray(np.round(values * (255.0 / highest)).astype(np.uint8))

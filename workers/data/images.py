"""Images as uint8 tensors, all of one size."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workers.errors import DatasetError

RESIZE_CHUNK = 1024
"""Images that are resized at a time, to bound the memory."""


@dataclass(frozen=True)
class LabelledImages:
    """The train or test part of a data set. Pixels have their original values: those of digits are 0 to 16."""

    images: Tensor
    """uint8 [n, channels, height, width]; of a custom data set float32, uint8 or int64 [n, …]."""
    labels: Tensor
    """int64 [n], from 0 to n_classes - 1."""
    n_classes: int


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
        mode = mode or ("L" if image.mode in ("L", "1") else "RGB")
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


def _pixels(image: Image.Image, mode: str, image_size: int | None) -> Tensor:
    image = image.convert(mode)
    if image_size is not None:
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    array = torch.from_numpy(np.array(image))
    return array.unsqueeze(0) if mode == "L" else array.permute(2, 0, 1)

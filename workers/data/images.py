"""Images as the rest of the worker wants them: uint8 tensors, all of one size."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workers.errors import DatasetError

RESIZE_CHUNK = 1024


@dataclass(frozen=True)
class LabelledImages:
    """One part of a data set. No pixel is scaled: digits keep their 0..16."""

    images: Tensor  # uint8 [n, channels, height, width]
    labels: Tensor  # int64 [n]
    n_classes: int


def stack_images(samples: Iterable[tuple[Image.Image, int]], n: int, image_size: int | None) -> tuple[Tensor, Tensor]:
    """Stack `n` decoded images and their labels, one at a time so that no second copy is held.

    Grey images keep one channel, all others become RGB; the first decides for all. With `image_size` they are
    stretched to that square (pixels). Raises DatasetError when sizes differ and none is given, or a label is missing.
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
    """Stretch a stack of images, uint8 [n, channels, height, width], to a square of `image_size` pixels."""
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

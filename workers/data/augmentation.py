"""Augmentation of images: random changes that are drawn for a whole epoch and applied batch by batch.

Crop and flip move pixels before normalization. Cutout comes after it, where zero is the mean. Changes are int64
[5, images]. Their rows are: row shift, column shift, 1 if mirrored, row and column of the middle of a hole.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  (the name that every PyTorch reader knows)
from torch import Generator, Tensor

from service.schemas.study.data import Augment

Part = Literal["crop", "flip", "cutout"]

CROP_DIVISOR = 8
CUTOUT_DIVISOR = 2
"""A hole is half as wide as the shorter side: 16 of 32 pixels, as DeVries and Taylor found best for CIFAR-10."""
NOWHERE = -(2**20)
"""Middle of a hole that lies outside of every image."""


def parts_of(kind: Augment) -> frozenset[Part]:
    """Return the parts of an augmentation, such as crop and flip of `crop_flip`."""
    parts: tuple[Part, ...] = ("crop", "flip", "cutout")
    return frozenset(part for part in parts if part in kind)


def draw_changes(kind: Augment, n_images: int, image_shape: Sequence[int], generator: Generator) -> Tensor:
    """Draw changes of the parts of `kind` for `n_images`, int64 [5, n_images]. Other parts change nothing.

    `image_shape` is (channels, height, width). The generator and the result are on the CPU, so that images change in
    the same way on every device.
    """
    _, height, width = image_shape
    changes = torch.empty(5, n_images, dtype=torch.int64)
    changes[:2], changes[2], changes[3:] = padding(width), 0, NOWHERE
    parts = parts_of(kind)
    if "crop" in parts:
        changes[:2] = torch.randint(2 * padding(width) + 1, (2, n_images), generator=generator)
    if "flip" in parts:
        changes[2] = torch.randint(2, (n_images,), generator=generator)
    if "cutout" in parts:
        changes[3] = torch.randint(height, (n_images,), generator=generator)
        changes[4] = torch.randint(width, (n_images,), generator=generator)
    return changes


def crop_and_flip(images: Tensor, changes: Tensor, parts: frozenset[Part]) -> Tensor:
    """Shift images, [images, channels, height, width], if `parts` has crop; then mirror them if it has flip."""
    if "crop" in parts:
        images = crop(images, changes[0], changes[1])
    if "flip" in parts:
        images = torch.where(changes[2].bool().view(-1, 1, 1, 1), images.flip(3), images)
    return images


def padding(side: int) -> int:
    """Return how many pixels images of a side length may shift in each direction."""
    return max(1, side // CROP_DIVISOR)


def crop(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pad images, [images, channels, height, width], with black and cut a window of the old size out of each.

    `rows` and `columns`, int64 [images], are the positions of the windows in the padded images.
    """
    n, _, height, width = images.shape
    padded = F.pad(images, (padding(width),) * 4)
    # Copying windows takes 0.4 ms for 128 images of 3x32x32; gathering by pixel indices takes 1.6 (EPYC, one thread).
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [images, channels, rows, columns, height, width]
    return windows[torch.arange(n, device=images.device), :, rows, columns]


def cut_out(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Set a square of each image to zero, in place (Cutout of DeVries and Taylor, arXiv 1708.04552).

    Images are normalized floats, [images, channels, height, width]. `rows` and `columns`, int64 [images], are the
    middles of the squares, whose parts outside of the image are ignored. As in the authors' code the middle of a square
    is the first pixel of its second half.
    """
    height, width = images.shape[2:]
    side = hole_side(height, width)
    in_rows = _within(height, rows, side)
    in_columns = _within(width, columns, side)
    return images.masked_fill_((in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1), 0)


def hole_side(height: int, width: int) -> int:
    """Return the side of a hole, in pixels, for images of a height and width."""
    return max(1, min(height, width) // CUTOUT_DIVISOR)


def _within(length: int, middles: Tensor, side: int) -> Tensor:
    """Bool [images, length]: which positions are within the `side` positions around each middle."""
    offsets = torch.arange(length, device=middles.device) - middles.unsqueeze(1) + side // 2
    return (offsets >= 0) & (offsets < side)

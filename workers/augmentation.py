"""Random changes to a batch of images, uint8 [batch, channels, height, width]."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  (the name that every PyTorch reader knows)
from torch import Generator, Tensor

Augment = Literal["none", "flip", "crop", "crop_flip"]


def augment(images: Tensor, kind: Augment, generator: Generator) -> Tensor:
    """Apply what `kind` names. The generator must be on the device of the images."""
    if kind in ("crop", "crop_flip"):
        images = crop(images, max(1, images.shape[-1] // 8), generator)
    if kind in ("flip", "crop_flip"):
        images = flip(images, generator)
    return images


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = torch.rand(len(images), device=images.device, generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)


def crop(images: Tensor, padding: int, generator: Generator) -> Tensor:
    """Pad each image with black on all sides and cut out its size again, at a place of its own."""
    n, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    shifts = torch.randint(2 * padding + 1, (2, n, 1), device=images.device, generator=generator)
    rows = shifts[0] + torch.arange(height, device=images.device)  # [batch, height]
    columns = shifts[1] + torch.arange(width, device=images.device)  # [batch, width]
    batch = torch.arange(n, device=images.device).view(-1, 1, 1)
    # Indexed dimensions go first: [batch, height, width, channels].
    return padded[batch, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)

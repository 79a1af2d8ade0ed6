from typing import Protocol

import torch
from torch import Tensor

from workers.data.augmentation import Part, crop_and_flip, cut_out
from workers.data.trial_data import TrialData


class Batches(Protocol):
    def load(self, rows: Tensor, changes: Tensor | None = None, parts: frozenset[Part] = frozenset()) -> Tensor:
        """What goes into the network: [rows, …]; the next call may write over it."""


def make_batches(data: TrialData, dtype: torch.dtype) -> Batches:
    return WholeNumbers(data) if data.images.dtype == torch.int64 else Images(data, dtype)


class WholeNumbers:
    """Batches of whole numbers, such as tokens, which nothing changes."""

    def __init__(self, data: TrialData) -> None:
        self._inputs = data.images

    def load(self, rows: Tensor, changes: Tensor | None = None, parts: frozenset[Part] = frozenset()) -> Tensor:
        return self._inputs.index_select(0, rows)


class Images:
    """Batches of images, float and normalized, from those of a data set, which stay as they are: uint8, or float."""

    def __init__(self, data: TrialData, dtype: torch.dtype) -> None:
        self._images = data.images
        scale = data.std.to(dtype).reciprocal()
        self._scale, self._shift = scale, -data.mean.to(dtype) * scale
        self._grey = float(scale) if scale.numel() == 1 else None
        self._raw = data.images.new_empty(0, *data.images.shape[1:])
        self._floats = scale.new_empty(self._raw.shape)

    def load(self, rows: Tensor, changes: Tensor | None = None, parts: frozenset[Part] = frozenset()) -> Tensor:
        n = len(rows)
        if n > len(self._raw):
            self._raw, self._floats = (old.new_empty(n, *old.shape[1:]) for old in (self._raw, self._floats))
        raw = torch.index_select(self._images, 0, rows, out=self._raw[:n])
        if changes is not None:
            raw = crop_and_flip(raw, changes, parts)
        floats = self._normalize(self._floats[:n].copy_(raw))
        if changes is not None and "cutout" in parts:
            cut_out(floats, changes[3], changes[4])
        return floats

    def _normalize(self, floats: Tensor) -> Tensor:
        if self._grey is not None:  # one pass instead of two, with a number in place of a tensor
            return torch.add(self._shift, floats, alpha=self._grey, out=floats)
        return floats.mul_(self._scale).add_(self._shift)

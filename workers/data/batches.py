"""Network inputs of batches, loaded by row numbers."""

from typing import Protocol

import torch
from torch import Tensor

from workers.data.augmentation import Part, crop_and_flip, cut_out
from workers.data.trial_data import TrialData


class Batches(Protocol):
    """Loads batches of a data set."""

    def load(self, rows: Tensor, changes: Tensor | None = None, parts: frozenset[Part] = frozenset()) -> Tensor:
        """Return the network inputs of some rows, int64 [n]: [n, …]. The next call may overwrite them.

        `changes` are augmentations, int64 [5, n], of which `parts` are applied.
        """


def make_batches(data: TrialData, dtype: torch.dtype) -> Batches:
    """Return the batches of a data set, images of `dtype` or integers."""
    return IntegerBatches(data) if data.images.dtype == torch.int64 else ImageBatches(data, dtype)


class IntegerBatches:
    """Batches of integers, such as tokens. They are neither normalized nor augmented."""

    def __init__(self, data: TrialData) -> None:
        self._inputs = data.images

    def load(self, rows: Tensor, changes: Tensor | None = None, parts: frozenset[Part] = frozenset()) -> Tensor:
        """See Batches.load."""
        return self._inputs.index_select(0, rows)


class ImageBatches:
    """Batches of float images, augmented and normalized. The images of the data set, uint8 or float, do not change."""

    def __init__(self, data: TrialData, dtype: torch.dtype) -> None:
        self._images = data.images
        scale = data.std.to(dtype).reciprocal()
        self._scale, self._shift = scale, -data.mean.to(dtype) * scale
        self._grey = float(scale) if scale.numel() == 1 else None
        self._raw = data.images.new_empty(0, *data.images.shape[1:])
        self._floats = scale.new_empty(self._raw.shape)

    def load(self, rows: Tensor, changes: Tensor | None = None, parts: frozenset[Part] = frozenset()) -> Tensor:
        """See Batches.load."""
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
        if self._grey is not None:  # a scalar scale takes one pass over memory instead of two
            return torch.add(self._shift, floats, alpha=self._grey, out=floats)
        return floats.mul_(self._scale).add_(self._shift)

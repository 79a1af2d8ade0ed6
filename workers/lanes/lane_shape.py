"""The sizes of one trial's model, and where its numbers lie in a group that is padded to larger ones."""

from dataclasses import dataclass

import torch

from workers.lanes.layout import Layout, Views
from workers.lanes.random_masks import NoisePoint

BUFFER = "buffers."


@dataclass(frozen=True)
class LaneShape:
    """The layout of a model's parameters, and its noise points."""

    layout: Layout
    points: list[NoisePoint]


class Cut:
    """Exchanges a lane's tensors between its own layout and that of its group, of which it fills the first part.

    Both have the same parameters and buffers; those of the group are as large or larger in every dimension.
    """

    def __init__(self, own: Layout, group: Layout) -> None:
        self._own, self._group = own, group
        self.is_whole = own.sizes == group.sizes
        """Whether both layouts are the same, so that nothing is cut off."""

    def take(self, lane: Views) -> Views:
        """Return the tensors of a lane in its own layout: the given ones if the cut is whole, otherwise copies."""
        if self.is_whole:
            return lane
        own: Views = {}
        for name, tensor in lane.items():
            if self._is_row(name, tensor):
                own[name] = tensor.new_zeros(self._own.row_size)
                self._copy_row(own[name], tensor)
            elif name.startswith(BUFFER):
                own[name] = tensor[self._buffer_part(name)].clone()
            else:
                own[name] = tensor.clone()
        return own

    def put(self, own: Views, lane: Views) -> None:
        """Copy tensors in a lane's own layout into the lane. What lies beyond them becomes zero."""
        for name, tensor in lane.items():
            if self.is_whole or not (self._is_row(name, tensor) or name.startswith(BUFFER)):
                tensor.copy_(own[name])
            elif name.startswith(BUFFER):
                tensor.zero_()[self._buffer_part(name)] = own[name]
            else:
                self._copy_row(own[name], tensor.zero_(), into_group=True)

    def _copy_row(self, own: torch.Tensor, group: torch.Tensor, *, into_group: bool = False) -> None:
        group_views = self._group.views(group.unsqueeze(0))
        for name, view in self._own.views(own.unsqueeze(0)).items():
            part = group_views[name][tuple(slice(size) for size in view.shape)]
            if into_group:
                part.copy_(view)
            else:
                view.copy_(part)

    def _is_row(self, name: str, tensor: torch.Tensor) -> bool:
        return tensor.ndim == 1 and not name.startswith(BUFFER)

    def _buffer_part(self, name: str) -> tuple[slice, ...]:
        return tuple(slice(size) for size in self._own.buffers_like[name.removeprefix(BUFFER)].shape)

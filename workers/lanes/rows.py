"""The tensors that hold the parameters, gradients and buffers of all lanes."""

import torch
from torch import nn

from workers.lanes.layout import Layout, Views


class Rows:
    """Parameters, gradients and buffers of all lanes, stacked along the leading dimension: one row for each lane."""

    def __init__(
        self, model: nn.Module, n_lanes: int, device: torch.device, dtype: torch.dtype, *, is_custom: bool = False
    ) -> None:
        """Allocate zeros for `n_lanes` copies of a model. `is_custom` is passed to Layout."""
        self.layout = Layout(model, is_custom=is_custom)
        self.is_weight = self.layout.is_weight.to(device)
        self.values = torch.zeros(n_lanes, self.layout.row_size, device=device, dtype=dtype)
        self.gradient = torch.zeros_like(self.values)
        self._buffers = {
            name: like.new_zeros(n_lanes, *like.shape, device=device, dtype=dtype if like.is_floating_point() else None)
            for name, like in self.layout.buffers_like.items()
        }

    def parameters(self, lanes: slice) -> Views:
        """Return the parameters by name, [lanes, *shape], as views."""
        return self.layout.views(self.values[lanes])

    def gradients(self, lanes: slice) -> Views:
        """Return the gradients of the parameters by name, [lanes, *shape], as views."""
        return self.layout.views(self.gradient[lanes])

    def buffers(self, lanes: slice) -> Views:
        """Return the buffers by name, [lanes, *shape], as views."""
        return {name: buffer[lanes] for name, buffer in self._buffers.items()}

    def lane(self, lane: int) -> Views:
        """Return one lane as views for Layout: `values`, [row], and `buffers.NAME` for each buffer."""
        return {"values": self.values[lane]} | {
            f"buffers.{name}": buffer[lane] for name, buffer in self._buffers.items()
        }

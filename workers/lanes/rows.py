import torch
from torch import nn

from workers.lanes.layout import Layout, Views


class Rows:
    """The parameters, gradients and buffers of all lanes: of each a row, one behind the other."""

    def __init__(
        self, model: nn.Module, n_lanes: int, device: torch.device, dtype: torch.dtype, *, whole: bool = False
    ) -> None:
        self.layout = Layout(model, whole=whole)
        self.is_weight = self.layout.is_weight.to(device)
        self.values = torch.zeros(n_lanes, self.layout.row_size, device=device, dtype=dtype)
        self.gradient = torch.zeros_like(self.values)
        self._buffers = {
            name: like.new_zeros(n_lanes, *like.shape, device=device, dtype=dtype if like.is_floating_point() else None)
            for name, like in self.layout.buffers_like.items()
        }

    def parameters(self, places: slice) -> Views:
        """By name, [lanes, *shape]."""
        return self.layout.views(self.values[places])

    def gradients(self, places: slice) -> Views:
        return self.layout.views(self.gradient[places])

    def buffers(self, places: slice) -> Views:
        return {name: buffer[places] for name, buffer in self._buffers.items()}

    def lane(self, place: int) -> Views:
        """One lane's values, [row], and buffers, as views; what workers.lanes.layout reads and writes."""
        return {"values": self.values[place]} | {
            f"buffers.{name}": buffer[place] for name, buffer in self._buffers.items()
        }

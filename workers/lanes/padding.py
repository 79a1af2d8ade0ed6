"""What of a step's padded tensors belongs to each lane."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.lanes.random_masks import NoisePoint


@dataclass(frozen=True)
class OwnRows:
    """The examples of each lane in batches that are filled up to one size."""

    sizes: Sequence[int]
    """Batch size of each lane."""
    counts: Tensor
    """Batch size of each lane, floating point [lanes, 1, 1]."""
    mask: Tensor
    """1 for the lane's own examples and 0 for the others, [lanes, 1, batch]."""


@dataclass(frozen=True)
class Padding:
    """What belongs to each lane of a step. None means everything."""

    rows: OwnRows | None = None
    units: Sequence[Tensor] | None = None
    """Of each hidden layer: 1 for the lane's own units and 0 for the others, [lanes, units, 1]."""


NO_PADDING = Padding()


def fill_up(examples: Tensor, size: int) -> Tensor:
    """Return a batch, [..., examples], filled up to `size` by its first example, so that the filling is finite too."""
    n_missing = size - examples.shape[-1]
    if n_missing == 0:
        return examples
    return torch.cat([examples, examples[..., :1].expand(*examples.shape[:-1], n_missing)], -1)


def own_rows(sizes: Sequence[int], like: Tensor) -> OwnRows | None:
    """Return the rows of lanes with batches of these sizes, as tensors like `like`; None if all are equal."""
    if len(set(sizes)) == 1:
        return None
    counts = torch.tensor(sizes).to(like).view(-1, 1, 1)
    return OwnRows(sizes, counts, (torch.arange(max(sizes), device=like.device) < counts).to(like))


def own_units(lanes: Sequence[Sequence[NoisePoint]], group: Sequence[NoisePoint], like: Tensor) -> list[Tensor] | None:
    """Return `Padding.units` for the noise points of some lanes and of their group; None if nothing is padded."""
    if all(points == group for points in lanes):
        return None
    columns = [torch.arange(point.mask_size, device=like.device) for point in group[1:]]
    widths = [[points[layer].mask_size for points in lanes] for layer in range(1, len(group))]
    return [
        (column < torch.tensor(sizes, device=like.device).view(-1, 1)).to(like).unsqueeze(2)
        for column, sizes in zip(columns, widths, strict=True)
    ]


def sum_rows(values: Tensor, rows: OwnRows | None, out: Tensor) -> None:
    """Write the sums of values, [lanes, units, batch], over each lane's own rows to `out`, [lanes, units].

    The other rows must be 0. A sum of other length would be rounded otherwise, so each lane has its own sum.
    """
    if rows is None:
        torch.sum(values, 2, out=out)
        return
    for lane_values, size, result in zip(values, rows.sizes, out, strict=True):
        torch.sum(lane_values[:, :size], 1, out=result)

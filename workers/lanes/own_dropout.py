"""The dropout layers of a user's module, with masks that each lane draws from its own generator.

So a trial has the same masks alone, beside others and in whichever lane.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn

from workers.lanes.draws import LEVELS, LOWEST, WORD, levels_of

N_SPATIAL = {nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3}
"""Dimensions behind the channels, of the layers that drop whole channels."""


class Masks:
    """Whose turn it is: the generators of the lanes, and a tensor by which vmap knows that there are several."""

    def __init__(self) -> None:
        self.generators: Sequence[Generator] = []
        self.lane = torch.zeros(())

    def mask(self, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """0 or 1 / (1 - rate), of that shape, drawn by the lane whose turn it is."""
        found: Tensor = _Mask.apply(self.lane, self, tuple(shape), rate, like.dtype, like.device)
        return found

    def draw(self, shape: Sequence[int], rate: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A mask for each lane: [lanes, *shape]."""
        n, n_dropped = math.prod(shape), levels_of(rate)
        words = torch.empty(len(self.generators), -(-n // WORD), dtype=torch.int64, device=device)
        for row, generator in zip(words, self.generators, strict=True):
            row.random_(-(2**63), None, generator=generator)
        bits = words.view(torch.int16)[:, :n].view(-1, *shape)
        return bits.ge(n_dropped + LOWEST).to(dtype).mul_(LEVELS / (LEVELS - n_dropped))


class _Mask(torch.autograd.Function):
    """What vmap would call once for all lanes draws for each of them here."""

    @staticmethod
    def forward(_lane: Tensor, masks: Masks, *kind: Any) -> Tensor:
        return masks.draw(*kind)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *_gradients: Tensor) -> tuple[None, ...]:
        return (None,) * 6

    @staticmethod
    def vmap(_info: Any, _in_dims: Any, _lane: Tensor, masks: Masks, *kind: Any) -> tuple[Tensor, int]:
        return masks.draw(*kind), 0


def use_masks(model: nn.Module, masks: Masks) -> None:
    """Have the model's nn.Dropout, 1d, 2d and 3d take their masks from there; subclasses with a forward of their own
    draw as they do."""
    for module in model.modules():
        kind = next((kind for kind in (nn.Dropout, *N_SPATIAL) if isinstance(module, kind)), None)
        if kind is not None and type(module).forward is kind.forward:
            module.forward = partial(_drop, cast(nn.Dropout, module), N_SPATIAL.get(kind), masks)


def _drop(module: nn.Dropout, n_spatial: int | None, masks: Masks, input: Tensor) -> Tensor:
    is_usual = n_spatial is None or input.ndim == 2 + n_spatial
    if not module.training or module.p == 0 or not is_usual or not input.is_floating_point():
        output: Tensor = type(module).forward(module, input)
        return output
    shape = input.shape if n_spatial is None else (*input.shape[:2], *(1,) * n_spatial)
    mask = masks.mask(shape, module.p, input) if module.p < 1 else torch.zeros_like(input)
    return input.mul_(mask) if module.inplace else input * mask

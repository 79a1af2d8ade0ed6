"""The dropout layers of a user's module, with masks that each lane draws from its own generator, by its own rates.

So a trial has the same masks alone, beside others and in whichever lane.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from workers.lanes.random_masks import LEVELS, LOWEST, WORD, levels_of

Rates = tuple[float, ...]

N_SPATIAL = {nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3}
"""Dimensions behind the channels, of the layers that drop whole channels."""
KINDS: tuple[type[_DropoutNd], ...] = (nn.Dropout, *N_SPATIAL)


@dataclass(frozen=True)
class Layer:
    """A dropout layer of a module. `place` is which of them it is."""

    module: _DropoutNd
    place: int

    @property
    def n_spatial(self) -> int | None:
        return next((n for kind, n in N_SPATIAL.items() if isinstance(self.module, kind)), None)


class Masks:
    """Whose turn it is: the generators of the lanes, and a tensor by which vmap knows that there are several."""

    def __init__(self) -> None:
        self.generators: Sequence[Generator] = []
        self.rates: Sequence[Sequence[float] | None] = []
        """Of each lane those of all layers; none, or None, where they have their own."""
        self.lane = torch.zeros(())

    def rates_of(self, layer: Layer) -> Rates:
        """Of each lane the one of a layer."""
        given = self.rates or [None] * len(self.generators)
        return tuple(layer.module.p if rates is None else rates[layer.place] for rates in given)

    def mask(self, shape: Sequence[int], rates: Rates, like: Tensor) -> Tensor:
        """0 or 1 / (1 - rate), of that shape, drawn by the lane whose turn it is."""
        found: Tensor = _Mask.apply(self.lane, self, tuple(shape), rates, like.dtype, like.device)
        return found

    def draw(self, shape: Sequence[int], rates: Rates, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A mask for each lane: [lanes, *shape]. A lane that drops nothing, or everything, draws nothing."""
        n = math.prod(shape)
        words = torch.zeros(len(rates), -(-n // WORD), dtype=torch.int64, device=device)
        for row, rate, generator in zip(words, rates, self.generators, strict=True):
            if 0 < rate < 1:
                row.random_(-(2**63), None, generator=generator)
        bits = words.view(torch.int16)[:, :n].view(-1, *shape)
        if len(set(rates)) == 1:
            return bits.ge(_threshold(rates[0])).to(dtype).mul_(_scale(rates[0]))
        column = (-1, *(1,) * len(shape))
        thresholds = torch.tensor([_threshold(rate) for rate in rates], dtype=torch.int16, device=device)
        scales = torch.tensor([_scale(rate) for rate in rates], dtype=dtype, device=device)
        return bits.ge(thresholds.view(column)).to(dtype).mul_(scales.view(column))


def _threshold(rate: float) -> int:
    return levels_of(rate) + LOWEST


def _scale(rate: float) -> float:
    return LEVELS / (LEVELS - levels_of(rate)) if rate < 1 else 0.0


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


def dropout_layers(model: nn.Module) -> list[Layer]:
    """nn.Dropout, 1d, 2d and 3d in a model; subclasses with a forward of their own draw as they do."""
    found = [
        module
        for module in model.modules()
        if isinstance(module, KINDS) and any(type(module).forward is kind.forward for kind in KINDS)
    ]
    return [Layer(module, place) for place, module in enumerate(found)]


def use_masks(model: nn.Module, masks: Masks) -> None:
    """Have the dropout layers of a model take their masks from there."""
    for layer in dropout_layers(model):
        layer.module.forward = partial(_drop, layer, masks)


def _drop(layer: Layer, masks: Masks, input: Tensor) -> Tensor:
    module, n_spatial = layer.module, layer.n_spatial
    if not module.training:
        return _as_torch_does(module, module.p, input)
    rates = masks.rates_of(layer)
    is_usual = n_spatial is None or input.ndim == 2 + n_spatial
    if not any(rates) or not is_usual or not input.is_floating_point():
        return _as_torch_does(module, max(rates), input)
    shape = input.shape if n_spatial is None else (*input.shape[:2], *(1,) * n_spatial)
    mask = masks.mask(shape, rates, input)
    return input.mul_(mask) if module.inplace else input * mask


def _as_torch_does(module: _DropoutNd, rate: float, input: Tensor) -> Tensor:
    """What has no mask, and where it is random at all one lane alone: vmap refuses it for several."""
    if module.p != rate:
        module = copy.copy(module)
        module.p = rate
    forward: Callable[[_DropoutNd, Tensor], Tensor] = type(module).forward
    return forward(module, input)

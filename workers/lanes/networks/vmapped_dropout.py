"""Dropout layers of a custom model, with masks that each lane draws from its own generator at its own rates.

A trial therefore gets the same masks alone, beside other trials and in any lane.
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

from workers.lanes.random_masks import LEVELS, LOWEST, WORD, dropped_levels

N_SPATIAL = {nn.Dropout1d: 1, nn.Dropout2d: 2, nn.Dropout3d: 3}
"""Number of dimensions after the channels, for the layers that drop whole channels."""
KINDS: tuple[type[_DropoutNd], ...] = (nn.Dropout, *N_SPATIAL)


@dataclass(frozen=True)
class DropoutLayer:
    """A dropout layer of a model. `index` counts the model's dropout layers from 0."""

    module: _DropoutNd
    index: int

    @property
    def n_spatial(self) -> int | None:
        """Number of dimensions after the channels if the layer drops whole channels, else None."""
        return next((n for kind, n in N_SPATIAL.items() if isinstance(self.module, kind)), None)


class DropoutSampler:
    """Draws the dropout masks of the lanes in the current call."""

    def __init__(self) -> None:
        self.generators: Sequence[Generator] = []
        """One generator for each lane."""
        self.rates: Sequence[Sequence[float] | None] = []
        """rates[lane][layer]. Empty, or None for a lane, means: use the layer's own `p`."""
        self.lane = torch.zeros(())
        """Inside vmap a tensor that differs between lanes, which tells vmap to draw for each of them."""

    def rates_of(self, layer: DropoutLayer) -> tuple[float, ...]:
        """Return the rate of a layer in each lane."""
        lanes = self.rates or [None] * len(self.generators)
        return tuple(layer.module.p if rates is None else rates[layer.index] for rates in lanes)

    def mask(self, shape: Sequence[int], rates: Sequence[float], like: Tensor) -> Tensor:
        """Return a mask of 0 or 1 / (1 - rate) for one lane, of `shape` and with the dtype and device of `like`.

        `rates` has one rate for each lane. Under vmap every lane gets a mask of its own.
        """
        mask: Tensor = _SampleMasks.apply(self.lane, self, tuple(shape), rates, like.dtype, like.device)
        return mask

    def draw(self, shape: Sequence[int], rates: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a mask for each lane, [lanes, *shape]. A lane with rate 0 or 1 draws no random numbers."""
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
    return dropped_levels(rate) + LOWEST


def _scale(rate: float) -> float:
    return LEVELS / (LEVELS - dropped_levels(rate)) if rate < 1 else 0.0


class _SampleMasks(torch.autograd.Function):
    """Custom op: under vmap it is called once, but samples one mask per lane from that lane's generator."""

    @staticmethod
    def forward(_lane: Tensor, sampler: DropoutSampler, *kind: Any) -> Tensor:
        return sampler.draw(*kind)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *_gradients: Tensor) -> tuple[None, ...]:
        return (None,) * 6

    @staticmethod
    def vmap(_info: Any, _in_dims: Any, _lane: Tensor, sampler: DropoutSampler, *kind: Any) -> tuple[Tensor, int]:
        return sampler.draw(*kind), 0


def dropout_layers(model: nn.Module) -> list[DropoutLayer]:
    """Return the layers of a model that are nn.Dropout, 1d, 2d or 3d.

    Subclasses with another `forward` are left out: they draw by themselves.
    """
    modules = [
        module
        for module in model.modules()
        if isinstance(module, KINDS) and any(type(module).forward is kind.forward for kind in KINDS)
    ]
    return [DropoutLayer(module, index) for index, module in enumerate(modules)]


def use_sampler(model: nn.Module, sampler: DropoutSampler) -> None:
    """Make the dropout layers of a model take their masks from a sampler."""
    for layer in dropout_layers(model):
        layer.module.forward = partial(_drop, layer, sampler)


def _drop(layer: DropoutLayer, sampler: DropoutSampler, input: Tensor) -> Tensor:
    module, n_spatial = layer.module, layer.n_spatial
    if not module.training:
        return _torch_dropout(module, module.p, input)
    rates = sampler.rates_of(layer)
    is_usual = n_spatial is None or input.ndim == 2 + n_spatial
    if not any(rates) or not is_usual or not input.is_floating_point():
        return _torch_dropout(module, max(rates), input)
    shape = input.shape if n_spatial is None else (*input.shape[:2], *(1,) * n_spatial)
    mask = sampler.mask(shape, rates, input)
    return input.mul_(mask) if module.inplace else input * mask


def _torch_dropout(module: _DropoutNd, rate: float, input: Tensor) -> Tensor:
    """Run torch's own dropout where no mask is needed or none fits the input.

    If it draws random numbers, only a single lane can run it: vmap refuses it for several.
    """
    if module.p != rate:
        module = copy.copy(module)
        module.p = rate
    forward: Callable[[_DropoutNd, Tensor], Tensor] = type(module).forward
    return forward(module, input)

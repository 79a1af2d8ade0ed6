"""Any built-in model over lanes, by autograd: the module itself, with layers that hold the weights of every lane.

Between the layers tensors are [batch, lanes · features, …]: the features of one lane after those of another. Operations
on single features, such as activations, poolings and batch norm, need no change, and neither does the module's own
forward. Convolutions become grouped convolutions.
"""

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workers.lanes.layout import Views
from workers.lanes.padding import NO_PADDING, Padding
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.models.layers import Dropout, GaussianNoise


@dataclass
class ActiveLanes:
    """The lanes of the current call, shared by all layers: their parameters, buffers and random masks."""

    n_lanes: int = 0
    parameters: Views = field(default_factory=dict)
    buffers: Views = field(default_factory=dict)
    masks: RandomMasks | None = None
    """None in evaluation."""


class LaneLinear(nn.Module):
    """nn.Linear over lanes."""

    def __init__(self, name: str, active: ActiveLanes) -> None:
        super().__init__()
        self._name, self._active = name, active

    def forward(self, x: Tensor) -> Tensor:
        """From [batch, lanes · inputs] to [batch, lanes · units]."""
        weight = self._active.parameters[f"{self._name}.weight"]  # [lanes, units, inputs]
        bias = self._active.parameters.get(f"{self._name}.bias")
        inputs = x.view(len(x), len(weight), -1).transpose(0, 1)
        outputs = inputs @ weight.mT if bias is None else torch.baddbmm(bias.unsqueeze(1), inputs, weight.mT)
        return outputs.transpose(0, 1).flatten(1)


class LaneConvolution(nn.Module):
    """nn.Conv2d over lanes, as one grouped convolution."""

    def __init__(self, name: str, active: ActiveLanes, module: nn.Conv2d) -> None:
        super().__init__()
        self._name, self._active = name, active
        self._stride, self._padding = module.stride, module.padding

    def forward(self, x: Tensor) -> Tensor:
        """From [batch, lanes · inputs, height, width] to [batch, lanes · outputs, height, width]."""
        weight = self._active.parameters[f"{self._name}.weight"]  # [lanes, outputs, inputs, height, width]
        bias = self._active.parameters.get(f"{self._name}.bias")
        if len(weight) == 1:  # flattening would lose the strides that say that channels are last
            return F.conv2d(x, weight[0], None if bias is None else bias[0], self._stride, self._padding)
        bias = None if bias is None else bias.flatten()
        return F.conv2d(x, weight.flatten(0, 1), bias, self._stride, self._padding, groups=len(weight))


class LaneBatchNorm(nn.Module):
    """nn.BatchNorm1d or nn.BatchNorm2d over lanes."""

    def __init__(self, name: str, active: ActiveLanes, module: _BatchNorm) -> None:
        super().__init__()
        self._name, self._active = name, active
        self._momentum, self._eps = module.momentum, module.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x, [batch, lanes · features, …]."""
        parameters, buffers = self._active.parameters, self._active.buffers
        return F.batch_norm(
            x,
            buffers[f"{self._name}.running_mean"].view(-1),
            buffers[f"{self._name}.running_var"].view(-1),
            parameters[f"{self._name}.weight"].flatten(),
            parameters[f"{self._name}.bias"].flatten(),
            self.training,
            self._momentum or 0.0,
            self._eps,
        )


class LaneNoise(nn.Module):
    """GaussianNoise over lanes, at one noise point."""

    def __init__(self, point: int, active: ActiveLanes) -> None:
        super().__init__()
        self._point, self._active = point, active

    def forward(self, x: Tensor) -> Tensor:
        """Add each lane's noise to x, [batch, lanes · features, …], in training."""
        masks = self._active.masks
        noise = masks.noise(self._point) if self.training and masks is not None else None
        return x if noise is None else x + _batch_first(noise, len(x)).view(x.shape).to(x.dtype)


class LaneDropout(nn.Module):
    """Dropout over lanes, at one noise point. Of images whole channels are dropped."""

    def __init__(self, point: int, active: ActiveLanes) -> None:
        super().__init__()
        self._point, self._active = point, active

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x, [batch, lanes · features, …], by each lane's mask in training."""
        masks = self._active.masks
        mask = masks.mask(self._point) if self.training and masks is not None else None
        if mask is None:
            return x
        whole_channels = (1,) * (x.ndim - 2)
        return x * _batch_first(mask, len(x)).to(x.dtype).view(*x.shape[:2], *whole_channels)


def _batch_first(drawn: Tensor, n_images: int) -> Tensor:
    """Reorder [lanes, batch · size] to [batch, lanes · size]."""
    return drawn.view(len(drawn), n_images, -1).transpose(0, 1).flatten(1)


class StackedNetwork:
    """A built-in model over lanes, trained by autograd."""

    batch_first = True
    uses_autograd = True
    pads = False
    unfusable_reason: str | None = None

    def __init__(self, model: nn.Module, rows: Rows, autocast: AbstractContextManager[object], *, fuses: bool) -> None:
        self.fuses = fuses
        self._active = ActiveLanes()
        self._rows = rows
        self._autocast = autocast
        self._model = copy.deepcopy(model).to("meta")
        _replace_layers(self._model, self._active)
        self._leaves: dict[tuple[int, int], tuple[Views, Views]] = {}
        self._gradients: Views = {}
        self._logits = rows.values

    def forward(self, lanes: slice, images: Tensor, masks: RandomMasks, padding: Padding = NO_PADDING) -> Tensor:
        """See Network.forward."""
        self._model.train()
        leaves, self._gradients = self._bind(lanes)
        self._activate(lanes, leaves, masks)
        with torch.enable_grad():
            self._logits = self._run(images.flatten(1, 2))
        return self._logits.detach()

    def backward(self, gradient: Tensor) -> None:
        """See Network.backward."""
        leaves = self._active.parameters
        gradients = torch.autograd.grad(self._logits, list(leaves.values()), gradient)
        torch._foreach_copy_([self._gradients[name] for name in leaves], list(gradients))
        self._logits = gradient  # frees the graph

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        """See Network.evaluate."""
        self._model.eval()
        self._activate(lanes, self._rows.parameters(lanes), None)
        return self._run(images if self._active.n_lanes == 1 else images.repeat(1, self._active.n_lanes, 1, 1))

    def _run(self, images: Tensor) -> Tensor:
        with self._autocast:
            outputs: Tensor = self._model(images)
        return outputs.to(self._rows.values.dtype).view(len(images), self._active.n_lanes, -1).permute(1, 2, 0)

    def _activate(self, lanes: slice, parameters: Views, masks: RandomMasks | None) -> None:
        self._active.n_lanes = lanes.stop - lanes.start
        self._active.parameters = parameters
        self._active.buffers = self._rows.buffers(lanes)
        self._active.masks = masks

    def _bind(self, lanes: slice) -> tuple[Views, Views]:
        """The parameters as leaves of autograd, and the views that their gradients are written to."""
        key = lanes.start, lanes.stop
        if key not in self._leaves:
            leaves = self._rows.parameters(lanes)
            for leaf in leaves.values():
                leaf.requires_grad_()
            self._leaves[key] = leaves, self._rows.gradients(lanes)
        return self._leaves[key]


def _replace_layers(model: nn.Module, active: ActiveLanes) -> None:
    point = 0
    for name, module in list(model.named_modules()):
        match module:
            case nn.Linear():
                replacement: nn.Module = LaneLinear(name, active)
            case nn.Conv2d():
                replacement = LaneConvolution(name, active, module)
            case _BatchNorm():
                replacement = LaneBatchNorm(name, active, module)
            case GaussianNoise():
                point += 1
                replacement = LaneNoise(point, active)
            case Dropout():
                replacement = LaneDropout(point, active)
            case _:
                continue
        model.set_submodule(name, replacement)

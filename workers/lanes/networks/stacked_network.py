"""Any built-in model over lanes, by autograd: the module itself, with layers that hold the weights of every lane.

Everything between the layers is [batch, lanes · features, …]: the features of all lanes behind one another. So what
treats each feature by itself, such as an activation, a pooling or a batch norm, stays as it is, and so does the
module's own forward. A convolution becomes a grouped one.
"""

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workers.lanes.layout import Views
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.models.layers import Dropout, GaussianNoise


@dataclass
class Current:
    """The lanes whose turn it is."""

    n_lanes: int = 0
    parameters: Views = field(default_factory=dict)
    buffers: Views = field(default_factory=dict)
    draws: RandomMasks | None = None


class LaneLinear(nn.Module):
    def __init__(self, name: str, current: Current) -> None:
        super().__init__()
        self._name, self._current = name, current

    def forward(self, x: Tensor) -> Tensor:
        weight = self._current.parameters[f"{self._name}.weight"]  # [lanes, units, inputs]
        bias = self._current.parameters.get(f"{self._name}.bias")
        inputs = x.view(len(x), len(weight), -1).transpose(0, 1)
        outputs = inputs @ weight.mT if bias is None else torch.baddbmm(bias.unsqueeze(1), inputs, weight.mT)
        return outputs.transpose(0, 1).flatten(1)


class LaneConvolution(nn.Module):
    def __init__(self, name: str, current: Current, module: nn.Conv2d) -> None:
        super().__init__()
        self._name, self._current = name, current
        self._stride, self._padding = module.stride, module.padding

    def forward(self, x: Tensor) -> Tensor:
        weight = self._current.parameters[f"{self._name}.weight"]  # [lanes, outputs, inputs, height, width]
        bias = self._current.parameters.get(f"{self._name}.bias")
        if len(weight) == 1:  # where flattened strides would no longer tell that channels are last
            return F.conv2d(x, weight[0], None if bias is None else bias[0], self._stride, self._padding)
        bias = None if bias is None else bias.flatten()
        return F.conv2d(x, weight.flatten(0, 1), bias, self._stride, self._padding, groups=len(weight))


class LaneBatchNorm(nn.Module):
    def __init__(self, name: str, current: Current, module: _BatchNorm) -> None:
        super().__init__()
        self._name, self._current = name, current
        self._momentum, self._eps = module.momentum, module.eps

    def forward(self, x: Tensor) -> Tensor:
        parameters, buffers = self._current.parameters, self._current.buffers
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
    def __init__(self, site: int, current: Current) -> None:
        super().__init__()
        self._site, self._current = site, current

    def forward(self, x: Tensor) -> Tensor:
        draws = self._current.draws
        noise = draws.noise(self._site) if self.training and draws is not None else None
        return x if noise is None else x + _batch_first(noise, len(x)).view(x.shape).to(x.dtype)


class LaneDropout(nn.Module):
    def __init__(self, site: int, current: Current) -> None:
        super().__init__()
        self._site, self._current = site, current

    def forward(self, x: Tensor) -> Tensor:
        draws = self._current.draws
        mask = draws.mask(self._site) if self.training and draws is not None else None
        if mask is None:
            return x
        whole_channels = (1,) * (x.ndim - 2)
        return x * _batch_first(mask, len(x)).to(x.dtype).view(*x.shape[:2], *whole_channels)


def _batch_first(drawn: Tensor, n_images: int) -> Tensor:
    """From [lanes, batch · size] to [batch, lanes · size]."""
    return drawn.view(len(drawn), n_images, -1).transpose(0, 1).flatten(1)


class StackedNetwork:
    """See workers.lanes.networks.network.Network."""

    batch_first = True
    uses_autograd = True
    unfusable_reason: str | None = None

    def __init__(self, model: nn.Module, rows: Rows, autocast: AbstractContextManager[object], *, fuses: bool) -> None:
        self.fuses = fuses
        self._current = Current()
        self._rows = rows
        self._autocast = autocast
        self._model = copy.deepcopy(model).to("meta")
        _replace_layers(self._model, self._current)
        self._leaves: dict[tuple[int, int], tuple[Views, Views]] = {}
        self._gradients: Views = {}
        self._logits = rows.values

    def forward(self, lanes: slice, images: Tensor, draws: RandomMasks) -> Tensor:
        self._model.train()
        leaves, self._gradients = self._bind(lanes)
        self._turn_to(lanes, leaves, draws)
        with torch.enable_grad():
            self._logits = self._run(images.flatten(1, 2))
        return self._logits.detach()

    def backward(self, gradient: Tensor) -> None:
        leaves = self._current.parameters
        found = torch.autograd.grad(self._logits, list(leaves.values()), gradient)
        torch._foreach_copy_([self._gradients[name] for name in leaves], list(found))
        self._logits = gradient  # lets go of the graph

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        self._model.eval()
        self._turn_to(lanes, self._rows.parameters(lanes), None)
        return self._run(images if self._current.n_lanes == 1 else images.repeat(1, self._current.n_lanes, 1, 1))

    def _run(self, images: Tensor) -> Tensor:
        with self._autocast:
            outputs: Tensor = self._model(images)
        return outputs.to(self._rows.values.dtype).view(len(images), self._current.n_lanes, -1).permute(1, 2, 0)

    def _turn_to(self, lanes: slice, parameters: Views, draws: RandomMasks | None) -> None:
        self._current.n_lanes = lanes.stop - lanes.start
        self._current.parameters = parameters
        self._current.buffers = self._rows.buffers(lanes)
        self._current.draws = draws

    def _bind(self, lanes: slice) -> tuple[Views, Views]:
        """The parameters, as leaves of autograd, and where their gradients belong."""
        key = lanes.start, lanes.stop
        if key not in self._leaves:
            leaves = self._rows.parameters(lanes)
            for leaf in leaves.values():
                leaf.requires_grad_()
            self._leaves[key] = leaves, self._rows.gradients(lanes)
        return self._leaves[key]


def _replace_layers(model: nn.Module, current: Current) -> None:
    site = 0
    for name, module in list(model.named_modules()):
        match module:
            case nn.Linear():
                replacement: nn.Module = LaneLinear(name, current)
            case nn.Conv2d():
                replacement = LaneConvolution(name, current, module)
            case _BatchNorm():
                replacement = LaneBatchNorm(name, current, module)
            case GaussianNoise():
                site += 1
                replacement = LaneNoise(site, current)
            case Dropout():
                replacement = LaneDropout(site, current)
            case _:
                continue
        model.set_submodule(name, replacement)

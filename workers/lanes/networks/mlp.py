"""The mlp over lanes, forward and backward by hand.

Activations are [lanes, units, batch]: batch norm, softmax and the sums for biases then run along memory, and every
matrix product is one batched call that reads weights, and writes gradients, where they lie in their rows. Against
autograd this saves the graph, and nearly every allocation of a step. Large products on a CPU are a call for each lane
instead, where that is faster.
"""

import torch
from torch import Tensor, nn

from workers.lanes.layout import Views
from workers.lanes.networks.activations import ACTIVATIONS, Activation
from workers.lanes.networks.batch_norm import BatchNorm
from workers.lanes.networks.products import LARGE_BATCH, is_large, product
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows

KEPT_BINDINGS = 32
"""Of views and buffers for some lanes and a batch size; lanes out of step need several."""


class Linear:
    """Weight, [lanes, units, inputs], and bias, or none, with the gradients that `backward` writes."""

    def __init__(self, name: str, parameters: Views, gradients: Views) -> None:
        self.weight, self._weight_gradient = parameters[f"{name}.weight"], gradients[f"{name}.weight"]
        bias = parameters.get(f"{name}.bias")
        self._bias = None if bias is None else bias.unsqueeze(2)
        self._bias_gradient = gradients.get(f"{name}.bias")
        self._inputs = self.weight
        self._is_large = is_large(self.weight)

    def forward(self, inputs: Tensor, out: Tensor) -> Tensor:
        """From [lanes, inputs, batch] to [lanes, units, batch]."""
        self._inputs = inputs
        if self._is_large and inputs.shape[2] >= LARGE_BATCH:
            return self._one_by_one(inputs, out)
        if self._bias is None:
            return torch.bmm(self.weight, inputs, out=out)
        return torch.baddbmm(self._bias, self.weight, inputs, out=out)

    def backward(self, gradient: Tensor) -> None:
        if self._is_large and gradient.shape[2] >= LARGE_BATCH:
            for one, inputs, result in zip(gradient, self._inputs, self._weight_gradient, strict=True):
                result.copy_(product(one, inputs.mT))
        else:
            torch.bmm(gradient, self._inputs.mT, out=self._weight_gradient)
        if self._bias_gradient is not None:
            torch.sum(gradient, 2, out=self._bias_gradient)

    def evaluate(self, inputs: Tensor) -> Tensor:
        """From [inputs, batch] for all lanes, or [lanes, inputs, batch], to [lanes, units, batch]."""
        n_lanes, n_units, _ = self.weight.shape
        every = inputs.expand(n_lanes, -1, -1)
        if self._is_large:
            return self._one_by_one(every, inputs.new_empty(n_lanes, n_units, every.shape[2]))
        if self._bias is None:
            return self.weight @ inputs
        return torch.baddbmm(self._bias, self.weight, every)

    def _one_by_one(self, inputs: Tensor, out: Tensor) -> Tensor:
        for weight, one, result in zip(self.weight, inputs, out, strict=True):
            result.copy_(product(weight, one))
        return out if self._bias is None else out.add_(self._bias)


class Hidden:
    """A hidden layer: linear, batch norm if there is one, activation, noise, dropout."""

    def __init__(self, linear: Linear, norm: BatchNorm | None, activation: Activation, batch_size: int) -> None:
        self.linear = linear
        self._norm = norm
        self._activation = activation
        n_lanes, units, _ = linear.weight.shape
        self.shape = (n_lanes, units, batch_size)
        self._z, self._normed, self._a, self._h, self._gradient = linear.weight.new_empty(5, *self.shape)
        self._saved = self._z
        self._mask: Tensor | None = None

    def forward(self, inputs: Tensor, noise: Tensor | None, mask: Tensor | None) -> Tensor:
        z = self.linear.forward(inputs, self._z)
        if self._norm is not None:
            z = self._norm.forward(z, self._normed)
        h = z if self._activation.saves_output else self._a
        self._activation.forward(z, h)
        self._saved = h if self._activation.saves_output else z
        self._mask = mask
        if noise is not None:
            h = torch.add(h, noise, out=self._h)
        if mask is not None:
            h = torch.mul(h, mask, out=self._h)
        return h

    def backward(self, above: Linear, gradient_above: Tensor) -> Tensor:
        """Write the gradients of this layer's parameters, given that of the layer above's outputs; return its own."""
        gradient = torch.bmm(above.weight.mT, gradient_above, out=self._gradient)
        if self._mask is not None:
            gradient.mul_(self._mask)
        self._activation.backward(gradient, self._saved)
        if self._norm is not None:
            gradient = self._norm.backward(gradient)
        self.linear.backward(gradient)
        return gradient

    def evaluate(self, inputs: Tensor) -> Tensor:
        z = self.linear.evaluate(inputs)
        z = z if self._norm is None else self._norm.evaluate(z)
        h = z if self._activation.saves_output else torch.empty_like(z)
        self._activation.forward(z, h)
        return h


class Layers:
    """The layers for some neighbouring lanes, with buffers for batches of one size."""

    def __init__(
        self,
        names: list[tuple[str, str | None]],
        activation: str,
        parameters: Views,
        gradients: Views,
        buffers: Views,
        batch_size: int,
    ) -> None:
        linears = [Linear(linear, parameters, gradients) for linear, _ in names]
        norms = [None if norm is None else _norm(norm, parameters, gradients, buffers) for _, norm in names]
        self.hidden = [
            Hidden(linear, norm, ACTIVATIONS[activation], batch_size)
            for linear, norm in zip(linears[:-1], norms, strict=False)
        ]
        self.last = linears[-1]
        n_lanes, n_classes, _ = self.last.weight.shape
        self._logits = self.last.weight.new_empty(n_lanes, n_classes, batch_size)

    def forward(self, inputs: Tensor, draws: RandomMasks) -> Tensor:
        for site, layer in enumerate(self.hidden, 1):
            noise, mask = draws.noise(site), draws.mask(site)
            shape = layer.shape
            inputs = layer.forward(
                inputs, None if noise is None else noise.view(shape), None if mask is None else mask.view(shape)
            )
        return self.last.forward(inputs, self._logits)

    def backward(self, gradient: Tensor) -> None:
        self.last.backward(gradient)
        above = self.last
        for layer in reversed(self.hidden):
            gradient = layer.backward(above, gradient)
            above = layer.linear

    def evaluate(self, inputs: Tensor) -> Tensor:
        for layer in self.hidden:
            inputs = layer.evaluate(inputs)
        return self.last.evaluate(inputs)


class MlpNetwork:
    """See workers.lanes.networks.network.Network."""

    batch_first = False
    uses_autograd = False
    unfusable_reason: str | None = None

    def __init__(self, model: nn.Module, activation: str, rows: Rows, *, fuses: bool) -> None:
        self.fuses = fuses
        self._names = _layer_names(model)
        self._activation = activation
        self._rows = rows
        self._bound: dict[tuple[int, int, int], Layers] = {}
        self._layers: Layers | None = None

    def forward(self, lanes: slice, images: Tensor, draws: RandomMasks) -> Tensor:
        self._layers = self._bind(lanes, images.shape[1])
        return self._layers.forward(images.flatten(2).mT, draws)

    def backward(self, gradient: Tensor) -> None:
        assert self._layers is not None
        self._layers.backward(gradient)

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        return self._bind(lanes, 0).evaluate(images.flatten(1).T)

    def _bind(self, lanes: slice, batch_size: int) -> Layers:
        key = (lanes.start, lanes.stop, batch_size)
        if key not in self._bound:
            if len(self._bound) >= KEPT_BINDINGS:
                self._bound.clear()
            views = self._rows.parameters(lanes), self._rows.gradients(lanes), self._rows.buffers(lanes)
            self._bound[key] = Layers(self._names, self._activation, *views, batch_size)
        return self._bound[key]


def _layer_names(model: nn.Module) -> list[tuple[str, str | None]]:
    """The linear layers of a sequence by name, each with the batch norm that follows it, if one does."""
    names: list[tuple[str, str | None]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            names.append((name, None))
        elif isinstance(module, nn.BatchNorm1d):
            names[-1] = names[-1][0], name
    return names


def _norm(name: str, parameters: Views, gradients: Views, buffers: Views) -> BatchNorm:
    scale, shift = f"{name}.weight", f"{name}.bias"
    return BatchNorm(
        parameters[scale],
        parameters[shift],
        gradients[scale],
        gradients[shift],
        buffers[f"{name}.running_mean"],
        buffers[f"{name}.running_var"],
    )

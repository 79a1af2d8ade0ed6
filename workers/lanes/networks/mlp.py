"""The mlp over lanes, with a backward pass written by hand.

Activations are [lanes, units, batch], so that batch norm, softmax and the sums for biases run along memory. Every
matrix product is one batched call that reads weights from, and writes gradients to, the rows of the lanes. Compared
with autograd this saves the graph and nearly every allocation of a step. Large products on a CPU are one call for each
lane where that is faster (see products).

Lanes may be narrower than the tensors. The weights to and from a unit that only fills up a lane are zero, and so are
its activation and its gradients, so they stay zero in every optimizer. Examples that fill up a batch get no gradient.
"""

import torch
from torch import Tensor, nn

from workers.lanes.layout import Views
from workers.lanes.networks.activations import ACTIVATIONS, Activation
from workers.lanes.networks.batch_norm import BatchNorm
from workers.lanes.networks.products import LARGE_BATCH, is_large, multiply
from workers.lanes.padding import NO_PADDING, OwnRows, Padding, sum_rows
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows

MAX_BINDINGS = 32
"""Number of `MlpLayers` kept for reuse. Lanes at different positions in their epochs need several at a time."""


class Linear:
    """A linear layer: weight [lanes, units, inputs], bias [lanes, units] or none, and the gradients of both."""

    def __init__(self, name: str, parameters: Views, gradients: Views) -> None:
        self.weight, self._weight_gradient = parameters[f"{name}.weight"], gradients[f"{name}.weight"]
        bias = parameters.get(f"{name}.bias")
        self._bias = None if bias is None else bias.unsqueeze(2)
        self._bias_gradient = gradients.get(f"{name}.bias")
        self._inputs = self.weight
        self._is_large = is_large(self.weight)

    def forward(self, inputs: Tensor, out: Tensor) -> Tensor:
        """Write the outputs, [lanes, units, batch], for inputs, [lanes, inputs, batch], to `out` and return it."""
        self._inputs = inputs
        if self._is_large and inputs.shape[2] >= LARGE_BATCH:
            return self._one_by_one(inputs, out)
        if self._bias is None:
            return torch.bmm(self.weight, inputs, out=out)
        return torch.baddbmm(self._bias, self.weight, inputs, out=out)

    def backward(self, gradient: Tensor, rows: OwnRows | None = None) -> None:
        """Write the gradients of weight and bias, given that of the outputs, [lanes, units, batch]."""
        if self._is_large and gradient.shape[2] >= LARGE_BATCH:
            for lane_gradient, inputs, result in zip(gradient, self._inputs, self._weight_gradient, strict=True):
                result.copy_(multiply(lane_gradient, inputs.mT))
        else:
            torch.bmm(gradient, self._inputs.mT, out=self._weight_gradient)
        if self._bias_gradient is not None:
            sum_rows(gradient, rows, self._bias_gradient)

    def evaluate(self, inputs: Tensor) -> Tensor:
        """Return the outputs, [lanes, units, batch].

        Inputs are [lanes, inputs, batch], or [inputs, batch] for all lanes alike.
        """
        n_lanes, n_units, _ = self.weight.shape
        lane_inputs = inputs.expand(n_lanes, -1, -1)
        if self._is_large:
            return self._one_by_one(lane_inputs, inputs.new_empty(n_lanes, n_units, lane_inputs.shape[2]))
        if self._bias is None:
            return self.weight @ inputs
        return torch.baddbmm(self._bias, self.weight, lane_inputs)

    def _one_by_one(self, inputs: Tensor, out: Tensor) -> Tensor:
        for weight, lane_inputs, result in zip(self.weight, inputs, out, strict=True):
            result.copy_(multiply(weight, lane_inputs))
        return out if self._bias is None else out.add_(self._bias)


class HiddenLayer:
    """A hidden layer: linear, batch norm or none, activation, noise, dropout. It owns buffers for one batch size."""

    def __init__(self, linear: Linear, norm: BatchNorm | None, activation: Activation, batch_size: int) -> None:
        self.linear = linear
        self._norm = norm
        self._activation = activation
        n_lanes, units, _ = linear.weight.shape
        self.shape = (n_lanes, units, batch_size)
        self._z, self._normalized, self._a, self._h, self._gradient = linear.weight.new_empty(5, *self.shape)
        self._saved = self._z
        self._mask: Tensor | None = None
        self._rows: OwnRows | None = None

    def forward(
        self,
        inputs: Tensor,
        noise: Tensor | None,
        mask: Tensor | None,
        rows: OwnRows | None = None,
        units: Tensor | None = None,
    ) -> Tensor:
        """Return the activations, [lanes, units, batch], which the next call overwrites.

        Inputs are [lanes, inputs, batch]. `noise` is added and `mask` multiplied, both [lanes, units, batch]. `rows`
        and `units`, [lanes, units, 1], are as in Padding.
        """
        self._rows = rows
        z = self.linear.forward(inputs, self._z)
        if self._norm is not None:
            z = self._norm.forward(z, self._normalized, rows)
        h = z if self._activation.saves_output else self._a
        self._activation.forward(z, h)
        if units is not None and not self._activation.keeps_zero:
            h.mul_(units)
        self._saved = h if self._activation.saves_output else z
        self._mask = mask
        if noise is not None:
            h = torch.add(h, noise, out=self._h)
        if mask is not None:
            h = torch.mul(h, mask, out=self._h)
        return h

    def backward(self, above: Linear, gradient_above: Tensor) -> Tensor:
        """Write the gradients of this layer's parameters and return that of its linear outputs.

        `gradient_above` is that of the linear outputs of the layer above.
        """
        gradient = torch.bmm(above.weight.mT, gradient_above, out=self._gradient)
        if self._mask is not None:
            gradient.mul_(self._mask)
        self._activation.backward(gradient, self._saved)
        if self._norm is not None:
            gradient = self._norm.backward(gradient)
        self.linear.backward(gradient, self._rows)
        return gradient

    def evaluate(self, inputs: Tensor) -> Tensor:
        """Return the activations in evaluation mode, [lanes, units, batch]. Inputs are as in Linear.evaluate."""
        z = self.linear.evaluate(inputs)
        z = z if self._norm is None else self._norm.evaluate(z)
        h = z if self._activation.saves_output else torch.empty_like(z)
        self._activation.forward(z, h)
        return h


class MlpLayers:
    """All layers of some neighbouring lanes, with buffers for batches of one size."""

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
            HiddenLayer(linear, norm, ACTIVATIONS[activation], batch_size)
            for linear, norm in zip(linears[:-1], norms, strict=False)
        ]
        self.last = linears[-1]
        n_lanes, n_classes, _ = self.last.weight.shape
        self._logits = self.last.weight.new_empty(n_lanes, n_classes, batch_size)
        self._rows: OwnRows | None = None

    def forward(self, inputs: Tensor, masks: RandomMasks, padding: Padding) -> Tensor:
        """Return the logits, [lanes, classes, batch], for inputs, [lanes, inputs, batch]."""
        self._rows = padding.rows
        for point, layer in enumerate(self.hidden, 1):
            noise, mask = masks.noise(point), masks.mask(point)
            shape = layer.shape
            inputs = layer.forward(
                inputs,
                None if noise is None else noise.view(shape),
                None if mask is None else mask.view(shape),
                padding.rows,
                None if padding.units is None else padding.units[point - 1],
            )
        return self.last.forward(inputs, self._logits)

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients of all parameters, given that of the logits, [lanes, classes, batch]."""
        self.last.backward(gradient, self._rows)
        above = self.last
        for layer in reversed(self.hidden):
            gradient = layer.backward(above, gradient)
            above = layer.linear

    def evaluate(self, inputs: Tensor) -> Tensor:
        """Return the logits in evaluation mode, [lanes, classes, batch], for inputs, [inputs, batch]."""
        for layer in self.hidden:
            inputs = layer.evaluate(inputs)
        return self.last.evaluate(inputs)


class MlpNetwork:
    """The built-in mlp over lanes, without autograd."""

    batch_first = False
    uses_autograd = False
    pads = True
    unfusable_reason: str | None = None

    def __init__(self, model: nn.Module, activation: str, rows: Rows, *, fuses: bool) -> None:
        self.fuses = fuses
        self._names = _layer_names(model)
        self._activation = activation
        self._rows = rows
        self._bound: dict[tuple[int, int, int], MlpLayers] = {}
        self._layers: MlpLayers | None = None

    def forward(self, lanes: slice, images: Tensor, masks: RandomMasks, padding: Padding = NO_PADDING) -> Tensor:
        """See Network.forward."""
        self._layers = self._bind(lanes, images.shape[1])
        return self._layers.forward(images.flatten(2).mT, masks, padding)

    def backward(self, gradient: Tensor) -> None:
        """See Network.backward."""
        assert self._layers is not None
        self._layers.backward(gradient)

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        """See Network.evaluate."""
        return self._bind(lanes, 0).evaluate(images.flatten(1).T)

    def _bind(self, lanes: slice, batch_size: int) -> MlpLayers:
        key = (lanes.start, lanes.stop, batch_size)
        if key not in self._bound:
            if len(self._bound) >= MAX_BINDINGS:
                self._bound.clear()
            views = self._rows.parameters(lanes), self._rows.gradients(lanes), self._rows.buffers(lanes)
            self._bound[key] = MlpLayers(self._names, self._activation, *views, batch_size)
        return self._bound[key]


def _layer_names(model: nn.Module) -> list[tuple[str, str | None]]:
    """Names of the linear layers in order, each with the name of the batch norm that follows it or None."""
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

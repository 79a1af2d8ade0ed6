"""Activation functions and their derivatives, for the mlp without autograd."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An activation function and its derivative, for tensors of any shape."""

    forward: Callable[[Tensor, Tensor], object]
    """`forward(z, out)` writes the activations of z into `out`, which may be z itself if `saves_output`."""

    backward: Callable[[Tensor, Tensor], object]
    """`backward(gradient, saved)` multiplies `gradient` by the derivative, in place."""

    saves_output: bool = True
    """Whether `saved` is the output of `forward`; otherwise it is z."""

    keeps_zero: bool = True
    """Whether the activation of 0 is 0, so that units that only fill up a narrower lane stay 0."""


LEAKY_SLOPE = 0.01

ACTIVATIONS = {
    "relu": Activation(
        lambda z, out: torch.clamp_min(z, 0, out=out),
        lambda g, h: aten.threshold_backward.grad_input(g, h, 0, grad_input=g),
    ),
    "tanh": Activation(
        lambda z, out: torch.tanh(z, out=out), lambda g, h: aten.tanh_backward.grad_input(g, h, grad_input=g)
    ),
    "sigmoid": Activation(
        lambda z, out: torch.sigmoid(z, out=out),
        lambda g, h: aten.sigmoid_backward.grad_input(g, h, grad_input=g),
        keeps_zero=False,
    ),
    "elu": Activation(
        lambda z, out: aten.elu.out(z, out=out),
        lambda g, h: aten.elu_backward.grad_input(g, 1.0, 1.0, 1.0, True, h, grad_input=g),
    ),
    "leaky_relu": Activation(
        lambda z, out: aten.leaky_relu.out(z, LEAKY_SLOPE, out=out),
        lambda g, h: aten.leaky_relu_backward.grad_input(g, h, LEAKY_SLOPE, True, grad_input=g),
    ),
    "gelu": Activation(
        lambda z, out: aten.gelu.out(z, out=out),
        lambda g, z: aten.gelu_backward.grad_input(g, z, grad_input=g),
        saves_output=False,
    ),
    "silu": Activation(
        lambda z, out: aten.silu.out(z, out=out),
        lambda g, z: aten.silu_backward.grad_input(g, z, grad_input=g),
        saves_output=False,
    ),
}
"""Keys are those of workers.models.layers.ACTIVATIONS; the arguments are torch's defaults."""

"""Activation functions and their gradients, written out for the hand-written mlp."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """`forward(z, out)` gives the activations, and `backward(gradient, saved)` multiplies, in place, by the derivative.

    Where the derivative can be had from the activations, `saved` is those, and `out` may be z itself.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor], object]
    saves_output: bool = True


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
        lambda z, out: torch.sigmoid(z, out=out), lambda g, h: aten.sigmoid_backward.grad_input(g, h, grad_input=g)
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
"""By the names of workers.models.layers.ACTIVATIONS, with torch's default arguments."""

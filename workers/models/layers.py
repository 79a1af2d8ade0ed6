"""Layers that the built-in models share."""

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}


class GaussianNoise(nn.Identity):
    """The place where lanes add Gaussian noise in training. By itself it changes nothing."""


class Dropout(nn.Identity):
    """The place where lanes drop elements in training (Srivastava et al., 2014). By itself it changes nothing.

    With `whole_channels` they drop whole channels of images, [batch, channels, height, width]. Neighbouring pixels are
    so alike that zeroing single pixels would hide nothing (Tompson et al., arXiv 1411.4280).
    """

    def __init__(self, *, whole_channels: bool = False) -> None:
        super().__init__()
        self.whole_channels = whole_channels


def dense_layer(n_inputs: int, n_outputs: int, activation: str, batch_norm: bool) -> list[nn.Module]:
    """Return the modules of a hidden layer: linear, batch norm if `batch_norm`, activation, noise, dropout."""
    norm = [nn.BatchNorm1d(n_outputs)] if batch_norm else []
    linear = nn.Linear(n_inputs, n_outputs, bias=not batch_norm)
    return [linear, *norm, ACTIVATIONS[activation](), GaussianNoise(), Dropout()]


NEAR_ZERO = 1e-3
"""Weights of a smaller absolute value count as near zero."""


def weights_of(model: nn.Module) -> list[Tensor]:
    """Return the weights of all linear and convolution layers, without biases."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Linear | _ConvNd)]

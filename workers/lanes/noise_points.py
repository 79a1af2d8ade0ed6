"""Where a model draws random numbers."""

import math

import torch
from torch import Tensor, nn

from workers.lanes.random_masks import NoisePoint
from workers.models.layers import Dropout, GaussianNoise


def input_noise_point(inputs: Tensor) -> NoisePoint:
    """The input's own, given some inputs, [n, …]."""
    return NoisePoint(inputs[0].numel(), inputs[0].numel())


@torch.no_grad()
def find_noise_points(model: nn.Module, image: Tensor) -> list[NoisePoint]:
    """The input's, then the model's, where a dropout follows every noise: found by passing one image through."""
    shapes: list[torch.Size] = []
    whole_channels: list[bool] = []

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if isinstance(module, GaussianNoise):
            shapes.append(inputs[0].shape[1:])
        elif isinstance(module, Dropout):
            whole_channels.append(module.whole_channels)

    handles = [module.register_forward_pre_hook(note) for module in model.modules()]
    was_training = model.training
    model.eval()(image.to(next(model.parameters())))
    model.train(was_training)
    for handle in handles:
        handle.remove()
    hidden = [
        NoisePoint(math.prod(shape), shape[0] if whole else math.prod(shape))
        for shape, whole in zip(shapes, whole_channels, strict=True)
    ]
    return [input_noise_point(image), *hidden]

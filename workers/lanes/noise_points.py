"""Noise points: where a model adds noise and drops elements."""

import math

import torch
from torch import Tensor, nn

from workers.lanes.random_masks import NoisePoint
from workers.models.layers import Dropout, GaussianNoise


def input_noise_point(inputs: Tensor) -> NoisePoint:
    """Return the noise point of the inputs, [n, …], themselves."""
    return NoisePoint(inputs[0].numel(), inputs[0].numel())


@torch.no_grad()
def find_noise_points(model: nn.Module, image: Tensor) -> list[NoisePoint]:
    """Return the noise point of the input and those of a built-in model, in forward order.

    They are found by passing one image, [1, channels, height, width], through the model. A Dropout must follow every
    GaussianNoise.
    """
    shapes: list[torch.Size] = []
    whole_channels: list[bool] = []

    def record(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if isinstance(module, GaussianNoise):
            shapes.append(inputs[0].shape[1:])
        elif isinstance(module, Dropout):
            whole_channels.append(module.whole_channels)

    handles = [module.register_forward_pre_hook(record) for module in model.modules()]
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

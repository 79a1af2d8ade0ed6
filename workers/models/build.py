"""The built-in model of a training."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from service.schemas.study.models import BuiltInModel, Cnn, CustomModel, LeNet, Mlp, ResNet18
from service.schemas.study.training import Training
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.models.convolutions import build_cnn, build_lenet, build_resnet18
from workers.models.initialization import initialize
from workers.models.layers import dense_layer


def model_for(training: Training, data: TrialData) -> nn.Module:
    """Return the built-in model of a training. Raises ModelError if it cannot be built."""
    shape = tuple(data.images.shape[1:])
    if len(shape) != 3 or not is_image(data):
        raise ModelError(f"built-in models take images [channels, height, width], floating or uint8: {list(shape)}")
    return build_model(training.model, shape, data.n_classes)


def is_image(data: TrialData) -> bool:
    """Whether inputs are [n, channels, height, width], floating or uint8, so that they can be augmented."""
    return data.images.ndim == 4 and (data.images.is_floating_point() or data.images.dtype == torch.uint8)


def build_model(model: BuiltInModel | CustomModel, image_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """Return a module from float images, [batch, channels, height, width], to logits, [batch, classes].

    Weights are drawn from torch's global generator. The places of noise, then dropout, follow every hidden layer
    (resnet18: only the pooled features). Raises ModelError if the images are too small for the model, or for a custom
    model.
    """
    match model:
        case CustomModel():
            raise ModelError(f"a custom model must be built in a process that runs its code: {model.entrypoint}")
        case Mlp():
            body = build_mlp(math.prod(image_shape), n_classes, model.hidden, model.activation, model.batch_norm)
            initialize(body, model.initialization, model.activation)
        case Cnn():
            blocks = [(block.channels, block.kernel, block.pooling, block.pool_size) for block in model.blocks]
            body = build_cnn(image_shape, n_classes, blocks, model.dense, model.activation, model.batch_norm)
            initialize(body, model.initialization, model.activation)
        case LeNet():
            body = build_lenet(image_shape, n_classes, model.activation, model.pooling)
        case ResNet18():
            body = build_resnet18(image_shape, n_classes)
    return body


def n_mlp_parameters(model: Mlp, n_inputs: int, n_classes: int) -> int:
    """Return the number of parameters of an mlp from `n_inputs` values to logits."""
    n_parameters = 0
    for width in model.hidden:
        n_parameters += (n_inputs + (2 if model.batch_norm else 1)) * width
        n_inputs = width
    return n_parameters + (n_inputs + 1) * n_classes


def dropout_rates(dropout: float | Sequence[float], n_layers: int) -> list[float]:
    """Return one rate for each of `n_layers` layers. Raises ModelError if a list has another length."""
    if isinstance(dropout, int | float):
        return [float(dropout)] * n_layers
    if len(dropout) != n_layers:
        raise ModelError(f"dropout needs one rate, or one for each of {n_layers} hidden layers: got {len(dropout)}")
    return list(dropout)


def build_mlp(n_inputs: int, n_classes: int, hidden: Sequence[int], activation: str, batch_norm: bool) -> nn.Module:
    """Return an mlp from images, [batch, …] of `n_inputs` values, to logits. `hidden` are the widths of its layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers += dense_layer(n_inputs, width, activation, batch_norm)
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_classes))

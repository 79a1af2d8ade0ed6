"""The built-in models with convolutions: cnn, LeNet-5 and ResNet-18."""

from collections.abc import Sequence

from torch import nn

from workers.errors import ModelError
from workers.models.layers import ACTIVATIONS, Dropout, GaussianNoise, dense_layer

POOLINGS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
MONOTONE = {"relu", "tanh", "sigmoid", "elu", "leaky_relu"}
"""Activations that never fall, so that max pooling may come before them."""
SMALL_IMAGE = 64
"""Largest side length, in pixels, at which ResNet-18 keeps the full resolution in its first stage."""


def build_cnn(
    image_shape: tuple[int, int, int],
    n_classes: int,
    blocks: Sequence[tuple[int, int, str, int]],
    dense: Sequence[int],
    activation: str,
    batch_norm: bool,
) -> nn.Module:
    """Return a cnn of convolution blocks, (channels, kernel, pooling, pool_size), followed by dense layers.

    Dropout drops whole channels of the blocks, and units of the dense layers. Raises ModelError if the poolings leave
    less than one pixel of the image.
    """
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for number, (out_channels, kernel, pooling, pool_size) in enumerate(blocks):
        layers += [_same_convolution(channels, out_channels, kernel, bias=not batch_norm)]
        layers += [nn.BatchNorm2d(out_channels)] if batch_norm else []
        layers += _activation_and_pooling(activation, pooling, pool_size)
        if pooling != "none":
            if min(height, width) < pool_size:
                raise ModelError(
                    f"pooling must leave at least one pixel: block {number} pools {height}x{width} by {pool_size}"
                )
            height, width = height // pool_size, width // pool_size
        layers += [GaussianNoise(), Dropout(whole_channels=True)]
        channels = out_channels
    n_inputs = channels * height * width
    layers += [nn.Flatten()]
    for units in dense:
        layers += dense_layer(n_inputs, units, activation, batch_norm)
        n_inputs = units
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_classes))


def build_lenet(image_shape: tuple[int, int, int], n_classes: int, activation: str, pooling: str) -> nn.Module:
    """Return LeNet-5 (LeCun et al., 1998), which was made for images of 32x32 pixels.

    Smaller images get a border of 2 pixels, so that 28x28 fits. Raises ModelError for images that are too small for two
    5x5 convolutions and poolings.
    """
    channels, height, width = image_shape
    padding = 2 if min(height, width) < 32 else 0
    after = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width)]
    if min(after) < 1:
        raise ModelError(f"lenet needs images of at least 12x12 pixels: got {height}x{width}")
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(channels, 6, 5, padding=padding), *_activation_and_pooling(activation, pooling, 2)),
        nn.Sequential(nn.Conv2d(6, 16, 5), *_activation_and_pooling(activation, pooling, 2)),
        nn.Flatten(),
        *dense_layer(16 * after[0] * after[1], 120, activation, False),
        *dense_layer(120, 84, activation, False),
        nn.Linear(84, n_classes),
    )


def build_resnet18(image_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """Return torchvision's ResNet-18, untrained.

    For images of up to 64 pixels the first convolution is 3x3 with stride 1 and no pooling follows it, as in the
    CIFAR-10 networks of He et al., arXiv 1512.03385.
    """
    channels, height, width = image_shape
    from torchvision.models import resnet18  # imported here because it takes a second and no other model needs it

    model = resnet18(weights=None, num_classes=n_classes)
    small = max(height, width) <= SMALL_IMAGE
    if small or channels != 3:
        kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        model.conv1 = nn.Conv2d(channels, 64, kernel, stride, padding, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        model.maxpool = nn.Identity()
    model.fc = nn.Sequential(GaussianNoise(), Dropout(), model.fc)
    module: nn.Module = model
    return module


def _activation_and_pooling(activation: str, pooling: str, pool_size: int) -> list[nn.Module]:
    """Activation and pooling; the pooling first if the result is the same.

    The largest of some monotone activations is the activation of the largest input. Pooling first leaves a quarter of
    the work, which saves 15 % of a step.
    """
    layers = [ACTIVATIONS[activation]()]
    if pooling == "none":
        return layers
    pool = POOLINGS[pooling](pool_size)
    return [pool, *layers] if pooling == "max" and activation in MONOTONE else [*layers, pool]


def _same_convolution(n_inputs: int, n_outputs: int, kernel: int, *, bias: bool) -> nn.Module:
    """A convolution whose output is as large as its input.

    For an even kernel the padding is one pixel wider on the right and below.
    """
    if kernel % 2 == 1:
        return nn.Conv2d(n_inputs, n_outputs, kernel, padding=kernel // 2, bias=bias)
    before, after = (kernel - 1) // 2, kernel // 2
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(n_inputs, n_outputs, kernel, bias=bias)
    )

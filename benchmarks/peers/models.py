"""The models of the peers in plain PyTorch, with the layers that Narrows trains."""

from typing import Any

from torch import nn

ACTIVATION = nn.ReLU


def make_model(model: dict[str, Any], image_shape: tuple[int, ...], n_classes: int, dropout: float) -> nn.Sequential:
    """Return a model from images, [batch, channels, height, width], to logits, [batch, classes]."""
    channels, height, width = image_shape
    layers: list[nn.Module] = []
    for block in model.get("blocks", []):
        layers += [nn.Conv2d(channels, block["channels"], 3, padding=1), ACTIVATION(), nn.MaxPool2d(2)]
        channels, height, width = block["channels"], height // 2, width // 2
    layers.append(nn.Flatten())
    n_in = channels * height * width
    for n_out in model["hidden" if model["name"] == "mlp" else "dense"]:
        layers += _dense(n_in, n_out, bool(model.get("batch_norm")), dropout)
        n_in = n_out
    return nn.Sequential(*layers, nn.Linear(n_in, n_classes))


def _dense(n_in: int, n_out: int, batch_norm: bool, dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(n_in, n_out, bias=not batch_norm)]
    layers += [nn.BatchNorm1d(n_out)] if batch_norm else []
    return [*layers, ACTIVATION(), *([nn.Dropout(dropout)] if dropout else [])]

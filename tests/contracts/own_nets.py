"""Models as users write them, for images of 1x12x12 and 3 classes: those that lanes can share, and those that they
cannot."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Params = dict[str, Any]


def build_mlp(params: Params) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


def build_cnn(params: Params) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 3),
    )  # fmt: skip


def build_norms(params: Params) -> nn.Module:
    """Batch norm with running statistics, of channels and of units.

    Without biases before them: their gradients are rounding errors, which adam makes steps of full size.
    """
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 6, bias=False),
        nn.BatchNorm1d(6), nn.ELU(), nn.Linear(6, 3),
    )  # fmt: skip


def build_dropouts(params: Params) -> nn.Module:
    return nn.Sequential(
        nn.Dropout(0.1), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(2), nn.Dropout1d(0.2),
        nn.Flatten(), nn.Linear(400, 16), nn.Dropout(0.5, inplace=True), nn.ReLU(), nn.Linear(16, 3),
    )  # fmt: skip


def build_layer_norm(params: Params) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(144, 10), nn.LayerNorm(10), nn.SiLU(), nn.Unflatten(1, (2, 5)), nn.GroupNorm(2, 2),
        nn.Flatten(), nn.Linear(10, 3),
    )  # fmt: skip


class Attention(nn.Module):
    """Rows of an image as words: an embedding of where they are, attention with dropout, and a residual."""

    places: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.places_of = nn.Embedding(12, 8)
        self.words = nn.Linear(12, 8)
        self.to_qkv = nn.Linear(8, 24)
        self.dropout = nn.Dropout(rate)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 3)
        self.register_buffer("places", torch.arange(12))

    def forward(self, images: Tensor) -> Tensor:
        x = self.words(images.squeeze(1)) + self.places_of(self.places)
        query, key, value = self.to_qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        weights = self.dropout(torch.softmax(query @ key.mT / 2, -1))
        x = self.norm(x + (weights @ value).transpose(1, 2).flatten(2))
        logits: Tensor = self.last(self.dropout(x.mean(1)))
        return logits


def build_attention(params: Params) -> nn.Module:
    return Attention(params.get("rate", 0.2))


class Recurrent(nn.Module):
    """Frozen and tied weights, a buffer that a new tensor takes the place of, and one that counts."""

    mean: Tensor
    n_calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(12, 6).requires_grad_(False)
        self.inner = nn.Linear(6, 6)
        self.tied = nn.Linear(6, 6)
        self.tied.weight = self.inner.weight
        self.last = nn.Linear(6, 3)
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("n_calls", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        state = torch.zeros(len(images), 6, dtype=images.dtype, device=images.device)
        for row in images.squeeze(1).unbind(1):
            state = torch.tanh(self.frozen(row) + self.tied(state) + self.inner(state))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * state.detach().mean(0)
            self.n_calls += 1
        logits: Tensor = self.last(state - self.mean)
        return logits


def build_recurrent(params: Params) -> nn.Module:
    return Recurrent()


FUSED = ("mlp", "cnn", "norms", "dropouts", "layer_norm", "attention", "recurrent")


class Odd(nn.Module):
    """Does what its kind says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.layer = nn.Linear(144, 3)
        self.norm = nn.BatchNorm1d(144, momentum=None)
        self.n_calls = 0
        self.seen: list[float] = []
        self.before = torch.zeros(1)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        match self.kind:
            case "branches" if x.sum() > 0:
                x = x + 1
            case "item":
                x = x * self.layer.weight.sum().item()
            case "noise" if self.training:
                x = x + torch.randn_like(x)
            case "functional dropout":
                x = functional.dropout(x, 0.1, self.training)
            case "numpy":
                x = x * float(np.random.rand())
            case "python":
                x = x * random.random()
            case "counts":
                self.n_calls += 1
            case "collects":
                self.seen.append(1.0)
            case "remembers":
                self.before = x.detach()
            case "cumulative":
                x = self.norm(x)
        logits: Tensor = self.layer(x)
        return logits


def build_odd(params: Params) -> nn.Module:
    model = Odd(params["kind"])
    if params["kind"] == "hooks":
        model.layer.register_forward_hook(lambda _module, _inputs, output: output * 2)
    return model


ODD = {
    "branches": "vmap",
    "item": "vmap",
    "noise": "draws random numbers from torch's generator by other means than nn.Dropout",
    "functional dropout": "draws random numbers from torch's generator",
    "numpy": "draws random numbers from numpy's generator",
    "python": "draws random numbers from Python's generator",
    "counts": "changes n_calls at every call",
    "collects": "changes seen at every call",
    "remembers": "changes before at every call",
    "cumulative": "vmap",
    "hooks": "layer has hooks",
}
"""And what is said of each."""

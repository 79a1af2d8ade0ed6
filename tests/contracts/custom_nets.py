"""Custom models as users write them, for images of 1x12x12 and 3 classes. Lanes can share some of them."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Params = dict[str, Any]


def build_mlp(params: Params) -> nn.Module:
    """Return an mlp with two hidden layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


def build_cnn(params: Params) -> nn.Module:
    """Return a cnn with max and average pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 3),
    )  # fmt: skip


def build_norms(params: Params) -> nn.Module:
    """Return a model with batch norm of channels and of units.

    Layers before batch norm have no bias: its gradient is rounding error, which adam turns into steps of full size.
    """
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 6, bias=False),
        nn.BatchNorm1d(6), nn.ELU(), nn.Linear(6, 3),
    )  # fmt: skip


def build_dropouts(params: Params) -> nn.Module:
    """Return a model with dropout of elements and of channels, one of them in place."""
    return nn.Sequential(
        nn.Dropout(0.1), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(2), nn.Dropout1d(0.2),
        nn.Flatten(), nn.Linear(400, 16), nn.Dropout(0.5, inplace=True), nn.ReLU(), nn.Linear(16, 3),
    )  # fmt: skip


def build_layer_norm(params: Params) -> nn.Module:
    """Return a model with layer norm and group norm."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(144, 10), nn.LayerNorm(10), nn.SiLU(), nn.Unflatten(1, (2, 5)), nn.GroupNorm(2, 2),
        nn.Flatten(), nn.Linear(10, 3),
    )  # fmt: skip


class Attention(nn.Module):
    """Attention over the rows of an image, with position embeddings, dropout and a residual connection."""

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
        """Return logits, [batch, classes]."""
        x = self.words(images.squeeze(1)) + self.places_of(self.places)
        query, key, value = self.to_qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        weights = self.dropout(torch.softmax(query @ key.mT / 2, -1))
        x = self.norm(x + (weights @ value).transpose(1, 2).flatten(2))
        logits: Tensor = self.last(self.dropout(x.mean(1)))
        return logits


def build_attention(params: Params) -> nn.Module:
    """Return attention with dropout; `rate` in the arguments sets its rate."""
    return Attention(params.get("rate", 0.2))


class Recurrent(nn.Module):
    """A recurrent model with frozen and tied weights, a buffer that it replaces, and a buffer that counts calls."""

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
        """Return logits, [batch, classes]."""
        state = torch.zeros(len(images), 6, dtype=images.dtype, device=images.device)
        for row in images.squeeze(1).unbind(1):
            state = torch.tanh(self.frozen(row) + self.tied(state) + self.inner(state))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * state.detach().mean(0)
            self.n_calls += 1
        logits: Tensor = self.last(state - self.mean)
        return logits


def build_recurrent(params: Params) -> nn.Module:
    """Return a recurrent model with frozen and tied weights."""
    return Recurrent()


FUSED = ("mlp", "cnn", "norms", "dropouts", "layer_norm", "attention", "recurrent")


class Odd(nn.Module):
    """A model that lanes cannot share, for a reason named by `kind`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.layer = nn.Linear(144, 3)
        self.norm = nn.BatchNorm1d(144, momentum=None)
        self.n_calls = 0
        self.seen: list[float] = []
        self.before = torch.zeros(1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, [batch, classes]."""
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
    """Return a model that lanes cannot share; `kind` in the arguments is a key of ODD."""
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
"""For each kind, text that the reason must contain."""

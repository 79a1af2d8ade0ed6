"""A user's own model and data set: plain torch, nothing of Narrows in them."""

import os
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset


class Residual(nn.Module):
    """Two ways through it, and a buffer of its own that no layer keeps: the running mean of its outputs."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU())
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x):
        x = x + self.layer(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x


def build_model(params):
    print("building with", params)
    width = params["width"]
    blocks = [Residual(width) for _ in range(params.get("depth", 1))]
    dropout = nn.Dropout(params.get("dropout", 0.0))
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), *blocks, dropout, nn.Linear(width, 10))


def build_dataset(params):
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16.0), torch.tensor(y)
    train, validation, test = (slice(0, 1000), slice(1000, 1400), slice(1400, None))
    parts = ((x[train], y[train]), (x[validation], y[validation]), (x[test], y[test]))
    return parts if params.get("test") else parts[:2]


class Pairs(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return torch.full((3,), float(index % 2)), index % 2


def build_pairs(params):
    """As data sets of torch, one example at a time."""
    return Pairs(64), Pairs(16)


def build_linear(params):
    return nn.Linear(3, 2)


class Slow(nn.Module):
    """Takes its time."""

    def __init__(self, seconds):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return self.layer(x)


def build_slow(params):
    return Slow(params["seconds"])


def build_wrong(params):
    """Each way to be wrong."""
    kind = params["kind"]
    print("about to", kind)
    if kind == "raise":
        raise RuntimeError("no such net")
    if kind == "hang":
        time.sleep(600)
    if kind == "die":
        os._exit(0)
    if kind == "abort":
        os.abort()
    return nn.Linear(3, 1)

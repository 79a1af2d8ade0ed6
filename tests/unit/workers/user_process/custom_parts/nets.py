"""Custom models and data sets as users write them, for tests in this process."""

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, IterableDataset, TensorDataset

Params = dict[str, Any]


def build_mlp(params: Params) -> nn.Module:
    """The built-in mlp as a user would write it."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(144, 9, bias=not params.get("batch_norm"))]
    if params.get("batch_norm"):
        layers.append(nn.BatchNorm1d(9))
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(9, 4))


class Strange(nn.Module):
    """A model with frozen and tied weights, replaced buffers and parametrizations."""

    mean: Tensor
    n_calls: Tensor

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.frozen = nn.Linear(n_inputs, 8).requires_grad_(False)
        self.inner = nn.Linear(8, 8)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.inner.weight
        self.norm = nn.BatchNorm1d(8, momentum=None)
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(8, 4))
        self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("n_calls", torch.zeros((), dtype=torch.int64))
        self.dropout = nn.Dropout(0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.tied(torch.relu(self.inner(torch.relu(self.frozen(x.flatten(1)))))))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            self.n_calls += 1
            x = x + 0.01 * torch.randn_like(x)
        logits: Tensor = self.last(self.dropout(functional.gelu(x - self.mean)))
        return logits


def build_strange(params: Params) -> nn.Module:
    return Strange(params.get("n_inputs", 144))


def build_lazy(params: Params) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(6), nn.Tanh(), nn.LazyLinear(4))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.last(self.embedding(tokens)[:, 0])
        return logits


def build_words(_params: Params) -> nn.Module:
    return Words()


class WrongInTraining(nn.Module):
    """A model that is as it must be in evaluation, but not in training."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(144, 4))

    def forward(self, x: Tensor) -> Any:
        logits = self.layers(x)
        if not self.training:
            return logits
        wrong = {"tuple": (logits, logits), "dict": {"logits": logits}, "detached": logits.detach()}
        return wrong[self.kind] if self.kind in wrong else logits.mean(0)


def build_wrong_in_training(params: Params) -> nn.Module:
    return WrongInTraining(params["kind"])


class OtherNorm(nn.Module):
    """A norm over the batch that is no torch.nn.BatchNorm."""

    mean: Tensor
    variance: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("mean", torch.zeros(9))
        self.register_buffer("variance", torch.ones(9))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "function":
            return functional.batch_norm(x, self.mean, self.variance, training=self.training)
        return (x - x.mean(0)) / (x.std(0) + 1e-5) if self.training else x


def build_other_norm(params: Params) -> nn.Module:
    norm = OtherNorm(params["kind"]) if params["kind"] != "none" else nn.Identity()
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 9), norm, nn.ReLU(), nn.Linear(9, 4))


def build_other(params: Params) -> Any:
    """Return the kind of object that a test names."""
    found: dict[str, Any] = {
        "nothing": None,
        "no parameters": nn.Flatten(),
        "frozen": nn.Sequential(nn.Flatten(), nn.Linear(144, 4).requires_grad_(False)),
        "too few": nn.Sequential(nn.Flatten(), nn.Linear(144, 3)),
        "no logits": nn.Linear(12, 4),
    }
    return found[params["kind"]]


def tensors(n: int, dtype: torch.dtype = torch.float32, *shape: int) -> tuple[Tensor, Tensor]:
    values = torch.arange(n * math.prod(shape or (5,))).remainder(11).view(n, *(shape or (5,)))
    return values.to(dtype), torch.arange(n).remainder(2)


def build_words_data(_params: Params) -> Any:
    """Return sequences of tokens. The class says whether the first token is odd."""
    tokens = torch.arange(250).mul(7).remainder(11).view(50, 5).int()
    labels = tokens[:, 0].remainder(2)
    return (tokens[:40], labels[:40]), (tokens[40:], labels[40:])


def build_drawn_data(_params: Params) -> Any:
    """Return data from the generators of torch, numpy and Python."""
    inputs = torch.tensor([[float(torch.rand(())), random.random(), float(np.random.rand())]] * 2)
    return (inputs, torch.arange(2)), (inputs, torch.arange(2))


class Examples(Dataset[Any]):
    def __init__(self, examples: list[Any]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Any:
        return self._examples[index]


class RandomExamples(Dataset[Any]):
    """Examples that differ each time they are read, in the input or in the class."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._n_read = 0

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        self._n_read += 1
        if self._kind == "random classes":
            return torch.ones(5), self._n_read % 3
        return torch.ones(5) + (torch.rand(5) if index == 20 or self._kind == "random inputs" else 0), index % 2


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([])


def build_data(params: Params) -> Any:
    good = tensors(6)
    found: dict[str, Any] = {
        "tensors": (good, tensors(4)),
        "with a test part": (good, tensors(4), tensors(3)),
        "bytes": (tensors(6, torch.uint8, 1, 12, 12), tensors(4, torch.uint8, 1, 12, 12)),
        "tensor data sets": (TensorDataset(*good), TensorDataset(*tensors(4))),
        "examples": (Examples([(torch.ones(5), 1), (torch.zeros(5), torch.tensor(0))]), tensors(4)),
        "doubles": (tensors(6, torch.float64), tensors(4, torch.float64)),
        "random inputs": (RandomExamples("random inputs"), good),
        "one random input": (RandomExamples("one random input"), good),
        "random classes": (good, RandomExamples("random classes")),
        "one part": (good,),
        "a dict": {"train": good},
        "a number": (good, 5),
        "three tensors": (good, (*tensors(4), torch.zeros(4))),
        "a stream": (good, Stream()),
        "float labels": (good, (tensors(4)[0], torch.zeros(4))),
        "negative labels": (good, (tensors(4)[0], torch.tensor([0, 1, -1, 0]))),
        "one-hot labels": (good, (tensors(4)[0], torch.zeros(4, 2, dtype=torch.int64))),
        "no examples": (good, (torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64))),
        "flat inputs": (good, (torch.zeros(4), torch.zeros(4, dtype=torch.int64))),
        "complex inputs": (good, (torch.zeros(4, 5, dtype=torch.complex64), torch.zeros(4, dtype=torch.int64))),
        "nan": (good, (torch.full((4, 5), math.nan), torch.zeros(4, dtype=torch.int64))),
        "sparse": ((good[0].to_sparse(), good[1]), tensors(4)),
        "without values": (good, (torch.empty(4, 5, device="meta"), torch.arange(4))),
        "one class": ((good[0], torch.full((6,), 3)), tensors(4)),
        "an unknown class in test": (good, tensors(4), (tensors(3)[0], torch.tensor([0, 1, 2]))),
        "other shapes": (good, tensors(4, torch.float32, 6)),
        "other kinds": (good, tensors(4, torch.uint8)),
        "shapes that differ": (Examples([(torch.ones(5), 1), (torch.zeros(6), 0)]), tensors(4)),
        "no pairs": (Examples([torch.ones(5)]), tensors(4)),
        "words for classes": (Examples([(torch.ones(5), "cat")]), tensors(4)),
    }
    return found[params["kind"]]

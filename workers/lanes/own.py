"""A user's own module over lanes, one lane after another."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workers.lanes.draws import Draws
from workers.lanes.layout import Views
from workers.lanes.rows import Rows
from workers.randomness import own_global_generators, seed_global_generators


class Observed(nn.Module):
    """The module, and what its buffers are after the call: also those that it puts new tensors in the place of."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, Views]:
        outputs = self.module(inputs)
        return outputs, dict(self.module.named_buffers())


class OwnNetwork:
    """See workers.lanes.network.Network.

    The module runs as it is, with the tensors of the lane whose turn it is. What it draws by itself, as in dropout, it
    draws from the global generators, which have a seed of the lane's own in every step.
    """

    batch_first = False
    uses_autograd = True
    fuses = False

    def __init__(self, model: nn.Module, rows: Rows, device: torch.device, autocast: AbstractContextManager[object]):
        self._model = Observed(model.to(device))
        self._rows = rows
        self._device = device
        self._autocast = autocast
        self._leaves: Views = {}
        self._gradients: Views = {}
        self._logits = rows.values

    def forward(self, lanes: slice, images: Tensor, draws: Draws) -> Tensor:
        self._model.train()
        self._leaves = _of_one(self._rows.parameters(lanes))
        self._gradients = _of_one(self._rows.gradients(lanes))
        for leaf in self._leaves.values():
            leaf.requires_grad_()
        (seed,) = draws.step_seeds()
        with torch.enable_grad(), own_global_generators(self._device):
            seed_global_generators(seed, self._device)
            self._logits = self._run(lanes, self._leaves, images[0])
        return self._logits.detach().mT.unsqueeze(0)

    def backward(self, gradient: Tensor) -> None:
        leaves = list(self._leaves.values())
        found = torch.autograd.grad(self._logits, leaves, gradient[0].mT, allow_unused=True, materialize_grads=True)
        for name, one in zip(self._leaves, found, strict=True):
            self._gradients[name].copy_(one)
        self._leaves, self._logits = {}, gradient  # lets go of the graph

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        self._model.eval()
        each = []
        for place in range(lanes.start, lanes.stop):
            lane = slice(place, place + 1)
            each.append(self._run(lane, _of_one(self._rows.parameters(lane)), images))
        return torch.stack(each).mT

    def _run(self, lane: slice, parameters: Views, images: Tensor) -> Tensor:
        buffers = _of_one(self._rows.buffers(lane))
        tensors = {f"module.{name}": tensor for name, tensor in (parameters | buffers).items()}
        with self._autocast:
            outputs, now = functional_call(self._model, tensors, (images,))
        with torch.no_grad():
            for name, buffer in now.items():
                if buffer is not buffers[name]:
                    buffers[name].copy_(buffer)
        logits: Tensor = outputs.to(self._rows.values.dtype)
        return logits


def _of_one(views: Views) -> Views:
    return {name: view[0] for name, view in views.items()}

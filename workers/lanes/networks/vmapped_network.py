"""A user's own module over lanes: all of them in one call by torch.func.vmap where it can, else one after another."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.lanes.layout import Views
from workers.lanes.networks.vmapped_dropout import Masks, use_masks
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.randomness import own_global_generators, seed_global_generators


class Observed(nn.Module):
    """The module, and what its buffers are after the call: also those that it puts new tensors in the place of."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, Views]:
        outputs = self.module(inputs)
        return outputs, dict(self.module.named_buffers())


class VmappedNetwork:
    """See workers.lanes.networks.network.Network.

    The module runs as it is, with the tensors of the lanes whose turn it is; a single lane's without vmap. Its dropout
    layers draw from the lane's generator. What it draws besides, it draws from the global generators, which have a seed
    of the lane's own in every step; vmap refuses to.
    """

    batch_first = False
    uses_autograd = True

    def __init__(
        self,
        model: nn.Module,
        rows: Rows,
        device: torch.device,
        autocast: AbstractContextManager[object],
        *,
        unfusable_reason: str | None,
    ) -> None:
        """`unfusable_reason` says why vmap cannot take lanes together; None when it can."""
        self.unfusable_reason = unfusable_reason
        self.fuses = unfusable_reason is None
        self.model = model.to(device)
        self._observed = Observed(self.model)
        self._masks = Masks()
        use_masks(self.model, self._masks)
        self._rows = rows
        self._device = device
        self._autocast = autocast
        self._leaves: Views = {}
        self._gradients: Views = {}
        self._logits = rows.values

    def forward(self, lanes: slice, images: Tensor, draws: RandomMasks) -> Tensor:
        self.model.train()
        self._masks.generators, self._masks.rates = draws.generators, draws.own_rates
        self._leaves, self._gradients = self._rows.parameters(lanes), self._rows.gradients(lanes)
        for leaf in self._leaves.values():
            leaf.requires_grad_()
        with torch.enable_grad():
            if len(images) == 1:
                with self._seeded(draws.step_seeds()):
                    self._logits = self._run_one(lanes, self._leaves, images[0]).unsqueeze(0)
            else:
                self._logits = self._run_all(lanes, self._leaves, images, 0)
        return self._logits.detach().mT

    def backward(self, gradient: Tensor) -> None:
        leaves = list(self._leaves.values())
        found = torch.autograd.grad(self._logits, leaves, gradient.mT, allow_unused=True, materialize_grads=True)
        for name, one in zip(self._leaves, found, strict=True):
            self._gradients[name].copy_(one)
        self._leaves, self._logits = {}, gradient  # lets go of the graph

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        self.model.eval()
        if self.fuses and lanes.stop - lanes.start > 1:
            return self._run_all(lanes, self._rows.parameters(lanes), images, None).mT
        each = [slice(place, place + 1) for place in range(lanes.start, lanes.stop)]
        return torch.stack([self._run_one(lane, self._rows.parameters(lane), images) for lane in each]).mT

    @contextmanager
    def _seeded(self, seeds: Sequence[int]) -> Iterator[None]:
        """The global generators of one lane's step; without a seed they are what they are."""
        if not seeds:
            yield
            return
        with own_global_generators(self._device):
            seed_global_generators(seeds[0], self._device)
            yield

    def _run_one(self, lane: slice, parameters: Views, images: Tensor) -> Tensor:
        buffers = _of_one(self._rows.buffers(lane))
        outputs, replaced = self._call(_of_one(parameters), buffers, images)
        with torch.no_grad():
            for name, buffer in replaced.items():
                buffers[name].copy_(buffer)
        return outputs.to(self._rows.values.dtype)

    def _run_all(self, lanes: slice, parameters: Views, images: Tensor, images_dim: int | None) -> Tensor:
        def call(parameters: Views, buffers: Views, images: Tensor, lane: Tensor) -> tuple[Tensor, Views]:
            self._masks.lane = lane
            return self._call(parameters, buffers, images)

        buffers = self._rows.buffers(lanes)
        places = torch.arange(lanes.stop - lanes.start, device=self._device)
        try:
            outputs, replaced = vmap(call, (0, 0, images_dim, 0))(parameters, buffers, images, places)
        finally:
            self._masks.lane = places[0]
        with torch.no_grad():
            for name, buffer in replaced.items():
                buffers[name].copy_(buffer)
        return outputs.to(self._rows.values.dtype)

    def _call(self, parameters: Views, buffers: Views, images: Tensor) -> tuple[Tensor, Views]:
        """The logits, and the buffers that the module has put new tensors in the place of."""
        tensors = {f"module.{name}": tensor for name, tensor in (parameters | buffers).items()}
        with self._autocast:
            outputs, now = functional_call(self._observed, tensors, (images,))
        return outputs, {name: buffer for name, buffer in now.items() if buffer is not buffers[name]}


def _of_one(views: Views) -> Views:
    return {name: view[0] for name, view in views.items()}

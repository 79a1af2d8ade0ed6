"""A custom model over lanes: all lanes in one call by torch.func.vmap, or one after another where vmap cannot."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.errors import ModelError
from workers.lanes.layout import Views
from workers.lanes.networks.vmapped_dropout import DropoutSampler, use_sampler
from workers.lanes.padding import NO_PADDING, Padding
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.randomness import preserved_global_generators, seed_global_generators


class ModuleWithBuffers(nn.Module):
    """A module that returns its buffers as well, so that buffers which it replaces by new tensors are not lost."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, Views]:
        """Return the module's outputs, and its buffers after the call by name."""
        outputs = self.module(inputs)
        return outputs, dict(self.module.named_buffers())


class VmappedNetwork:
    """A custom model over lanes.

    The module's own code runs with the tensors of the current lanes; a single lane runs without vmap. Its dropout
    layers draw from each lane's generator. Its other random numbers come from torch's global generators, which are
    seeded for every step of a lane. vmap refuses to draw those, so a model that draws them trains one lane at a time.
    """

    batch_first = False
    uses_autograd = True
    pads = False

    def __init__(
        self,
        model: nn.Module,
        rows: Rows,
        device: torch.device,
        autocast: AbstractContextManager[object],
        *,
        unfusable_reason: str | None,
    ) -> None:
        """Move `model` to the device and take over its dropout layers.

        `unfusable_reason` says why vmap cannot take lanes together; None if it can.
        """
        self.unfusable_reason = unfusable_reason
        self.fuses = unfusable_reason is None
        self.model = model.to(device)
        self._module = ModuleWithBuffers(self.model)
        self._sampler = DropoutSampler()
        use_sampler(self.model, self._sampler)
        self._rows = rows
        self._device = device
        self._autocast = autocast
        self._leaves: Views = {}
        self._gradients: Views = {}
        self._logits = rows.values

    def forward(self, lanes: slice, images: Tensor, masks: RandomMasks, padding: Padding = NO_PADDING) -> Tensor:
        """See Network.forward."""
        self.model.train()
        self._sampler.generators, self._sampler.rates = masks.generators, masks.custom_rates
        self._leaves, self._gradients = self._rows.parameters(lanes), self._rows.gradients(lanes)
        for leaf in self._leaves.values():
            leaf.requires_grad_()
        with torch.enable_grad():
            if len(images) == 1:
                with self._seeded(masks.step_seeds()):
                    self._logits = self._run_one(lanes, self._leaves, images[0]).unsqueeze(0)
            else:
                self._logits = self._run_all(lanes, self._leaves, images, 0)
        if not self._logits.requires_grad:
            raise ModelError(
                "logits in training must depend on the parameters: the model detaches them, or runs under torch.no_grad"
            )
        return self._logits.detach().mT

    def backward(self, gradient: Tensor) -> None:
        """See Network.backward."""
        leaves = list(self._leaves.values())
        gradients = torch.autograd.grad(self._logits, leaves, gradient.mT, allow_unused=True, materialize_grads=True)
        for name, leaf_gradient in zip(self._leaves, gradients, strict=True):
            self._gradients[name].copy_(leaf_gradient)
        self._leaves, self._logits = {}, gradient  # frees the graph

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        """See Network.evaluate."""
        self.model.eval()
        if self.fuses and lanes.stop - lanes.start > 1:
            return self._run_all(lanes, self._rows.parameters(lanes), images, None).mT
        single = [slice(lane, lane + 1) for lane in range(lanes.start, lanes.stop)]
        return torch.stack([self._run_one(lane, self._rows.parameters(lane), images) for lane in single]).mT

    @contextmanager
    def _seeded(self, seeds: Sequence[int]) -> Iterator[None]:
        """Seed the global generators for a step of one lane; leave them as they are if there is no seed."""
        if not seeds:
            yield
            return
        with preserved_global_generators(self._device):
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
            self._sampler.lane = lane
            return self._call(parameters, buffers, images)

        buffers = self._rows.buffers(lanes)
        indices = torch.arange(lanes.stop - lanes.start, device=self._device)
        try:
            outputs, replaced = vmap(call, (0, 0, images_dim, 0))(parameters, buffers, images, indices)
        finally:
            self._sampler.lane = indices[0]
        with torch.no_grad():
            for name, buffer in replaced.items():
                buffers[name].copy_(buffer)
        return outputs.to(self._rows.values.dtype)

    def _call(self, parameters: Views, buffers: Views, images: Tensor) -> tuple[Tensor, Views]:
        """Return the logits, and the buffers that the module has replaced by new tensors."""
        tensors = {f"module.{name}": tensor for name, tensor in (parameters | buffers).items()}
        with self._autocast:
            outputs, new_buffers = functional_call(self._module, tensors, (images,))
        self._check_logits(outputs, len(images))
        return outputs, {name: buffer for name, buffer in new_buffers.items() if buffer is not buffers[name]}

    def _check_logits(self, logits: object, n: int) -> None:
        """Raises ModelError if the module has not returned one row of logits for each of `n` inputs."""
        if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == n:
            return
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        mode = "training" if self.model.training else "evaluation"
        raise ModelError(f"the model must return logits, a tensor [batch, classes], in {mode}: {shape} for {n} inputs")


def _of_one(views: Views) -> Views:
    return {name: view[0] for name, view in views.items()}

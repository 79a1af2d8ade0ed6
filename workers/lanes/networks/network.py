from typing import Protocol

import torch
from torch import Tensor, nn

from service.schemas.study.models import Mlp, OwnModel
from service.schemas.study.training import Training
from workers.lanes.networks.mlp import MlpNetwork
from workers.lanes.networks.stacked_network import StackedNetwork
from workers.lanes.networks.vmap_check import Sample, unfusable_reason
from workers.lanes.networks.vmapped_network import VmappedNetwork
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.precision import autocast


class Network(Protocol):
    """A model over lanes. `lanes` are neighbours, and images are float and normalized."""

    batch_first: bool
    """Whether images come as [batch, lanes, channels, height, width], or else as [lanes, batch, …]."""

    fuses: bool
    """Whether several lanes at once are faster than one after another."""

    unfusable_reason: str | None
    """Why lanes cannot train together at all, in one line."""

    uses_autograd: bool
    """If not, a step may run in inference mode, where every call costs a little less: 6 % of a small mlp's step."""

    def forward(self, lanes: slice, images: Tensor, draws: RandomMasks) -> Tensor:
        """Logits in training, [lanes, classes, batch]; updates the running statistics of batch norm."""

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients of the parameters, given that of the last logits."""

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        """Logits of the same images, [batch, channels, height, width], in every lane: [lanes, classes, batch]."""


def make_network(
    model: nn.Module, training: Training, rows: Rows, device: torch.device, sample: Sample, *, fuse: bool | None
) -> Network:
    """`fuse` tells whether a step takes lanes together; None leaves it to the model and the device.

    `sample` gives so many of the inputs, on which an own model is tried.
    """
    context = autocast(training, device)
    if isinstance(training.model, OwnModel):
        if fuse is None:
            reason = unfusable_reason(model, device, rows.values.dtype, context, sample)
        else:
            reason = None if fuse else "it was asked for"
        return VmappedNetwork(model, rows, device, context, unfusable_reason=reason)
    if isinstance(training.model, Mlp) and not isinstance(context, torch.autocast):
        return MlpNetwork(model, training.model.activation, rows, fuses=fuse is not False)
    # On a CPU grouped convolutions take 2 to 4 times as long as one after another.
    return StackedNetwork(model, rows, context, fuses=device.type != "cpu" if fuse is None else fuse)

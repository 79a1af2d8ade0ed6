"""The interface of networks over lanes, and the choice of one for a training."""

from typing import Protocol

import torch
from torch import Tensor, nn

from service.schemas.study.models import CustomModel, Mlp
from service.schemas.study.training import Training
from workers.lanes.networks.mlp import MlpNetwork
from workers.lanes.networks.stacked_network import StackedNetwork
from workers.lanes.networks.vmap_check import Sample, find_unfusable_reason
from workers.lanes.networks.vmapped_network import VmappedNetwork
from workers.lanes.padding import NO_PADDING, Padding
from workers.lanes.random_masks import RandomMasks
from workers.lanes.rows import Rows
from workers.training.precision import autocast


class Network(Protocol):
    """A model over lanes. `lanes` is a slice of neighbouring lanes. Images are float and normalized."""

    batch_first: bool
    """Whether `forward` takes images as [batch, lanes, channels, height, width]. If not: [lanes, batch, …]."""

    fuses: bool
    """Whether several lanes at once are faster than one after another."""

    unfusable_reason: str | None
    """Why lanes cannot train together, in one line; None if they can."""

    pads: bool
    """Whether lanes may be narrower than the tensors, and their batches smaller."""

    uses_autograd: bool
    """If false, a step may run in inference mode, which makes calls a little cheaper: 6 % of a small mlp's step."""

    def forward(self, lanes: slice, images: Tensor, masks: RandomMasks, padding: Padding = NO_PADDING) -> Tensor:
        """Return the logits in training mode, [lanes, classes, batch]. Updates batch norm's running statistics.

        `padding` is NO_PADDING unless the network pads.
        """

    def backward(self, gradient: Tensor) -> None:
        """Write the parameters' gradients, given that of the last `forward`'s logits, [lanes, classes, batch]."""

    def evaluate(self, lanes: slice, images: Tensor) -> Tensor:
        """Return each lane's logits in evaluation mode, [lanes, classes, batch].

        All lanes get the same images, [batch, channels, height, width].
        """


def make_network(
    model: nn.Module, training: Training, rows: Rows, device: torch.device, sample: Sample, *, fuse: bool | None
) -> Network:
    """Return the network for a training.

    `fuse` says whether a step takes several lanes together; None lets the model and the device decide. `sample(n)`
    returns n inputs, on which a custom model is checked. Raises PrecisionError.
    """
    context = autocast(training, device)
    if isinstance(training.model, CustomModel):
        if fuse is None:
            reason = find_unfusable_reason(model, device, rows.values.dtype, context, sample)
        else:
            reason = None if fuse else "the caller turned fusion off"
        return VmappedNetwork(model, rows, device, context, unfusable_reason=reason)
    if isinstance(training.model, Mlp) and not isinstance(context, torch.autocast):
        return MlpNetwork(model, training.model.activation, rows, fuses=fuse is not False)
    # On a CPU one grouped convolution takes 2 to 4 times as long as the convolutions of its lanes one by one.
    return StackedNetwork(model, rows, context, fuses=device.type != "cpu" if fuse is None else fuse)

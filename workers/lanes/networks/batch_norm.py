"""Batch normalization over lanes (Ioffe and Szegedy, arXiv 1502.03167), for the mlp without autograd."""

import torch
from torch import Tensor

from workers.lanes.padding import OwnRows

EPSILON = 1e-5
MOMENTUM = 0.1
"""torch.nn.BatchNorm1d's defaults."""


class BatchNorm:
    """Batch norm of [lanes, units, batch]. Every tensor that it is given is [lanes, units].

    `backward` writes into the gradients, and `forward` updates the running statistics.
    """

    def __init__(
        self,
        scale: Tensor,
        shift: Tensor,
        scale_gradient: Tensor,
        shift_gradient: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
    ) -> None:
        self._tensors = scale, shift, scale_gradient, shift_gradient, running_mean, running_variance
        self._scale, self._shift = scale.unsqueeze(2), shift.unsqueeze(2)
        self._scale_gradient, self._shift_gradient = scale_gradient, shift_gradient
        self._running_mean, self._running_variance = running_mean, running_variance
        self._saved = scale, scale, scale
        self._normalized = scale
        self._lanes: list[BatchNorm] = []
        """The norm of each lane, once batches had several sizes."""
        self._rows: OwnRows | None = None

    def forward(self, z: Tensor, out: Tensor, rows: OwnRows | None = None) -> Tensor:
        """Normalize each unit of z by its mean and variance over the batch; write the result to `out` and return it.

        Of each lane only its own `rows` count; the result is 0 in the others.
        """
        self._rows = rows
        if rows is not None:
            return self._forward_rows(z, out.zero_(), rows)
        # Along the batch, the last dimension, this is a layer norm, which is one kernel instead of six.
        normalized, mean, scale = torch.native_layer_norm(z, [z.shape[2]], None, None, EPSILON)
        self._saved = z, mean, scale
        self._normalized = normalized
        self._update(mean.squeeze(2), scale.squeeze(2), z.shape[2])
        return torch.mul(normalized, self._scale, out=out).add_(self._shift)

    def _forward_rows(self, z: Tensor, out: Tensor, rows: OwnRows) -> Tensor:
        """Normalize one lane at a time: sums over exactly its rows are what it has alone, to the last bit."""
        if not self._lanes:
            self._lanes = [BatchNorm(*(tensor[lane : lane + 1] for tensor in self._tensors)) for lane in range(len(z))]
        for norm, lane_z, lane_out, size in zip(
            self._lanes, torch.split(z, 1), torch.split(out, 1), rows.sizes, strict=True
        ):
            norm.forward(lane_z[:, :, :size], lane_out[:, :, :size])
        return out

    def _update(self, mean: Tensor, scale: Tensor, batch_size: int) -> None:
        variance = scale.pow(-2).sub_(EPSILON).clamp_min_(0).mul_(batch_size / (batch_size - 1))
        self._running_mean.lerp_(mean, MOMENTUM)
        self._running_variance.lerp_(variance, MOMENTUM)

    def backward(self, gradient: Tensor) -> Tensor:
        """Return the gradient of z, given that of the outputs, which is overwritten."""
        if self._rows is not None:  # the gradient is 0 in the rows that are not a lane's own, and stays so
            for norm, lane_gradient, size in zip(self._lanes, torch.split(gradient, 1), self._rows.sizes, strict=True):
                own = lane_gradient[:, :, :size]
                own.copy_(norm.backward(own))
            return gradient
        torch.sum(gradient, 2, out=self._shift_gradient)
        torch.sum(self._normalized.mul_(gradient), 2, out=self._scale_gradient)
        z, mean, scale = self._saved
        z_gradient: Tensor = torch.ops.aten.native_layer_norm_backward(
            gradient.mul_(self._scale), z, [z.shape[2]], mean, scale, None, None, [True, False, False]
        )[0]
        return z_gradient

    def evaluate(self, z: Tensor) -> Tensor:
        """Normalize z, [lanes, units, batch], in place by the running statistics."""
        factor = self._scale / (self._running_variance + EPSILON).sqrt_().unsqueeze(2)
        return z.mul_(factor).add_(self._shift - self._running_mean.unsqueeze(2) * factor)

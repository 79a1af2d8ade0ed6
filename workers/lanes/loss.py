"""Cross entropy of several lanes, with its gradient."""

from typing import NamedTuple

import torch
from torch import Tensor

from workers.lanes.padding import OwnRows


class LaneLosses(NamedTuple):
    """Loss and accuracy of each lane over its batch."""

    loss: Tensor
    """Mean loss, [lanes]."""
    n_correct: Tensor
    """Number of correct predictions, [lanes]."""
    gradient: Tensor
    """Gradient of each lane's loss with respect to its logits, [lanes, classes, batch]."""


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor | None, rows: OwnRows | None = None) -> LaneLosses:
    """Return the cross entropy of logits, [lanes, classes, batch], and labels, [lanes, batch], and its gradient.

    `smoothing`, [lanes], is the share of the target that is spread over all classes (Szegedy et al., arXiv 1512.00567).
    Of each lane only its own `rows` count. No operation mixes the numbers of two lanes, so a lane that is no longer
    finite harms no other.
    """
    targets = labels.unsqueeze(1)
    log_probabilities = torch.log_softmax(logits, 1)
    picked = log_probabilities.gather(1, targets)
    is_correct = log_probabilities.max(1, keepdim=True).indices == targets
    loss = _mean(picked, rows).neg_()
    certain = torch.full_like(picked, -1.0)
    if smoothing is not None:
        loss = torch.lerp(loss, _mean(log_probabilities, rows).neg_(), smoothing)
        certain.add_(smoothing.view(-1, 1, 1))
    gradient = log_probabilities.exp_().scatter_add_(1, targets, certain)
    if smoothing is not None:
        gradient.sub_((smoothing / logits.shape[1]).view(-1, 1, 1))
    if rows is None:
        return LaneLosses(loss, is_correct.sum((1, 2)), gradient.mul_(1 / labels.shape[1]))
    return LaneLosses(loss, is_correct.mul(rows.mask).sum((1, 2)), gradient.mul_(rows.mask / rows.counts))


def _mean(values: Tensor, rows: OwnRows | None) -> Tensor:
    """The mean of each lane's values, [lanes, classes, batch]."""
    if rows is None:
        return values.mean((1, 2))
    return (values * rows.mask).mean(1, keepdim=True).sum((1, 2)) / rows.counts.flatten()

"""Cross entropy of several lanes, with its gradient."""

from typing import NamedTuple

import torch
from torch import Tensor


class LaneLosses(NamedTuple):
    """Loss and accuracy of each lane over its batch."""

    loss: Tensor
    """Mean loss, [lanes]."""
    n_correct: Tensor
    """Number of correct predictions, [lanes]."""
    gradient: Tensor
    """Gradient of each lane's loss with respect to its logits, [lanes, classes, batch]."""


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor | None) -> LaneLosses:
    """Return the cross entropy of logits, [lanes, classes, batch], and labels, [lanes, batch], and its gradient.

    `smoothing`, [lanes], is the share of the target that is spread over all classes (Szegedy et al., arXiv 1512.00567).
    No operation mixes the numbers of two lanes, so a lane that is no longer finite harms no other.
    """
    targets = labels.unsqueeze(1)
    log_probabilities = torch.log_softmax(logits, 1)
    picked = log_probabilities.gather(1, targets)
    n_correct = (log_probabilities.max(1, keepdim=True).indices == targets).sum((1, 2))
    loss = picked.mean((1, 2)).neg_()
    certain = torch.full_like(picked, -1.0)
    if smoothing is not None:
        loss = torch.lerp(loss, log_probabilities.mean((1, 2)).neg_(), smoothing)
        certain.add_(smoothing.view(-1, 1, 1))
    gradient = log_probabilities.exp_().scatter_add_(1, targets, certain)
    if smoothing is not None:
        gradient.sub_((smoothing / logits.shape[1]).view(-1, 1, 1))
    return LaneLosses(loss, n_correct, gradient.mul_(1 / labels.shape[1]))

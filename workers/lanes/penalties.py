"""Penalties that change the gradients of lanes, [lanes, row], between the backward pass and the optimizer's step."""

import torch
from torch import Tensor


def add_l1_gradient(gradient: Tensor, values: Tensor, is_weight: Tensor, l1_decay: Tensor) -> None:
    """Add the gradient of λ‖w‖₁ over the weights, which is zero at w = 0, to `gradient`, in place.

    `gradient` and `values` are [lanes, row], `is_weight` is bool [row], and `l1_decay`, [lanes], holds each lane's λ.
    """
    gradient.add_(torch.sign(values).mul_(is_weight).mul_(l1_decay.unsqueeze(1)))


def clip_gradient_norms(gradient: Tensor, limits: Tensor) -> None:
    """Scale each lane's gradient, [lanes, row], in place to a norm of at most its limit, [lanes].

    An infinite limit leaves the gradient as it is. The formula is that of torch.nn.utils.clip_grad_norm_.
    """
    norms = torch.linalg.vector_norm(gradient, dim=1)
    factors = (limits / (norms + 1e-6)).clamp_(max=1.0)
    gradient.mul_(torch.where(limits.isinf(), 1.0, factors).unsqueeze(1))

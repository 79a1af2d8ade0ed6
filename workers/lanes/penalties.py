"""What changes the gradients of lanes, [lanes, row], between the backward pass and the step."""

import torch
from torch import Tensor


def add_l1(gradient: Tensor, values: Tensor, is_weight: Tensor, l1_decay: Tensor) -> None:
    """Add the gradient of λ‖w‖₁ over the weights, zero at w = 0; `l1_decay`, [lanes], holds each lane's λ."""
    gradient.add_(torch.sign(values).mul_(is_weight).mul_(l1_decay.unsqueeze(1)))


def clip(gradient: Tensor, limits: Tensor) -> None:
    """Scale each lane's gradient down to a norm of at most its limit, [lanes]; infinity is no limit."""
    norms = torch.linalg.vector_norm(gradient, dim=1)
    factors = (limits / (norms + 1e-6)).clamp_(max=1.0)  # as torch.nn.utils.clip_grad_norm_ has it
    gradient.mul_(torch.where(limits.isinf(), 1.0, factors).unsqueeze(1))
